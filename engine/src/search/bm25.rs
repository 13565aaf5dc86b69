//! `bm25(column, query)`: how well a row's words match, by the words of the whole table.
//!
//! A call has no meaning by itself: how rare a word is depends on the table. The rule [`super::rule`] gives the calls for one
//! column and query a [`Ranking`], and tells the scan of the table; the scan counts the words before it gives the first row.

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, Float32Array};
use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use latentdb_text::{Hit, Query, Searcher};

use super::failure::from_text;
use super::question::{Question, Wanted};
use super::read::rows_where;
use super::rows::RowsOfFiles;
use super::text_functions::parse;
use super::threads::blocking;
use super::values::Texts;
use super::words::{TextFilter, Words};
use crate::storage::rows_by_place::Place;
use crate::storage::scan::ScanTarget;
use crate::{Error, ErrorKind};

/// Rows looked for beyond those asked for, to see whether the last is tied.
const SPARE: usize = 16;

/// So many entries of lists of rows are gone through in less than half a millisecond.
const BRIEF: u64 = 100_000;

/// A query that rows of a table are ranked by.
#[derive(Debug)]
pub(crate) struct Ranking {
    text: String,
    query: Query,
    /// Knows the words of the whole table; filled by its scan.
    searcher: OnceLock<Searcher>,
}

impl Ranking {
    pub(super) fn new(text: &str) -> crate::Result<Self> {
        Ok(Self { text: text.to_owned(), query: parse(text)?, searcher: OnceLock::new() })
    }

    /// The query, as it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl Question {
    /// Whether it makes a scan count the words for `ranking`.
    pub(super) fn ranks_by(&self, ranking: &Arc<Ranking>) -> bool {
        match &self.wanted {
            Wanted::Statistics(own) | Wanted::Best { ranking: own, .. } => Arc::ptr_eq(own, ranking),
            Wanted::Nearest { .. } => false,
        }
    }
}

/// Counts words, and finds the best rows if that is what is asked.
pub(super) async fn answer(
    words: &Words,
    question: &Question,
    target: &ScanTarget,
    state: &SessionState,
    filters: &[Expr],
) -> crate::Result<Option<RowsOfFiles>> {
    let (ranking, k) = match &question.wanted {
        Wanted::Statistics(ranking) => (Arc::clone(ranking), None),
        Wanted::Best { ranking, k } => (Arc::clone(ranking), Some(*k)),
        Wanted::Nearest { .. } => return Ok(None),
    };
    // The match itself is what the words tell; what else is asked of rows has to be known before they are ranked.
    let is_own = |filter: &&Expr| {
        TextFilter::of(filter).is_some_and(|own| own.column == question.column && own.text == ranking.text)
    };
    let is_matched = filters.iter().any(|filter| is_own(&filter));
    let others: Vec<Expr> = filters.iter().filter(|filter| !is_own(filter)).cloned().collect();
    // Rows that do not match have rank 0, and only a filter says that they are not wanted.
    let k = k.filter(|_| is_matched);
    let allowed = match (k, others.is_empty()) {
        (Some(_), false) => Some(rows_where(target, state, &others).await?),
        _ => None,
    };
    let words = words.clone();
    blocking(move || {
        let searcher = searcher(&words);
        let found = match (is_matched, k) {
            (false, _) => None,
            (true, Some(k)) => Some(best(&searcher, &words, &ranking.query, k, allowed.as_ref())?),
            (true, None) => Some(all(&words, &ranking.query)?),
        };
        // A plan that is run again counts anew; the first count stands for the first run's rows.
        let _ = ranking.searcher.set(searcher);
        Ok(found)
    })
    .await
}

/// Searches all that `words` knows.
fn searcher(words: &Words) -> Searcher {
    let live: Vec<_> = words.parts.iter().map(|part| part.live(None)).collect();
    let segments = words.parts.iter().zip(&live);
    Searcher::new(segments.filter_map(|(part, live)| Some((part.segment()?.clone(), live.as_ref()))))
}

/// Whether a search is over in less time than threads take to wake one another: it has few rows to go through.
pub(super) fn is_brief(words: &Words, query: &Query) -> crate::Result<bool> {
    let mut entries = 0;
    for part in words.parts.iter() {
        let Some(segment) = part.segment() else { continue };
        // Which rows count is worked out row by row where not all do.
        let is_whole = part.live(None).is_none() && segment.nulls().is_empty();
        match latentdb_text::entries(segment, query).map_err(from_text)?.filter(|_| is_whole) {
            Some(own) => entries += own,
            None => return Ok(false),
        }
    }
    Ok(entries <= BRIEF)
}

/// The `k` best rows, the best first, with their scores.
pub(super) fn best_rows(words: &Words, query: &Query, k: usize) -> crate::Result<Vec<(Place, f32)>> {
    let hits = searcher(words).top_k(query, k, &[]).map_err(from_text)?;
    Ok(hits.iter().filter_map(|hit| Some((words.place(hit)?, hit.score))).collect())
}

/// The `k` best rows, and those that are as good as the last of them.
fn best(
    searcher: &Searcher,
    words: &Words,
    query: &Query,
    k: usize,
    allowed: Option<&RowsOfFiles>,
) -> crate::Result<RowsOfFiles> {
    let filters: Vec<_> = words.parts.iter().map(|part| allowed.and_then(|own| part.live(Some(own)))).collect();
    let filters: Vec<_> = filters.iter().map(Option::as_ref).collect();
    let mut asked = k.saturating_add(SPARE);
    let hits = loop {
        let hits = searcher.top_k(query, asked, &filters).map_err(from_text)?;
        let is_tied =
            |last: &Hit| k.checked_sub(1).and_then(|at| hits.get(at)).is_some_and(|kth| kth.score <= last.score);
        if hits.len() < asked || !hits.last().is_some_and(is_tied) {
            break hits;
        }
        asked = asked.saturating_mul(4);
    };
    let mut found = RowsOfFiles::new();
    for (file, row) in hits.iter().filter_map(|hit| words.place(hit)) {
        found.entry(file).or_default().insert(row);
    }
    Ok(found)
}

/// All rows that match.
fn all(words: &Words, query: &Query) -> crate::Result<RowsOfFiles> {
    let mut found = RowsOfFiles::new();
    for part in words.parts.iter() {
        let Some(segment) = part.segment() else { continue };
        let rows = latentdb_text::matching(segment, query).map_err(from_text)?;
        for (file, row) in rows.into_iter().filter_map(|row| part.places.of(row)) {
            found.entry(file).or_default().insert(row);
        }
    }
    Ok(found)
}

/// The function; bound to a ranking or not.
#[derive(Debug)]
pub(crate) struct Score {
    ranking: Option<Arc<Ranking>>,
    signature: Signature,
}

/// The function as it is written.
pub(crate) fn function() -> ScalarUDF {
    ScalarUDF::new_from_impl(Score::with(None))
}

impl Score {
    fn with(ranking: Option<Arc<Ranking>>) -> Self {
        // Stable: it depends on the rows of a table, which a statement sees in one state.
        Self { ranking, signature: Signature::string(2, Volatility::Stable) }
    }

    /// The function that `expr` calls, if it is this one.
    pub(crate) fn of(expr: &Expr) -> Option<Self> {
        let Expr::ScalarFunction(call) = expr else { return None };
        let function: &dyn Any = call.func.inner().as_ref();
        function.downcast_ref::<Self>().map(|score| Self::with(score.ranking.clone()))
    }

    /// Column and query of a call.
    pub(crate) fn parts(&self, call: &Expr) -> Option<(Column, Expr)> {
        let Expr::ScalarFunction(ScalarFunction { args, .. }) = call else { return None };
        match args.as_slice() {
            [Expr::Column(column), query] => Some((column.clone(), query.clone())),
            _ => None,
        }
    }

    /// Column and query of a call that has no ranking yet.
    pub(super) fn unbound(&self, call: &Expr) -> Option<(Column, String)> {
        let (column, query) = self.parts(call).filter(|_| self.ranking.is_none())?;
        Some((column, query.as_literal()?.try_as_str().flatten()?.to_owned()))
    }

    /// Column and ranking of a call that has one.
    pub(super) fn ranked(&self, call: &Expr) -> Option<(Column, Arc<Ranking>)> {
        Some((self.parts(call)?.0, self.ranking.clone()?))
    }

    /// The call `call` with a ranking.
    pub(super) fn bound(call: Expr, ranking: Arc<Ranking>) -> Expr {
        match call {
            Expr::ScalarFunction(ScalarFunction { args, .. }) => {
                let function = Arc::new(ScalarUDF::new_from_impl(Self::with(Some(ranking))));
                Expr::ScalarFunction(ScalarFunction::new_udf(function, args))
            }
            other => other,
        }
    }
}

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        match (&self.ranking, &other.ranking) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl Eq for Score {}

impl Hash for Score {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ranking.as_ref().map(Arc::as_ptr).hash(state);
    }
}

impl ScalarUDFImpl for Score {
    fn name(&self) -> &str {
        "bm25"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let known = self.ranking.as_ref().and_then(|ranking| Some((ranking, ranking.searcher.get()?)));
        let Some((ranking, searcher)) = known else {
            let message = "bm25 ranks rows of a table: its first argument is a column of one, its second a constant";
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_hint("SELECT …, bm25(column) FROM table WHERE column @@ 'query'")
                .into());
        };
        let Some(texts) = args.args.first() else { return Err(Error::new(ErrorKind::Internal, "no argument").into()) };
        let texts = Texts::new(&texts.to_array(args.number_rows)?)?;
        let all = (0..args.number_rows).map(|row| texts.get(row));
        let scores: Float32Array = searcher.scores_of(&ranking.query, all).map_err(from_text)?.into_iter().collect();
        let scores: ArrayRef = Arc::new(scores);
        Ok(ColumnarValue::Array(scores))
    }
}
