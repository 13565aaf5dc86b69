//! Ranks of features whose activations are spread over several data files.
//!
//! Each file's rows are ranked as they are written, which is right as long as a feature's rows stay together. They
//! do in every export we know of; where they do not, the files concerned are read once more, first for the values
//! alone and then to be written again with ranks that take all of a feature's rows into account.

use std::sync::Arc;

use latentdb_engine::Result;
use tokio::runtime::Handle;

use super::activations::{Activations, Place, Ranks, rank};
use super::index_set::IndexSet;
use super::resume::Finished;
use super::unit::Unit;

/// Rows read before their columns are thrown away.
const SURVEY_ROWS: usize = 4096;

/// Features that have rows in more than one data file.
pub(crate) fn split_features<'a>(units: impl Iterator<Item = &'a Finished>) -> IndexSet {
    let mut all = IndexSet::default();
    let mut split = IndexSet::default();
    for unit in units {
        let shared = all.absorb(&unit.summary.indices);
        for index in shared.iter().chain(unit.summary.split.iter()) {
            split.insert(index);
        }
    }
    split
}

/// Whether a unit has rows of any of `features`.
pub(crate) fn concerns(unit: &Finished, features: &IndexSet) -> bool {
    unit.summary.indices.iter().any(|index| features.contains(index))
}

/// Reads `units` for the rows of `features` and ranks them. Blocks.
pub(crate) fn survey(units: &[Unit], features: &IndexSet, runtime: &Handle) -> Result<Ranks> {
    let mut found: Vec<(Place, i32, f32)> = Vec::new();
    for unit in units {
        let mut rows = Activations::new(&unit.address, Arc::clone(&unit.contexts), None)?;
        unit.each_line(runtime, |file, line, text| {
            rows.read((file, line), text)?;
            if let (Some(index), Some(max)) = (rows.last_index(), rows.last_max())
                && features.contains(index)
            {
                found.push(((file, line), index, max));
            }
            if rows.reader.rows() == SURVEY_ROWS {
                rows.take();
            }
            Ok(())
        })?;
    }
    found.sort_unstable_by_key(|(place, ..)| *place);
    let keys: Vec<(i32, f32)> = found.iter().map(|(_, index, max)| (*index, *max)).collect();
    Ok(found.iter().map(|(place, ..)| *place).zip(rank(&keys)).collect())
}
