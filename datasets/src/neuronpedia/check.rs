//! What an import verifies before it commits: nothing lost on the way, and what in the data looks wrong.

use std::collections::BTreeMap;

use latentdb_engine::{Error, ErrorKind, Result, StagedFile};

use super::contexts::Contexts;
use super::index_set::IndexSet;
use super::layout::Kind;
use super::resume::Finished;

/// Features named in a warning before it breaks off.
const NAMED: usize = 5;

/// Checks the units against each other; answers warnings.
pub(crate) fn units(finished: &[Finished], contexts: &Contexts) -> Result<Vec<String>> {
    let features = features(finished)?;
    for unit in finished {
        if let Some(id) = contexts.first_missing(&unit.summary.contexts) {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("activations refer to context {id}, which nothing wrote"),
            ));
        }
    }
    let mut warnings = Vec::new();
    for kind in [Kind::Activations, Kind::Explanations] {
        let mut referred = IndexSet::default();
        for unit in finished.iter().filter(|unit| unit.kind == kind) {
            referred.absorb(&unit.summary.indices);
        }
        let missing = referred.without(&features);
        if !missing.is_empty() {
            let mut names: Vec<String> = missing.iter().take(NAMED).map(|index| index.to_string()).collect();
            if missing.len() > NAMED {
                names.push("…".to_owned());
            }
            let names = names.join(", ");
            warnings.push(format!("{} refer to {} features that are not there: {names}", kind.name(), missing.len()));
        }
    }
    let short: u64 = finished.iter().map(|unit| unit.summary.short_values).sum();
    if short > 0 {
        warnings.push(format!("{short} activations have fewer values than tokens; the rest counts as zero"));
    }
    Ok(warnings)
}

/// All features of the source; each may occur once.
fn features(finished: &[Finished]) -> Result<IndexSet> {
    let mut all = IndexSet::default();
    for unit in finished.iter().filter(|unit| unit.kind == Kind::Features) {
        if let Some(index) = all.absorb(&unit.summary.indices).iter().next() {
            let files = unit.inputs.join(", ");
            return Err(Error::new(
                ErrorKind::BadInput,
                format!("feature {index} occurs twice: in {files} and in another file"),
            ));
        }
    }
    Ok(all)
}

/// Checks that the data files hold as many rows as were read; answers the number by table.
pub(crate) fn staged(finished: &[Finished], staged: &[StagedFile]) -> Result<BTreeMap<String, u64>> {
    let mut read: BTreeMap<String, u64> = BTreeMap::new();
    for (table, rows) in finished.iter().flat_map(|unit| &unit.summary.rows) {
        *read.entry(table.clone()).or_default() += rows;
    }
    let mut written: BTreeMap<String, u64> = BTreeMap::new();
    for file in staged {
        *written.entry(file.table.clone()).or_default() += file.rows;
    }
    if read != written {
        return Err(Error::new(
            ErrorKind::Internal,
            format!("rows read and rows written differ: {read:?} and {written:?}"),
        ));
    }
    Ok(written)
}

/// Keys that nothing here stands for, by kind.
pub(crate) fn unknown_keys(finished: &[Finished]) -> BTreeMap<String, u64> {
    let mut unknown = BTreeMap::new();
    for unit in finished {
        for (key, count) in &unit.summary.unknown_keys {
            *unknown.entry(format!("{}.{key}", unit.kind.name())).or_default() += count;
        }
    }
    unknown
}
