//! What an interrupted import had finished: a manifest beside the database, one for each source.
//!
//! The manifest names the data files of every finished unit, and belongs to one state of the input: if any file
//! of the source has changed since, nothing of it is used. Contexts are the reason for that strictness: a
//! unit's rows may refer to contexts that another unit wrote.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use latentdb_engine::{Error, ErrorKind, Load, Result, StagedFile};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::contexts::Contexts;
use super::layout::{Kind, SourceAddress};
use super::location::InputFile;
use super::unit::Summary;

/// Version of the manifest's form; others are not read.
const FORM: u32 = 1;

/// A unit that is read and written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Finished {
    pub(crate) kind: Kind,
    /// Paths of the input files.
    pub(crate) inputs: Vec<String>,
    /// Data files that hold its rows.
    pub(crate) staged: Vec<StagedFile>,
    pub(crate) summary: Summary,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    form: u32,
    source: String,
    input: String,
    units: Vec<Finished>,
}

/// The manifest of one source's import.
#[derive(Debug)]
pub(crate) struct Manifest {
    path: PathBuf,
    contents: Contents,
}

impl Manifest {
    /// The manifest for `address` in `directory`, with what of it still holds: the input is the same, the data
    /// files are there and not committed yet, and nobody has stored their contexts meanwhile.
    ///
    /// Files of a manifest that does not hold are left to `VACUUM`: an import that was killed just after its commit
    /// leaves a manifest too, and then they are data.
    pub(crate) async fn open(
        directory: &Path,
        address: &SourceAddress,
        inputs: &[InputFile],
        load: &Load,
        contexts: &Contexts,
    ) -> Result<Self> {
        let name = xxh3_64(address.to_string().as_bytes());
        let mut manifest = Self {
            path: directory.join(format!("import-{name:016x}.json")),
            contents: Contents {
                form: FORM,
                source: address.to_string(),
                input: fingerprint(inputs),
                units: Vec::new(),
            },
        };
        let Some(found) = manifest.read() else { return Ok(manifest) };
        let ours = &manifest.contents;
        let mut usable = (found.form, &found.source, &found.input) == (ours.form, &ours.source, &ours.input);
        let mut units = found.units;
        for unit in &mut units {
            usable = usable && manifest.is_usable(unit, load, contexts).await?;
        }
        if usable {
            for unit in &units {
                contexts.add(&unit.summary.owned_contexts);
            }
            manifest.contents.units = units;
        } else {
            for path in units.iter().filter_map(|unit| manifest.ids_path(unit)) {
                let _ = fs::remove_file(path);
            }
        }
        Ok(manifest)
    }

    fn read(&self) -> Option<Contents> {
        // A manifest that cannot be read only means that all is read again.
        serde_json::from_slice(&fs::read(&self.path).ok()?).ok()
    }

    async fn is_usable(&self, unit: &mut Finished, load: &Load, contexts: &Contexts) -> Result<bool> {
        for file in &unit.staged {
            if load.is_committed(file)? || !load.is_present(file).await? {
                return Ok(false);
            }
        }
        if unit.kind == Kind::Activations {
            let Some((referred, owned)) = self.ids_path(unit).and_then(|path| read_ids(&path)) else {
                return Ok(false);
            };
            if contexts.any_known(&owned) {
                return Ok(false);
            }
            unit.summary.contexts = referred;
            unit.summary.owned_contexts = owned;
        }
        Ok(true)
    }

    /// Units that were finished before.
    pub(crate) fn units(&self) -> &[Finished] {
        &self.contents.units
    }

    /// Notes that a unit is finished.
    pub(crate) fn record(&mut self, unit: Finished) -> Result<()> {
        if let (Kind::Activations, Some(path)) = (unit.kind, self.ids_path(&unit)) {
            write_whole(&path, &ids_to_bytes(&unit.summary.contexts, &unit.summary.owned_contexts))?;
        }
        self.contents.units.push(unit);
        let json = serde_json::to_vec(&self.contents)
            .map_err(|error| Error::new(ErrorKind::Internal, format!("cannot write the import's progress: {error}")))?;
        write_whole(&self.path, &json)
    }

    /// Forgets everything: the import is committed.
    pub(crate) fn remove(self) {
        for path in self.contents.units.iter().filter_map(|unit| self.ids_path(unit)) {
            let _ = fs::remove_file(path);
        }
        let _ = fs::remove_file(&self.path);
    }

    /// Where a unit's context ids are kept: too many for JSON.
    fn ids_path(&self, unit: &Finished) -> Option<PathBuf> {
        let name = format!("{:016x}", xxh3_64(unit.inputs.join("\n").as_bytes()));
        Some(self.path.with_extension(format!("{name}.ids")))
    }
}

/// What changes when any input file does.
fn fingerprint(inputs: &[InputFile]) -> String {
    let mut lines: Vec<String> = inputs
        .iter()
        .map(|file| format!("{}\t{:?}\t{}", file.path, file.bytes, file.stamp.as_deref().unwrap_or_default()))
        .collect();
    lines.sort_unstable();
    format!("{:032x}", xxh3_128(lines.join("\n").as_bytes()))
}

fn ids_to_bytes(referred: &[i64], owned: &[i64]) -> Vec<u8> {
    let mut bytes = (referred.len() as u64).to_le_bytes().to_vec();
    for id in referred.iter().chain(owned) {
        bytes.extend_from_slice(&id.to_le_bytes());
    }
    bytes
}

fn read_ids(path: &Path) -> Option<(Vec<i64>, Vec<i64>)> {
    let bytes = fs::read(path).ok()?;
    let (count, rest) = bytes.split_first_chunk::<8>()?;
    let (ids, remainder) = rest.as_chunks::<8>();
    let all: Vec<i64> = ids.iter().map(|id| i64::from_le_bytes(*id)).collect();
    let (referred, owned) = all.split_at_checked(usize::try_from(u64::from_le_bytes(*count)).ok()?)?;
    remainder.is_empty().then(|| (referred.to_vec(), owned.to_vec()))
}

/// Writes a file so that it holds either its old content or all of the new.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Io, format!("cannot write the import's progress to {}: {error}", path.display()))
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(".tmp");
    let draft = PathBuf::from(draft);
    let mut file = fs::File::create(&draft).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&draft, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ids_survive_and_cut_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.ids");
        write_whole(&path, &ids_to_bytes(&[1, 2, i64::MAX], &[2])).unwrap();
        assert_eq!(read_ids(&path), Some((vec![1, 2, i64::MAX], vec![2])));
        let bytes = fs::read(&path).unwrap();
        for length in [0, 7, 8, 16, bytes.len() - 1] {
            fs::write(&path, &bytes[..length]).unwrap();
            assert_eq!(read_ids(&path), None, "{length} bytes");
        }
    }

    #[test]
    fn any_change_of_the_input_changes_its_fingerprint() {
        let file = |path: &str, bytes, stamp: Option<&str>| InputFile {
            path: path.to_owned(),
            bytes,
            stamp: stamp.map(str::to_owned),
        };
        let before = [file("a", Some(1), Some("x")), file("b", Some(2), None)];
        let same = [before[1].clone(), before[0].clone()];
        assert_eq!(fingerprint(&before), fingerprint(&same));
        for after in [
            vec![file("a", Some(1), Some("y")), file("b", Some(2), None)],
            vec![file("a", Some(3), Some("x")), file("b", Some(2), None)],
            vec![file("a", Some(1), Some("x"))],
        ] {
            assert_ne!(fingerprint(&before), fingerprint(&after));
        }
    }
}
