//! From a question to the rows that answer it.

use std::fmt;
use std::sync::Arc;

use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;

use super::bm25;
use super::index::Index;
use super::indexes::Indexes;
use super::nearest::{self, Nearest};
use super::question::{Question, Wanted};
use super::read::rows_where;
use super::rows::RowsOfFiles;
use super::settings::SearchSettings;
use super::words::{TextFilter, Words};
use crate::Result;
use crate::storage::scan::ScanTarget;

/// A question with the index that answers it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub indexes: Arc<Indexes>,
    pub what: What,
    pub settings: SearchSettings,
}

/// What is asked, and of whom.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// Rows that match, of an index.
    Matching { filter: TextFilter, index: Arc<Index> },
    /// What there is to know of words, and perhaps the best by them; of indexes, or of words gathered in memory.
    Ranked(Vec<(Arc<Question>, Option<Arc<Index>>)>),
    /// The nearest, of an index.
    Nearest { question: Arc<Question>, index: Arc<Index> },
}

impl What {
    /// What the filters of a scan of `table` ask for that an index answers better than a scan; none if nothing.
    pub(crate) fn of(
        indexes: &Indexes,
        table: &str,
        filters: &[Expr],
        settings: &SearchSettings,
    ) -> Result<Option<(Self, Vec<Expr>)>> {
        let (questions, others) = Question::among(filters);
        let of_index = |found: Option<Arc<Index>>| found.filter(|_| settings.use_indexes);
        let is_ranked = |question: &&Arc<Question>| !matches!(question.wanted, Wanted::Nearest { .. });
        // Rows cannot be ranked before their words are counted, so these questions come first, and all of them.
        let ranked: Vec<_> = questions.iter().filter(is_ranked).cloned().collect();
        if !ranked.is_empty() {
            let with_index = |question: Arc<Question>| {
                let index = of_index(indexes.text(table, &question.column));
                (question, index)
            };
            return Ok(Some((Self::Ranked(ranked.into_iter().map(with_index).collect()), others)));
        }
        for question in questions {
            let Wanted::Nearest { metric, .. } = &question.wanted else { continue };
            let found = of_index(indexes.vectors(table, &question.column, *metric));
            if let Some(index) = found.filter(|_| !settings.vector_exact) {
                return Ok(Some((Self::Nearest { question, index }, others)));
            }
        }
        if settings.use_indexes {
            for filter in others.iter().filter_map(TextFilter::of) {
                if let Some(index) = indexes.text(table, &filter.column) {
                    return Ok(Some((Self::Matching { filter, index }, others)));
                }
            }
        }
        Ok(None)
    }
}

/// The rows of `target` that are wanted, perhaps with others; none for all. `filters` are the scan's other filters.
pub(super) async fn find(
    target: &ScanTarget,
    state: &SessionState,
    asked: &Asked,
    filters: &[Expr],
) -> Result<Option<RowsOfFiles>> {
    match &asked.what {
        What::Matching { filter, index } => super::words::matching(index, target, filter).await.map(Some),
        What::Ranked(questions) => {
            let mut wanted = None;
            for (question, index) in questions {
                let (indexes, column) = (&asked.indexes, &question.column);
                let words = Words::gather(indexes, index.as_deref(), target, state, column).await?;
                // Each answer has all rows that are wanted, so one is enough.
                let rows = bm25::answer(&words, question, target, state, filters).await?;
                wanted = wanted.or(rows);
            }
            Ok(wanted)
        }
        What::Nearest { question, index } => {
            let Wanted::Nearest { vector, metric, k } = &question.wanted else { return Ok(None) };
            let wanted = Nearest {
                column: question.column.clone(),
                vector: Arc::clone(vector),
                metric: *metric,
                k: *k,
                ef: asked.settings.vector_ef,
            };
            let allowed = match filters.is_empty() {
                true => None,
                false => Some(rows_where(target, state, filters).await?),
            };
            nearest::nearest(index, target, state, &wanted, allowed).await
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Matching { filter, index } => write!(f, "index={}, {filter}", index.definition.name),
            What::Ranked(questions) => {
                let shown = questions.iter().map(|(question, index)| match index {
                    Some(index) => format!("index={}, {question}", index.definition.name),
                    None => format!("no index, words are gathered in memory, {question}"),
                });
                f.write_str(&shown.collect::<Vec<_>>().join("; "))
            }
            What::Nearest { question, index } => write!(f, "index={}, {question}", index.definition.name),
        }
    }
}
