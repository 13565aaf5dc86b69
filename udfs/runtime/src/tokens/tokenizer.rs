//! Texts to token ids and back.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::chat::{ChatOptions, ChatTemplate, Message};
use super::special::Settings;
use super::words::is_word_like;
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
    texts: OnceLock<Vec<String>>,
    words: OnceLock<Vec<bool>>,
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
        let chat = settings.chat_template().map(ChatTemplate::new);
        Ok(Self { inner, bos, eos, chat, texts: OnceLock::new(), words: OnceLock::new() })
    }

    /// Whether the model in a directory has a chat template. Nothing is opened but the files that would say so.
    pub fn has_chat_template(directory: &Path) -> bool {
        Settings::read(directory).chat_template().is_some()
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

    /// Of each token, whether it is a word or a number, and no punctuation or special token. Found out when it is first asked.
    pub fn word_like(&self) -> &[bool] {
        self.words.get_or_init(|| self.vocabulary().iter().map(|text| is_word_like(text)).collect())
    }

    /// The first token whose text is this one, or is but for blanks around it.
    pub fn token_with_text(&self, text: &str) -> Option<u32> {
        let find = |is_it: &dyn Fn(&String) -> bool| self.vocabulary().iter().position(is_it);
        let exact = find(&|known| known == text);
        exact.or_else(|| find(&|known| known.trim() == text.trim())).and_then(|token| u32::try_from(token).ok())
    }

    /// The texts of all tokens. Made when they are first wanted.
    fn vocabulary(&self) -> &[String] {
        self.texts.get_or_init(|| {
            let tokens: Vec<u32> = (0..self.inner.get_vocab_size(true) as u32).collect();
            self.token_texts(&tokens)
        })
    }

    /// A conversation as the model was trained to see it, with the assistant's next turn opened.
    ///
    /// # Errors
    /// `Unsupported` if the model has no chat template, `BadFile` if it cannot be filled in.
    pub fn apply_chat(&self, messages: &[Message], options: ChatOptions) -> Result<String> {
        let template = self.chat.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "the model has no chat template")
                .with_hint("it is a base model: give it a plain prompt")
        })?;
        let text = |token: &Option<(u32, String)>| token.as_ref().map(|(_, text)| text.clone()).unwrap_or_default();
        template.apply(messages, options, &text(&self.bos), &text(&self.eos))
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
