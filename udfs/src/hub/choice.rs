//! Which of a repository's files a model or a source needs.

use latentdb_engine::{Error, ErrorKind, Result};

use crate::location::HubPlace;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A model: its configuration, tokenizer and weights.
    Model,
    /// A model of sentence embeddings: a model, and how its tokens become one vector.
    Embedder,
    /// A source: weights, and what lies beside them that tells how they are read.
    Source,
}

const CONFIGURATIONS: &[&str] = &[".json", ".yaml", ".yml"];
const TENSORS: &[&str] = &[".safetensors", ".npz", ".pt", ".pth"];
/// Llama Scope's weights, in a folder below that of their configuration.
const BELOW: &str = "checkpoints/final.safetensors";

/// The files to fetch for `place` among a repository's `files`.
pub(super) fn choose(place: &HubPlace, files: &[String], wanted: Wanted) -> Result<Vec<String>> {
    let chosen = match (wanted, &place.path) {
        (Wanted::Model, path) => model(files, path.as_deref())?,
        (Wanted::Embedder, path) => {
            let folder = path.as_deref();
            let is_recipe = |file: &&String| {
                let name = inside(file, folder);
                name.is_some_and(|name| name == "vocab.txt" || name.ends_with("_Pooling/config.json"))
            };
            let mut all = model(files, folder)?;
            all.extend(files.iter().filter(is_recipe).cloned());
            all
        }
        (Wanted::Source, Some(path)) if files.contains(path) => beside(files, path),
        (Wanted::Source, path) => source(files, path.as_deref()),
    };
    let has_weights = chosen.iter().any(|file| ends_with(file, TENSORS));
    if has_weights {
        return Ok(chosen);
    }
    Err(Error::new(ErrorKind::UndefinedObject, format!("{place} holds no weights that can be read"))
        .with_hint(format!("https://huggingface.co/{}/tree/main shows what there is", place.repository)))
}

/// Files of a model: everything small beside the configuration, and `model*.safetensors`.
fn model(files: &[String], folder: Option<&str>) -> Result<Vec<String>> {
    let here: Vec<(&String, &str)> = files
        .iter()
        .filter_map(|file| Some((file, inside(file, folder)?)))
        .filter(|(_, name)| is_plain(name))
        .collect();
    let is_weights = |name: &str| name.starts_with("model") && name.ends_with(".safetensors");
    let has_pickles = here.iter().any(|(_, name)| name.starts_with("pytorch_model"));
    if has_pickles && !here.iter().any(|(_, name)| is_weights(name)) {
        return Err(Error::new(ErrorKind::Unsupported, "the repository has pytorch_model.bin and no safetensors")
            .with_hint("convert it, for instance with save_pretrained of transformers, and add the folder"));
    }
    let is_small =
        |name: &str| (name.ends_with(".json") && !name.ends_with(".bin.index.json")) || name.ends_with(".jinja");
    Ok(here.into_iter().filter(|(_, name)| is_weights(name) || is_small(name)).map(|(file, _)| file.clone()).collect())
}

/// Files of a source that is a folder.
fn source(files: &[String], folder: Option<&str>) -> Vec<String> {
    let is_part = |file: &&String| {
        inside(file, folder).is_some_and(|name| {
            name == BELOW || (is_plain(name) && (ends_with(name, CONFIGURATIONS) || ends_with(name, TENSORS)))
        })
    };
    files.iter().filter(is_part).cloned().collect()
}

/// A source that is one file, with the configurations in its folder and the other half of a cross-layer transcoder.
fn beside(files: &[String], path: &str) -> Vec<String> {
    let folder = path.rsplit_once('/').map(|(folder, _)| folder);
    let decoder = path.replacen("W_enc_", "W_dec_", 1);
    let is_part = |file: &&String| {
        *file == path
            || **file == decoder
            || inside(file, folder).is_some_and(|name| is_plain(name) && ends_with(name, CONFIGURATIONS))
    };
    files.iter().filter(is_part).cloned().collect()
}

/// The name of `file` in `folder`, if it lies there or below.
fn inside<'a>(file: &'a str, folder: Option<&str>) -> Option<&'a str> {
    match folder {
        Some(folder) => file.strip_prefix(folder)?.strip_prefix('/'),
        None => Some(file),
    }
}

fn is_plain(name: &str) -> bool {
    !name.contains('/')
}

fn ends_with(name: &str, ends: &[&str]) -> bool {
    ends.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::{Wanted, choose};
    use crate::location::Location;

    fn chosen(place: &str, files: &[&str], wanted: Wanted) -> Vec<String> {
        let Location::Hub(place) = place.parse().unwrap() else { panic!("{place} is not on the hub") };
        let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
        choose(&place, &files, wanted).unwrap()
    }

    #[test]
    fn a_model_is_its_configuration_tokenizer_and_safetensors() {
        let files = [
            "README.md",
            "config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "chat_template.jinja",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "consolidated.safetensors",
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
            "onnx/model.onnx",
            "original/params.json",
            "vocab.json",
        ];
        let found = chosen("hf:a/b", &files, Wanted::Model);
        assert_eq!(
            found,
            [
                "config.json",
                "tokenizer.json",
                "tokenizer_config.json",
                "chat_template.jinja",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model.safetensors.index.json",
                "vocab.json",
            ]
        );
    }

    #[test]
    fn a_source_is_a_folder_or_a_file_with_what_lies_beside_it() {
        let files = [
            "layer_0/width_16k/average_l0_105/params.npz",
            "layer_0/width_16k/average_l0_46/params.npz",
            "layer_0.safetensors",
            "layer_1.safetensors",
            "config.yaml",
            "wandb-config.yaml",
            "README.md",
            "L0R/hyperparams.json",
            "L0R/checkpoints/final.safetensors",
            "L0R/checkpoints/optimizer.pt",
            "W_enc_0.safetensors",
            "W_dec_0.safetensors",
            "W_dec_1.safetensors",
        ];
        let found = |place: &str| chosen(place, &files, Wanted::Source);
        assert_eq!(found("hf:a/b/layer_0/width_16k/average_l0_46"), ["layer_0/width_16k/average_l0_46/params.npz"]);
        assert_eq!(found("hf:a/b/layer_1.safetensors"), ["layer_1.safetensors", "config.yaml", "wandb-config.yaml"]);
        assert_eq!(found("hf:a/b/L0R"), ["L0R/hyperparams.json", "L0R/checkpoints/final.safetensors"]);
        assert_eq!(
            found("hf:a/b/W_enc_0.safetensors"),
            ["config.yaml", "wandb-config.yaml", "W_enc_0.safetensors", "W_dec_0.safetensors"]
        );
    }

    #[test]
    fn a_repository_without_readable_weights_is_refused() {
        let Location::Hub(place) = "hf:a/b".parse().unwrap() else { panic!("not on the hub") };
        let error = |files: &[&str], wanted| {
            let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
            choose(&place, &files, wanted).unwrap_err().to_string()
        };
        assert!(error(&["config.json", "pytorch_model.bin"], Wanted::Model).contains("no safetensors"));
        assert!(error(&["README.md"], Wanted::Source).contains("hf:a/b holds no weights"));
    }
}
