//! How a text's vector is made of its positions' vectors: the files of sentence-transformers beside the encoder's.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::pooling::Pooling;
use crate::{Error, ErrorKind, Result};

/// What sentence-transformers does around the encoder.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recipe {
    /// Where the encoder's own files are.
    pub(super) encoder: PathBuf,
    pub(super) pooling: Pooling,
    /// Whether vectors are brought to length 1.
    pub(super) is_normalized: bool,
    /// Tokens of a text beyond which it is cut, special ones counted, if the files say so.
    pub(super) max_tokens: Option<usize>,
    /// Whether texts are brought to lower case, whatever the tokenizer does by itself.
    pub(super) lower_case: bool,
}

/// An entry of `modules.json`.
#[derive(Debug, Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    path: PathBuf,
}

/// `sentence_bert_config.json`.
#[derive(Debug, Default, Deserialize)]
struct Limits {
    #[serde(default)]
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

impl Recipe {
    /// Reads `modules.json` in a directory and what it points to. Without it, vectors are means over positions and are not
    /// normalized, which is what sentence-transformers makes of a bare encoder.
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let modules = directory.join("modules.json");
        let mut recipe = match read_json::<Vec<Module>>(&modules)? {
            Some(found) => {
                let places = Places::of(&found, directory).map_err(|error| error.within(modules.display()))?;
                let pooling = Pooling::read(&places.pooling.join("config.json"))?;
                let (encoder, is_normalized) = (places.encoder, places.is_normalized);
                Self { encoder, pooling, is_normalized, ..Self::bare(directory) }
            }
            None => Self::bare(directory),
        };
        let limits: Limits = read_json(&recipe.encoder.join("sentence_bert_config.json"))?.unwrap_or_default();
        recipe.max_tokens = limits.max_seq_length;
        recipe.lower_case = limits.do_lower_case;
        check_prompt(directory)?;
        Ok(recipe)
    }

    fn bare(directory: &Path) -> Self {
        let encoder = directory.to_owned();
        Self { encoder, pooling: Pooling::Mean, is_normalized: false, max_tokens: None, lower_case: false }
    }
}

/// Where modules' files are, and which modules there are.
struct Places {
    encoder: PathBuf,
    pooling: PathBuf,
    is_normalized: bool,
}

impl Places {
    fn of(modules: &[Module], directory: &Path) -> Result<Self> {
        let kinds: Vec<&str> = modules.iter().map(Module::name).collect();
        let (encoder, pooling, is_normalized) = match (kinds.as_slice(), modules) {
            (["Transformer", "Pooling"], [encoder, pooling]) => (encoder, pooling, false),
            (["Transformer", "Pooling", "Normalize"], [encoder, pooling, _]) => (encoder, pooling, true),
            _ => {
                return Err(Error::new(ErrorKind::Unsupported, format!("the modules {kinds:?} are not supported"))
                    .with_hint("supported are Transformer and Pooling, with or without Normalize after them"));
            }
        };
        Ok(Self { encoder: encoder.place(directory)?, pooling: pooling.place(directory)?, is_normalized })
    }
}

impl Module {
    /// The class, without the Python module that it is in: that has changed with versions.
    fn name(&self) -> &str {
        self.kind.rsplit('.').next().unwrap_or(&self.kind)
    }

    /// Where the module's files are.
    fn place(&self, directory: &Path) -> Result<PathBuf> {
        if self.path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Ok(directory.join(&self.path));
        }
        Err(Error::new(ErrorKind::BadFile, format!("the path {} leaves the directory", self.path.display())))
    }
}

/// Refuses models that put something before every text: leaving it out would give other vectors.
fn check_prompt(directory: &Path) -> Result<()> {
    let path = directory.join("config_sentence_transformers.json");
    let settings: Option<Value> = read_json(&path)?;
    match settings.as_ref().and_then(|settings| settings.get("default_prompt_name")?.as_str()) {
        Some(prompt) => Err(Error::new(
            ErrorKind::Unsupported,
            format!("{}: a default prompt ({prompt:?}) is not supported", path.display()),
        )
        .with_hint("set default_prompt_name to null, and put the prompt before the texts yourself")),
        None => Ok(()),
    }
}

/// What a JSON file says, if there is such a file.
pub(super) fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Option<T>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::new(ErrorKind::Io, format!("{}: {error}", path.display()))),
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| Error::new(ErrorKind::BadFile, format!("{}: {error}", path.display())))
}
