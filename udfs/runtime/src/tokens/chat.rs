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

/// How a conversation becomes a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChatOptions {
    /// Whether the model is to think before it answers: the template's variable `enable_thinking`. Templates without it do as
    /// they are.
    pub enable_thinking: bool,
    /// Whether earlier turns keep their thoughts: the template's variable `preserve_thinking`.
    pub preserve_thinking: bool,
    /// Whether a last turn that is the assistant's is gone on with. Otherwise the assistant's next turn is opened.
    pub continues_last: bool,
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

    pub(super) fn apply(&self, messages: &[Message], options: ChatOptions, bos: &str, eos: &str) -> Result<String> {
        let is_open = |last: &&Message| last.role == "assistant" && !last.content.trim().is_empty();
        let open = messages.last().filter(is_open).filter(|_| options.continues_last);
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
            add_generation_prompt => open.is_none(),
            enable_thinking => options.enable_thinking,
            preserve_thinking => options.preserve_thinking,
            bos_token => bos,
            eos_token => eos,
        };
        let text = environment.render_str(&self.source, values).map_err(|error| {
            let said = error.detail().map_or_else(|| error.to_string(), str::to_owned);
            Error::new(ErrorKind::BadFile, format!("the chat template refuses this conversation: {said}"))
                .with_hint("roles are system, user and assistant, and many models want user and assistant in turns")
        })?;
        match open {
            Some(last) => up_to(&text, last.content.trim()),
            None => Ok(text),
        }
    }
}

/// A text up to the end of its last `part`.
fn up_to(text: &str, part: &str) -> Result<String> {
    let end = text.rfind(part).map(|start| start + part.len());
    end.and_then(|end| text.get(..end)).map(str::to_owned).ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, "the chat template changes the turn that is to be gone on with")
            .with_hint("end the conversation with a turn of the user's")
    })
}

#[cfg(test)]
mod tests {
    use super::{ChatOptions, ChatTemplate, Message};

    #[test]
    fn a_template_is_filled_in_and_may_refuse() {
        let template = ChatTemplate::new(
            "{{ bos_token }}{% for m in messages %}\n{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}\n\
             <{{ m['role'] }}>{{ m['content'].strip() }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
                .to_owned(),
        );
        let say = |role: &str| Message { role: role.to_owned(), content: " hi ".to_owned() };
        let plain = ChatOptions::default();
        assert_eq!(template.apply(&[say("user")], plain, "<b>", "").unwrap(), "<b><user>hi\n<assistant>");
        let begun = ChatOptions { continues_last: true, ..plain };
        assert_eq!(template.apply(&[say("user"), say("assistant")], begun, "", "").unwrap(), "<user>hi\n<assistant>hi");
        assert_eq!(template.apply(&[say("user")], begun, "", "").unwrap(), "<user>hi\n<assistant>");
        assert!(template.apply(&[say("system")], plain, "", "").unwrap_err().message().contains("no system"));
    }

    #[test]
    fn a_template_is_told_whether_the_model_is_to_think() {
        let template =
            ChatTemplate::new("{% if enable_thinking %}<think>{% else %}<think></think>{% endif %}".to_owned());
        let say = Message { role: "user".to_owned(), content: "hi".to_owned() };
        let thinking = ChatOptions { enable_thinking: true, ..ChatOptions::default() };
        let of = |options| template.apply(std::slice::from_ref(&say), options, "", "").unwrap();
        assert_eq!((of(thinking).as_str(), of(ChatOptions::default()).as_str()), ("<think>", "<think></think>"));
    }
}
