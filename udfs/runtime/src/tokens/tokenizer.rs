//! Texts to token ids and back.

use std::path::{Path, PathBuf};

use super::chat::{ChatTemplate, Message};
use super::special::Settings;
use crate::{Error, ErrorKind, Result};

/// Whether a BOS token is put in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bos {
    /// Exactly one, if the model has such a token: none is added to a text that starts with it.
    Prepend,
    /// None but what the text itself has.
    Omit,
}

/// A model's tokenizer.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    bos: Option<(u32, String)>,
    eos: Option<(u32, String)>,
    chat: Option<ChatTemplate>,
}

const FILE: &str = "tokenizer.json";

impl Tokenizer {
    /// Opens the tokenizer in a model's directory.
    ///
    /// # Errors
    /// `Io` if there is no `tokenizer.json`, `BadFile` if it makes no sense.
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let inner = read(&path)?;
        let settings = Settings::read(directory);
        let token = |name: &str| {
            let text = settings.token(name)?;
            inner.token_to_id(&text).map(|id| (id, text))
        };
        let (bos, eos) = (token("bos_token"), token("eos_token"));
        let own_file = std::fs::read_to_string(directory.join("chat_template.jinja")).ok();
        let chat = own_file.or_else(|| settings.chat_template()).map(ChatTemplate::new);
        Ok(Self { inner, bos, eos, chat })
    }

    /// Id of the BOS token, if the model has one.
    pub fn bos(&self) -> Option<u32> {
        self.bos.as_ref().map(|(id, _)| *id)
    }

    /// Id of the token that ends a text, if the model has one.
    pub fn eos(&self) -> Option<u32> {
        self.eos.as_ref().map(|(id, _)| *id)
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// `Internal` if the tokenizer fails.
    pub fn encode(&self, text: &str, bos: Bos) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(text, false).map_err(|error| failed("encode", &error))?;
        let ids = encoding.get_ids();
        match (&self.bos, bos) {
            (Some((id, name)), Bos::Prepend) if !text.starts_with(name.as_str()) => {
                let mut with_bos = Vec::with_capacity(ids.len() + 1);
                with_bos.push(*id);
                with_bos.extend_from_slice(ids);
                Ok(with_bos)
            }
            _ => Ok(ids.to_vec()),
        }
    }

    /// The text of tokens, special ones included.
    ///
    /// # Errors
    /// `Internal` if the tokenizer fails.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        self.inner.decode(tokens, false).map_err(|error| failed("decode", &error))
    }

    /// The text of each token by itself. Where a character is spread over several tokens, each is the replacement
    /// character.
    pub fn token_texts(&self, tokens: &[u32]) -> Vec<String> {
        tokens.iter().map(|token| self.inner.decode(&[*token], false).unwrap_or_default()).collect()
    }

    /// Id of the token that is written so in the vocabulary.
    pub fn token_id(&self, text: &str) -> Option<u32> {
        self.inner.token_to_id(text)
    }

    /// Whether a token is a special one, such as BOS.
    pub fn is_special(&self, token: u32) -> bool {
        self.inner.get_added_tokens_decoder().get(&token).is_some_and(|added| added.special)
    }

    /// A conversation as the model was trained to see it. `add_generation_prompt` opens the assistant's next turn.
    ///
    /// # Errors
    /// `Unsupported` if the model has no chat template, `BadFile` if it cannot be filled in.
    pub fn apply_chat(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let template = self.chat.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "the model has no chat template")
                .with_hint("it is a base model: give it a plain prompt")
        })?;
        let text = |token: &Option<(u32, String)>| token.as_ref().map(|(_, text)| text.clone()).unwrap_or_default();
        template.apply(messages, add_generation_prompt, &text(&self.bos), &text(&self.eos))
    }
}

fn read(path: &PathBuf) -> Result<tokenizers::Tokenizer> {
    if !path.is_file() {
        return Err(Error::new(ErrorKind::Io, format!("{}: the file is missing", path.display()))
            .with_hint("AutoTokenizer.from_pretrained(…).save_pretrained(…) writes it"));
    }
    tokenizers::Tokenizer::from_file(path)
        .map_err(|error| Error::new(ErrorKind::BadFile, format!("{}: {error}", path.display())))
}

fn failed(what: &str, error: &tokenizers::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("the tokenizer cannot {what}: {error}"))
}
