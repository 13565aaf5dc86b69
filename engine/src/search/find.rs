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
use super::words::TextFilter;
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
    /// The best by words; of an index, or of words gathered in memory.
    Ranked { question: Arc<Question>, index: Option<Arc<Index>> },
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
        for question in questions {
            let index = |found: Option<Arc<Index>>| found.filter(|_| settings.use_indexes);
            let what = match &question.wanted {
                Wanted::Nearest { metric, .. } => {
                    let found =
                        index(indexes.vectors(table, &question.column, *metric)).filter(|_| !settings.vector_exact);
                    let Some(index) = found else { continue };
                    Self::Nearest { question, index }
                }
                Wanted::Statistics(_) | Wanted::Best { .. } => {
                    let index = index(indexes.text(table, &question.column));
                    Self::Ranked { question, index }
                }
            };
            return Ok(Some((what, others)));
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
        What::Ranked { question, index } => {
            let words =
                super::words::Words::gather(&asked.indexes, index.as_deref(), target, state, &question.column).await?;
            bm25::answer(&words, question, target, state, filters).await
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
            What::Ranked { question, index: Some(index) } => write!(f, "index={}, {question}", index.definition.name),
            What::Ranked { question, index: None } => write!(f, "no index, words are gathered in memory, {question}"),
            What::Nearest { question, index } => write!(f, "index={}, {question}", index.definition.name),
        }
    }
}
