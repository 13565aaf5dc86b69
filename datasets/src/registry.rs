//! The public sources and models that are known by name: where they lie on the Hugging Face hub, and how they are read.
//!
//! The data, `registry/public.json.gz`, is made from SAELens' list of pretrained sources by `registry/make.py`.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use latentdb_engine::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

const DATA: &[u8] = include_bytes!("../registry/public.json.gz");

/// The registry. There is one, which is unpacked when it is first asked.
#[derive(Debug, Deserialize)]
pub struct Registry {
    models: BTreeMap<String, String>,
    releases: BTreeMap<String, Release>,
}

#[derive(Debug, Deserialize)]
struct Release {
    repo: String,
    model: String,
    format: String,
    #[serde(default)]
    overrides: Map<String, Value>,
    sources: Vec<Entry>,
}

/// In the order of the file: id, path if it is not the id, Neuronpedia's id, scaling factor, L0, hook point, k.
#[derive(Debug, Deserialize)]
struct Entry(String, Option<String>, Option<String>, Option<f64>, Option<f64>, Option<String>, Option<usize>);

/// A published source.
#[derive(Debug, Clone, PartialEq)]
pub struct PublicSource {
    /// Its release in SAELens.
    pub release: String,
    /// Its id within the release.
    pub id: String,
    /// Model that it was trained on, as SAELens calls it.
    pub model: String,
    /// Neuronpedia's `model/source`, if it is there.
    pub neuronpedia: Option<String>,
    /// Where its files are: `hf:org/repo/path`.
    pub location: String,
    /// How its files are laid out.
    pub format: String,
    /// Mean number of features active on a token, where it was published.
    pub l0: Option<f64>,
    /// What its files do not say of how they are read, by name.
    pub hints: Map<String, Value>,
}

impl PublicSource {
    /// `release/id`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.release, self.id)
    }
}

static REGISTRY: LazyLock<std::result::Result<Registry, String>> = LazyLock::new(|| {
    let mut text = String::new();
    GzDecoder::new(DATA).read_to_string(&mut text).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
});

impl Registry {
    /// The registry that is built in.
    ///
    /// # Errors
    /// If the built-in data is damaged.
    pub fn open() -> Result<&'static Self> {
        REGISTRY
            .as_ref()
            .map_err(|error| Error::new(ErrorKind::Internal, format!("the registry of public sources: {error}")))
    }

    /// All sources, release by release.
    pub fn sources(&self) -> impl Iterator<Item = PublicSource> {
        self.releases
            .iter()
            .flat_map(|(name, release)| release.sources.iter().map(|entry| entry.describe(name, release)))
    }

    /// The source of this name: Neuronpedia's `model/source`, or SAELens' `release/id`.
    pub fn source(&self, name: &str) -> Option<PublicSource> {
        let of_neuronpedia = |entry: &&Entry| entry.2.as_deref() == Some(name);
        let found = self.releases.iter().find_map(|(release_name, release)| {
            let entry = release.sources.iter().find(of_neuronpedia)?;
            Some(entry.describe(release_name, release))
        });
        found.or_else(|| {
            let (release_name, id) = name.split_once('/')?;
            let release = self.releases.get(release_name)?;
            let entry = release.sources.iter().find(|entry| entry.0 == id)?;
            Some(entry.describe(release_name, release))
        })
    }

    /// The sources whose names hold every one of `words`, in whatever order.
    pub fn find(&self, words: &[String]) -> Vec<PublicSource> {
        let words: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
        let holds_all = |source: &PublicSource| {
            let neuronpedia = source.neuronpedia.as_deref().unwrap_or_default();
            let text = format!("{} {} {} {neuronpedia} {}", source.release, source.id, source.model, source.location);
            let text = text.to_lowercase();
            words.iter().all(|word| text.contains(word.as_str()))
        };
        self.sources().filter(holds_all).collect()
    }

    /// The repository of the model that Neuronpedia, SAELens or TransformerLens calls `name`: `hf:org/repo`.
    pub fn model(&self, name: &str) -> Option<String> {
        self.models.get(name).map(|repository| format!("hf:{repository}"))
    }
}

impl Entry {
    fn describe(&self, release_name: &str, release: &Release) -> PublicSource {
        let Self(id, path, neuronpedia, scaling, l0, hook, k) = self;
        let mut hints = release.overrides.clone();
        hints.insert("format".to_owned(), json!(release.format));
        hints.insert("model_name".to_owned(), json!(release.model));
        if let Some(factor) = scaling {
            hints.insert("norm_scaling_factor".to_owned(), json!(factor));
        }
        if let Some(hook) = hook {
            hints.insert("hook_name".to_owned(), json!(hook));
        }
        if let Some(k) = k {
            hints.insert("k".to_owned(), json!(k));
        }
        if let Some(id) = neuronpedia {
            hints.insert("neuronpedia_id".to_owned(), json!(id));
        }
        PublicSource {
            release: release_name.to_owned(),
            id: id.clone(),
            model: release.model.clone(),
            neuronpedia: neuronpedia.clone(),
            location: format!("hf:{}/{}", release.repo, path.as_ref().unwrap_or(id)),
            format: release.format.clone(),
            l0: *l0,
            hints,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Registry;

    #[test]
    fn a_source_is_found_by_neuronpedias_id_and_by_saelens_name() {
        let registry = Registry::open().unwrap();
        // The id does not follow from the hook: the output of layer 11 is Neuronpedia's 12-res-jb.
        let source = registry.source("gpt2-small/12-res-jb").unwrap();
        assert_eq!(source.name(), "gpt2-small-res-jb/blocks.11.hook_resid_post");
        assert_eq!(source.location, "hf:jbloom/GPT2-Small-SAEs-Reformatted/blocks.11.hook_resid_post");
        assert_eq!(registry.source(&source.name()), Some(source));
        let source = registry.source("gemma-scope-2b-pt-att/layer_0/width_16k/average_l0_104").unwrap();
        assert_eq!(source.location, "hf:google/gemma-scope-2b-pt-att/layer_0/width_16k/average_l0_104");
        assert_eq!(source.hints["hook_name"], "blocks.0.attn.hook_z");
        assert_eq!(registry.source("gpt2-small/99-res-jb"), None);
    }

    #[test]
    fn what_files_do_not_say_comes_with_the_source() {
        let registry = Registry::open().unwrap();
        let hint = |source: &str, name: &str| registry.source(source).unwrap().hints.get(name).cloned();
        assert!(hint("llama3.1-8b/0-llamascope-res-32k", "norm_scaling_factor").unwrap().as_f64().unwrap() > 0.0);
        assert_eq!(hint("qwen-scope-3-1.7b-base-w32k-l50/layer0", "k").unwrap(), 50);
        assert_eq!(hint("gemma-2-2b/0-clt-hp", "format").unwrap(), "mntss_clt_layer_transcoder");
        assert_eq!(registry.model("gpt2-small").unwrap(), "hf:openai-community/gpt2");
    }

    #[test]
    fn names_are_unique_and_places_can_be_fetched() {
        let registry = Registry::open().unwrap();
        let mut names = HashSet::new();
        for source in registry.sources() {
            assert!(source.location.split('/').count() >= 3, "{}", source.location);
            assert!(source.neuronpedia.is_none_or(|id| names.insert(id)), "{}", source.location);
        }
        assert_eq!(names.len(), 2441);
    }

    #[test]
    fn words_narrow_the_list() {
        let registry = Registry::open().unwrap();
        let found =
            |words: &[&str]| registry.find(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).len();
        assert_eq!(found(&["gpt2-small-res-jb/", "resid"]), 0, "a release and an id are two words");
        assert_eq!(found(&["gpt2-small/", "RES-JB", "reformatted"]), 13);
        assert!(found(&["gemma"]) > found(&["gemma", "16k"]));
    }
}
