//! Configurations that SAELens wrote before version 6, in the terms of version 6.

use serde_json::{Map, Value, json};

use super::super::config::Settings;
use crate::Result;

const RENAMED: &[(&str, &str)] = &[
    ("hook_point", "hook_name"),
    ("hook_point_head_index", "hook_head_index"),
    ("activation_fn_str", "activation_fn"),
];

/// Whether a configuration is older than version 6.
pub(super) fn is_old(settings: &Settings) -> bool {
    let nested = settings.map().get("metadata").and_then(|metadata| metadata.get("sae_lens_version"));
    let version = settings.map().get("sae_lens_version").or(nested).and_then(Value::as_str);
    let major = version.and_then(|version| version.split('.').next()).and_then(|major| major.parse::<u32>().ok());
    major.is_none_or(|major| major < 6)
}

/// The same configuration in the terms of version 6; what is not known stays, and counts as metadata.
pub(super) fn modernise(mut settings: Settings, overrides: &Map<String, Value>) -> Result<Settings> {
    let map = settings.map_mut();
    for (old, new) in RENAMED {
        if let Some(value) = map.remove(*old) {
            map.insert((*new).to_string(), value);
        }
    }
    for (key, value) in [("prepend_bos", true), ("apply_b_dec_to_input", true)] {
        map.entry(key).or_insert(Value::Bool(value));
    }
    let is_topk = map.get("activation_fn").and_then(Value::as_str) == Some("topk");
    let k = map.get("activation_fn_kwargs").and_then(|kwargs| kwargs.get("k")).cloned();
    if let (true, Some(k)) = (is_topk, k) {
        map.insert("architecture".to_string(), json!("topk"));
        map.insert("k".to_string(), k);
    }
    let normalization = match map.get("normalize_activations") {
        Some(Value::Bool(true)) => json!("expected_average_only_in"),
        Some(Value::Bool(false) | Value::Null) | None => json!("none"),
        Some(other) => other.clone(),
    };
    map.insert("normalize_activations".to_string(), normalization);
    // What a caller overrides is in the terms of version 6 already.
    map.extend(overrides.clone());
    Ok(settings)
}
