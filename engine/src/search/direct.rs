//! Searches without a plan: where the best rows of a table are, in order.
//!
//! What always holds: the rows are those that the plan of the same search would give, in an order that it could give. Distances
//! come from an index's codes, which are within about 10⁻⁵ of exact ones, and so may order near equals otherwise.

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::execution::SessionState;
use latentdb_vectors::Metric;

use super::bm25;
use super::indexes::Indexes;
use super::nearest::{self, Nearest};
use super::settings::SearchSettings;
use super::text_functions::parse;
use super::threads;
use super::values::{Texts, Vectors};
use super::words::Words;
use crate::Result;
use crate::storage::rows_by_place::Place;
use crate::storage::scan::ScanTarget;

/// A column of a table that is searched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Searched<'a> {
    pub table: &'a str,
    pub column: &'a str,
    pub target: &'a ScanTarget,
    /// Whose settings and indexes are used.
    pub state: &'a SessionState,
}

impl Searched<'_> {
    fn indexes(&self) -> Option<Arc<Indexes>> {
        self.state.config().get_extension::<Indexes>()
    }

    /// The `k` rows that match the text in `query` best, with their scores; `None` where this is not answered here.
    pub(crate) async fn best_by_words(&self, query: &ArrayRef, k: usize) -> Result<Option<Vec<(Place, f32)>>> {
        let Some(indexes) = self.indexes() else { return Ok(None) };
        let query = match Texts::new(query)?.get(0) {
            Some(text) => parse(&text)?,
            // Nothing matches a query that is not known.
            None => return Ok(Some(Vec::new())),
        };
        let use_indexes = SearchSettings::of(self.state).use_indexes;
        let index = indexes.text(self.table, self.column).filter(|_| use_indexes);
        let words = Words::gather(&indexes, index.as_deref(), self.target, self.state, self.column).await?;
        threads::search(bm25::is_brief(&words, &query)?, || bm25::best_rows(&words, &query, k)).await.map(Some)
    }

    /// The `k` rows whose vectors are nearest to the one in `vector`; `None` where no index answers this.
    pub(crate) async fn nearest(&self, vector: &ArrayRef, metric: Metric, k: usize) -> Result<Option<Vec<Place>>> {
        let settings = SearchSettings::of(self.state);
        let Some(indexes) = self.indexes().filter(|_| settings.use_indexes && !settings.vector_exact) else {
            return Ok(None);
        };
        let (Some(index), Some(vector)) =
            (indexes.vectors(self.table, self.column, metric), Vectors::new(vector)?.get(0).map(<[f32]>::to_vec))
        else {
            return Ok(None);
        };
        let column = self.column.to_owned();
        let wanted = Nearest { column, vector: Arc::new(vector), metric, k, ef: settings.vector_ef };
        let found = nearest::found(&index, self.target, self.state, &wanted, None).await?;
        // Behind the last vector come rows without one, which have to be read.
        Ok((found.len() >= k).then(|| found.into_iter().take(k).map(|(_, file, row)| (file, row)).collect()))
    }
}
