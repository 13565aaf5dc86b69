//! The tokens that end a text, which files name in up to three places.

use std::path::Path;

use serde_json::Value;

use crate::tokens::Tokenizer;

/// Those that `generation_config.json` names, or else `config.json`; and the tokenizer's.
pub(super) fn ends(directory: &Path, tokenizer: &Tokenizer) -> Vec<u32> {
    let named = ["generation_config.json", "config.json"].iter().find_map(|file| read(&directory.join(file)));
    let mut ends = named.unwrap_or_default();
    ends.extend(tokenizer.eos());
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// `eos_token_id`, a number or several. Files that are missing or no JSON name none.
fn read(path: &Path) -> Option<Vec<u32>> {
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
    let number = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let named = json.get("eos_token_id").or_else(|| json.get("text_config")?.get("eos_token_id"))?;
    match named {
        Value::Array(several) => Some(several.iter().filter_map(number).collect()),
        one => number(one).map(|id| vec![id]),
    }
}
