//! The names of special tokens and the chat template, which Hugging Face's files give in several places and forms.

use std::path::Path;

use serde_json::Value;

/// Settings of `tokenizer_config.json` and, for what it leaves out, `special_tokens_map.json`; and a chat template's own file.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    config: Value,
    map: Value,
    template: Option<String>,
}

impl Settings {
    /// Reads what there is; files that are missing or no JSON say nothing.
    pub(super) fn read(directory: &Path) -> Self {
        let read = |name: &str| -> Value {
            let text = std::fs::read_to_string(directory.join(name)).unwrap_or_default();
            serde_json::from_str(&text).unwrap_or_default()
        };
        let template = std::fs::read_to_string(directory.join("chat_template.jinja")).ok();
        Self { config: read("tokenizer_config.json"), map: read("special_tokens_map.json"), template }
    }

    /// The text of a special token, such as `bos_token`: a string, or an object with a `content`.
    pub(super) fn token(&self, name: &str) -> Option<String> {
        let text = |value: &Value| value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned);
        // `null` in the first file means that there is none, whatever the second one says.
        match self.config.get(name) {
            Some(value) => text(value),
            None => self.map.get(name).and_then(text),
        }
    }

    /// The chat template, if there is one: its own file's, or of several the one called `default`.
    pub(super) fn chat_template(&self) -> Option<String> {
        if let Some(template) = &self.template {
            return Some(template.clone());
        }
        let template = self.config.get("chat_template")?;
        if let Some(text) = template.as_str() {
            return Some(text.to_owned());
        }
        let named =
            template.as_array()?.iter().find(|entry| entry.get("name").and_then(Value::as_str) == Some("default"));
        named?.get("template")?.as_str().map(str::to_owned)
    }
}
