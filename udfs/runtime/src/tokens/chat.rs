//! Chat templates: Jinja, with what Hugging Face adds to it.

use minijinja::value::Kwargs;
use minijinja::{Environment, ErrorKind as JinjaKind, context};
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

/// A model's chat template.
#[derive(Debug, Clone)]
pub(super) struct ChatTemplate {
    source: String,
}

impl ChatTemplate {
    pub(super) fn new(source: String) -> Self {
        Self { source }
    }

    pub(super) fn apply(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        bos: &str,
        eos: &str,
    ) -> Result<String> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function(
            "raise_exception",
            |message: String| -> std::result::Result<String, minijinja::Error> {
                Err(minijinja::Error::new(JinjaKind::InvalidOperation, message))
            },
        );
        environment.add_function("strftime_now", |format: String, _options: Kwargs| {
            chrono::Local::now().format(&format).to_string()
        });
        let values = context! {
            messages => messages,
            add_generation_prompt => add_generation_prompt,
            bos_token => bos,
            eos_token => eos,
        };
        environment.render_str(&self.source, values).map_err(|error| {
            let said = error.detail().map_or_else(|| error.to_string(), str::to_owned);
            Error::new(ErrorKind::BadFile, format!("the chat template refuses this conversation: {said}"))
                .with_hint("roles are system, user and assistant, and many models want user and assistant in turns")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{ChatTemplate, Message};

    #[test]
    fn a_template_is_filled_in_and_may_refuse() {
        let template = ChatTemplate::new(
            "{{ bos_token }}{% for m in messages %}\n{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}\n\
             <{{ m['role'] }}>{{ m['content'].strip() }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
                .to_owned(),
        );
        let say = |role: &str| Message { role: role.to_owned(), content: " hi ".to_owned() };
        assert_eq!(template.apply(&[say("user")], true, "<b>", "").unwrap(), "<b><user>hi\n<assistant>");
        assert!(template.apply(&[say("system")], true, "", "").unwrap_err().message().contains("no system"));
    }
}
