//! The single rows of an export: model, release, source set, source.
//!
//! Keys without a column are kept in `extra`, so that an export gives them back.

use arrow::array::{ArrayRef, RecordBatch};
use latentdb_engine::{Error, ErrorKind, Result, text_literal};
use serde::de::DeserializeSeed;
use serde_json::{Map, Value};

use super::column::Column;
use super::fields::{column, table};
use super::layout::SourceAddress;
use super::lines::Lines;

/// One of the single-row files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RegistryFile {
    /// Name of the file.
    pub name: &'static str,
    /// Table the row goes to.
    pub table: &'static str,
    /// Keys and their columns.
    pub fields: &'static [(&'static str, &'static str)],
    /// Columns that say the row's identity.
    pub key: &'static [&'static str],
}

pub(crate) const MODEL: RegistryFile = RegistryFile {
    name: "model.jsonl",
    table: "models",
    key: &["model_id"],
    fields: &[
        ("id", "model_id"),
        ("displayName", "display_name"),
        ("layers", "n_layers"),
        ("dimension", "d_model"),
        ("neuronsPerLayer", "d_mlp"),
        ("instruct", "instruct"),
        ("owner", "owner"),
        ("website", "website"),
        ("creatorId", "creator_id"),
        ("createdAt", "created_at"),
    ],
};

pub(crate) const RELEASE: RegistryFile = RegistryFile {
    name: "release.jsonl",
    table: "releases",
    key: &["release_id"],
    fields: &[
        ("name", "release_id"),
        ("description", "description"),
        ("creatorName", "creator_name"),
        ("creatorEmail", "creator_email"),
        ("urls", "urls"),
        ("createdAt", "created_at"),
    ],
};

pub(crate) const SOURCE_SET: RegistryFile = RegistryFile {
    name: "sourceset.jsonl",
    table: "source_sets",
    key: &["model_id", "set_id"],
    fields: &[
        ("modelId", "model_id"),
        ("name", "set_id"),
        ("releaseName", "release_id"),
        ("description", "description"),
        ("creatorName", "creator_name"),
        ("creatorId", "creator_id"),
        ("urls", "urls"),
        ("createdAt", "created_at"),
    ],
};

pub(crate) const SOURCE: RegistryFile = RegistryFile {
    name: "source.jsonl",
    table: "sources",
    key: &["model_id", "source_id"],
    fields: &[
        ("id", "source_id"),
        ("modelId", "model_id"),
        ("setName", "set_id"),
        ("saelensConfig", "settings"),
        ("saelensRelease", "saelens_release"),
        ("saelensSaeId", "saelens_id"),
        ("hfRepoId", "hf_repo"),
        ("hfFolderId", "hf_folder"),
        ("dataset", "dataset"),
        ("num_prompts", "n_prompts"),
        ("num_tokens_in_prompt", "tokens_per_prompt"),
        ("cosSimMatchModelId", "nearest_model_id"),
        ("cosSimMatchSourceId", "nearest_source_id"),
        ("notes", "notes"),
        ("creatorId", "creator_id"),
        ("createdAt", "created_at"),
    ],
};

/// All of them, what others refer to first.
pub(crate) const FILES: [RegistryFile; 4] = [MODEL, RELEASE, SOURCE_SET, SOURCE];

impl RegistryFile {
    /// Reads the file's one row.
    pub(crate) fn read(&self, mut lines: Lines) -> Result<Option<Map<String, Value>>> {
        let Some(line) = lines.next_line()? else { return Ok(None) };
        let row = serde_json::from_slice(line);
        let row = row.map_err(|error| lines.bad(format!("not a JSON object: {}", first_words(&error.to_string()))))?;
        if lines.next_line()?.is_some() {
            return Err(lines.bad("there is a second row where one is expected"));
        }
        Ok(Some(row))
    }

    /// The row as columns. `derived` fills columns that no key stands for.
    pub(crate) fn to_batch(self, mut row: Map<String, Value>, derived: &[(&str, Value)]) -> Result<RecordBatch> {
        let table = table(self.table)?;
        let mut arrays: Vec<(&'static str, ArrayRef)> = Vec::with_capacity(table.columns.len());
        let mut append = |name: &str, value: Value| -> Result<()> {
            let (_, definition) = column(table, name)?;
            let mut column = Column::new(definition);
            let pushed = column.deserialize(value);
            pushed.map_err(|error| Error::new(ErrorKind::BadInput, format!("{}: {name}: {error}", self.name)))?;
            if column.last_is_null() && !definition.nullable {
                return Err(Error::new(ErrorKind::BadInput, format!("{}: {name} is missing", self.name)));
            }
            arrays.push((definition.name, column.finish()));
            Ok(())
        };
        for (key, name) in self.fields {
            append(name, row.remove(*key).unwrap_or(Value::Null))?;
        }
        for (name, value) in derived {
            append(name, value.clone())?;
        }
        let extra = if row.is_empty() { Value::Null } else { Value::String(Value::Object(row).to_string()) };
        append("extra", extra)?;
        RecordBatch::try_from_iter(arrays)
            .map_err(|error| Error::new(ErrorKind::Internal, format!("{}: {error}", self.name)))
    }

    /// The condition that selects the row in its table.
    pub(crate) fn predicate(&self, row: &Map<String, Value>) -> Option<String> {
        let mut conditions = Vec::new();
        for name in self.key {
            let (key, _) = self.fields.iter().find(|(_, column)| column == name)?;
            conditions.push(format!("{name} = {}", text_literal(row.get(*key)?.as_str()?)));
        }
        Some(conditions.join(" AND "))
    }
}

/// The four rows of a source, completed.
#[derive(Debug)]
pub(crate) struct Registry {
    /// The source they describe.
    pub address: SourceAddress,
    /// Each row with its file.
    pub rows: Vec<(RegistryFile, Map<String, Value>)>,
}

impl Registry {
    /// Completes what an export may lack. `found` holds the rows that were there; `fallback` is the address that the
    /// folder's name gives.
    pub(crate) fn complete(
        found: Vec<(RegistryFile, Map<String, Value>)>,
        fallback: Option<SourceAddress>,
    ) -> Result<Self> {
        let row =
            |file: &RegistryFile| found.iter().find(|(other, _)| other.name == file.name).map(|(_, row)| row.clone());
        let mut source = row(&SOURCE).unwrap_or_default();
        let id = |row: &Map<String, Value>, key: &str| row.get(key).and_then(Value::as_str).map(str::to_owned);
        let model_id = id(&source, "modelId").or_else(|| fallback.as_ref().map(|address| address.model_id.clone()));
        let source_id = id(&source, "id").or_else(|| fallback.map(|address| address.source_id));
        let (Some(model_id), Some(source_id)) = (model_id, source_id) else {
            return Err(Error::new(
                ErrorKind::BadInput,
                "source.jsonl is missing, and the folder's name does not tell the model and the source",
            )
            .with_hint("keep the folders as v1/{model}/{source}"));
        };
        let set_id = id(&source, "setName").unwrap_or_else(|| set_of(&source_id).to_owned());
        let text = |value: &str| Value::String(value.to_owned());
        source.insert("id".to_owned(), text(&source_id));
        source.insert("modelId".to_owned(), text(&model_id));
        source.insert("setName".to_owned(), text(&set_id));
        let mut model = row(&MODEL).unwrap_or_default();
        model.entry("id").or_insert_with(|| text(&model_id));
        let mut set = row(&SOURCE_SET).unwrap_or_default();
        set.entry("modelId").or_insert_with(|| text(&model_id));
        set.entry("name").or_insert_with(|| text(&set_id));
        for (file, row, key, expected) in [
            (MODEL, &model, "id", &model_id),
            (SOURCE_SET, &set, "modelId", &model_id),
            (SOURCE_SET, &set, "name", &set_id),
        ] {
            if row.get(key).and_then(Value::as_str) != Some(expected) {
                return Err(Error::new(
                    ErrorKind::BadInput,
                    format!("{}: {key} is not \"{expected}\" as source.jsonl has it", file.name),
                ));
            }
        }
        let mut rows = vec![(MODEL, model), (SOURCE_SET, set), (SOURCE, source)];
        rows.extend(row(&RELEASE).map(|release| (RELEASE, release)));
        Ok(Self { address: SourceAddress { model_id, source_id }, rows })
    }

    /// The rows as columns of their tables.
    pub(crate) fn batches(&self) -> Result<Vec<(RegistryFile, RecordBatch)>> {
        let batch = |(file, row): &(RegistryFile, Map<String, Value>)| {
            let derived = if file.name == SOURCE.name { derived_of_source(&self.address, row) } else { Vec::new() };
            Ok((*file, file.to_batch(row.clone(), &derived)?))
        };
        self.rows.iter().map(batch).collect()
    }
}

/// The source set in a source's id: `{layer}-{set}[__extra]`; a bare layer number is a layer of neurons.
fn set_of(source_id: &str) -> &str {
    let set = source_id.split_once('-').map_or("neurons", |(_, set)| set);
    set.split("__").next().unwrap_or(set)
}

/// Columns of a source that its record implies.
fn derived_of_source(address: &SourceAddress, row: &Map<String, Value>) -> Vec<(&'static str, Value)> {
    let layer = address.source_id.split('-').next().and_then(|layer| layer.parse::<i32>().ok());
    let settings = row.get("saelensConfig");
    let setting = |name: &str| {
        let inner = settings.and_then(|settings| settings.get(name));
        let metadata = settings.and_then(|settings| settings.get("metadata")).and_then(|metadata| metadata.get(name));
        inner.or(metadata).filter(|value| !value.is_object() && !value.is_array()).cloned().unwrap_or(Value::Null)
    };
    let repository = row.get("hfRepoId").and_then(Value::as_str).filter(|repository| !repository.is_empty());
    let folder = row.get("hfFolderId").and_then(Value::as_str).filter(|folder| !folder.is_empty());
    let weights = repository.map(|repository| match folder {
        Some(folder) => format!("hf:{repository}/{folder}"),
        None => format!("hf:{repository}"),
    });
    vec![
        ("layer", Value::from(layer)),
        ("hook_point", setting("hook_name")),
        ("architecture", setting("architecture")),
        ("d_sae", setting("d_sae")),
        ("weights_uri", Value::from(weights)),
    ]
}

fn first_words(message: &str) -> &str {
    message.split(" at line ").next().unwrap_or(message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use arrow::array::AsArray;
    use arrow::datatypes::Int32Type;
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("not an object") };
        map
    }

    #[test]
    fn what_has_no_column_is_kept_in_extra() {
        let row = object(
            json!({"id": "m", "layers": 12, "tlensId": null, "visibility": "PUBLIC", "createdAt": "2026-11-23T13:47:13.958972"}),
        );
        let batch = MODEL.to_batch(row, &[]).unwrap();
        let extra: Value = serde_json::from_str(batch["extra"].as_string::<i32>().value(0)).unwrap();
        assert_eq!(extra, json!({"tlensId": null, "visibility": "PUBLIC"}));
        assert_eq!(batch["n_layers"].as_primitive::<Int32Type>().value(0), 12);
    }

    #[test]
    fn an_export_without_its_registry_files_goes_by_the_folders_names() {
        let address = SourceAddress::parse("m/10-res-jb__feature-split").unwrap();
        let registry = Registry::complete(Vec::new(), Some(address.clone())).unwrap();
        assert_eq!(registry.address, address);
        let batches = registry.batches().unwrap();
        let (_, source) = batches.iter().find(|(file, _)| file.table == "sources").unwrap();
        assert_eq!(source["set_id"].as_string::<i32>().value(0), "res-jb");
        assert_eq!(source["layer"].as_primitive::<Int32Type>().value(0), 10);
        assert!(Registry::complete(Vec::new(), None).is_err());
        assert_eq!(set_of("5"), "neurons");
    }

    #[test]
    fn sources_know_their_settings() {
        let row = object(json!({"id": "3-tc", "modelId": "m", "setName": "tc", "hfRepoId": "o/r", "hfFolderId": "f",
            "saelensConfig": {"d_sae": 24576, "architecture": "jumprelu", "metadata": {"hook_name": "blocks.3.ln2"}}}));
        let registry = Registry::complete(vec![(SOURCE, row)], None).unwrap();
        let batches = registry.batches().unwrap();
        let (_, source) = batches.iter().find(|(file, _)| file.table == "sources").unwrap();
        assert_eq!(source["d_sae"].as_primitive::<Int32Type>().value(0), 24576);
        assert_eq!(source["hook_point"].as_string::<i32>().value(0), "blocks.3.ln2");
        assert_eq!(source["weights_uri"].as_string::<i32>().value(0), "hf:o/r/f");
        let settings: Value = serde_json::from_str(source["settings"].as_string::<i32>().value(0)).unwrap();
        assert_eq!(settings["architecture"], "jumprelu");
    }

    #[test]
    fn rows_that_contradict_each_other_are_refused() {
        let source = object(json!({"id": "0-a", "modelId": "m", "setName": "a"}));
        let error =
            Registry::complete(vec![(SOURCE, source), (MODEL, object(json!({"id": "other"})))], None).unwrap_err();
        assert!(error.message().contains("model.jsonl"), "{error}");
    }
}
