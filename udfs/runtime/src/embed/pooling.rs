//! From the vectors of a text's positions to the text's.

use std::path::Path;

use serde_json::{Map, Value};

use super::recipe::read_json;
use crate::{Error, ErrorKind, Result};

/// How positions become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pooling {
    /// Their mean.
    Mean,
    /// The first one, which is that of `[CLS]`.
    Cls,
}

/// The flags of a pooling's `config.json`, and what they stand for.
const FLAGS: &[(&str, Pooling)] =
    &[("pooling_mode_mean_tokens", Pooling::Mean), ("pooling_mode_cls_token", Pooling::Cls)];
/// The same as one name, which newer files have.
const NAMES: &[(&str, Pooling)] = &[("mean", Pooling::Mean), ("cls", Pooling::Cls)];

/// What sentence-transformers divides by at least when it normalizes.
const LEAST_NORM: f64 = 1e-12;

impl Pooling {
    /// Reads a pooling's `config.json`. If it names none, it is the mean.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let fields: Map<String, Value> = read_json(path)?.ok_or_else(|| {
            Error::new(ErrorKind::Io, format!("{}: the file is missing", path.display()))
                .with_hint("modules.json names its folder; copy the whole folder of the model")
        })?;
        let modes = modes(&fields);
        if modes.is_empty() {
            return Ok(Self::Mean);
        }
        let known = FLAGS.iter().chain(NAMES).find(|(name, _)| modes == [*name]);
        known.map(|(_, pooling)| *pooling).ok_or_else(|| {
            let found = modes.join(" with ");
            Error::new(ErrorKind::Unsupported, format!("{}: pooling {found} is not supported", path.display()))
                .with_hint("supported is one of pooling_mode_mean_tokens and pooling_mode_cls_token")
        })
    }

    /// The vector of a text whose positions' vectors, each `width` wide, lie one after another.
    pub(super) fn apply(self, positions: &[f32], width: usize) -> Vec<f32> {
        let mut rows = positions.chunks_exact(width.max(1));
        let count = rows.len() as f32;
        let mut vector = rows.next().unwrap_or_default().to_vec();
        if self == Self::Mean {
            rows.for_each(|row| vector.iter_mut().zip(row).for_each(|(sum, value)| *sum += value));
            vector.iter_mut().for_each(|sum| *sum /= count);
        }
        vector
    }

    /// Name of it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
        }
    }
}

/// Names of the poolings that are switched on.
fn modes(fields: &Map<String, Value>) -> Vec<&str> {
    match fields.get("pooling_mode") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => {
            let flags = fields.iter().filter(|(name, _)| name.starts_with("pooling_mode_"));
            flags.filter(|(_, value)| value.as_bool() == Some(true)).map(|(name, _)| name.as_str()).collect()
        }
    }
}

/// Brings a vector to length 1.
pub(super) fn normalize(vector: &mut [f32]) {
    let square: f64 = vector.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
    let norm = square.sqrt().max(LEAST_NORM);
    vector.iter_mut().for_each(|value| *value = (f64::from(*value) / norm) as f32);
}

#[cfg(test)]
mod tests {
    use super::{Pooling, normalize};

    #[test]
    fn a_mean_a_first_position_and_a_length_of_one() {
        let positions = [1.0, 2.0, 3.0, 6.0, 5.0, 1.0];
        assert_eq!(Pooling::Mean.apply(&positions, 2), [3.0, 3.0]);
        assert_eq!(Pooling::Cls.apply(&positions, 2), [1.0, 2.0]);
        let mut vector = [3.0, 4.0];
        normalize(&mut vector);
        assert_eq!(vector, [0.6, 0.8]);
        let mut nothing = [0.0, 0.0];
        normalize(&mut nothing);
        assert_eq!(nothing, [0.0, 0.0]);
    }

    #[test]
    fn settings_that_name_one_known_pooling_are_read_and_others_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Pooling::read(&path).map_err(|error| error.to_string())
        };
        let flags = |on: &str| format!(r#"{{"word_embedding_dimension": 8, "pooling_mode_lasttoken": false, {on}}}"#);
        assert_eq!(
            read(&flags(r#""pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false"#)),
            Ok(Pooling::Mean)
        );
        assert_eq!(read(&flags(r#""pooling_mode_cls_token": true"#)), Ok(Pooling::Cls));
        assert_eq!(read(&flags(r#""pooling_mode": "cls""#)), Ok(Pooling::Cls));
        let both = read(&flags(r#""pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true"#)).unwrap_err();
        assert!(both.contains("pooling_mode_cls_token with pooling_mode_mean_tokens"), "{both}");
        assert!(read(&flags(r#""pooling_mode_max_tokens": true"#)).unwrap_err().contains("max_tokens"));
        assert_eq!(read("{}"), Ok(Pooling::Mean));
        assert!(read("[").unwrap_err().contains("config.json"));
        std::fs::remove_file(&path).unwrap();
        assert!(Pooling::read(&path).unwrap_err().message().contains("missing"));
    }
}
