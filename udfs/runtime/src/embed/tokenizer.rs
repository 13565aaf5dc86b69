//! Texts to the token ids that an encoder reads: with its special tokens, and cut where it ends.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{BertNormalizer, Lowercase, Sequence};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, PostProcessor, TruncationParams};

use super::recipe::read_json;
use crate::{Error, ErrorKind, Result};

/// An encoder's tokenizer.
#[derive(Debug)]
pub(super) struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// The file that it was read from.
    path: PathBuf,
}

/// What `tokenizer_config.json` says of a BERT's tokenizer; defaults are those of transformers.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Settings {
    do_lower_case: bool,
    strip_accents: Option<bool>,
    tokenize_chinese_chars: bool,
    /// As large as can be for "no limit".
    model_max_length: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { do_lower_case: true, strip_accents: None, tokenize_chinese_chars: true, model_max_length: f64::INFINITY }
    }
}

impl Tokenizer {
    /// Reads `tokenizer.json` or else `vocab.txt`. Texts will be cut at `max_tokens`, or if none are given at the
    /// tokenizer's own limit, and in any case at `n_positions`; special tokens count.
    pub(super) fn open(directory: &Path, max_tokens: Option<usize>, n_positions: usize) -> Result<Self> {
        let settings: Settings = read_json(&directory.join("tokenizer_config.json"))?.unwrap_or_default();
        let (whole, words) = (directory.join("tokenizer.json"), directory.join("vocab.txt"));
        let (path, read) = if whole.is_file() {
            let read = tokenizers::Tokenizer::from_file(&whole);
            (whole, read)
        } else if words.is_file() {
            let read = of_words(&words, &settings);
            (words, read)
        } else {
            return Err(Error::new(ErrorKind::Io, format!("{}: the file is missing", whole.display()))
                .with_hint("an encoder's directory has tokenizer.json, or vocab.txt in older ones"));
        };
        let inner = read.map_err(|error| bad(&path, &error))?;
        let own = settings.model_max_length.min(n_positions as f64) as usize;
        let mut tokenizer = Self { inner, path };
        tokenizer.cut_at(max_tokens.unwrap_or(own).min(n_positions))?;
        Ok(tokenizer)
    }

    /// Cuts texts so, and pads none, whatever the file says.
    fn cut_at(&mut self, max_tokens: usize) -> Result<()> {
        let special = self.inner.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        if max_tokens <= special {
            return Err(Error::new(
                ErrorKind::BadFile,
                format!("a longest text of {max_tokens} tokens leaves no room beside {special} special ones"),
            )
            .within(self.path.display()));
        }
        let cut = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
        self.inner.with_padding(None).with_truncation(Some(cut)).map_err(|error| bad(&self.path, &error))?;
        Ok(())
    }

    /// Brings texts to lower case before anything else, but for the names of special tokens.
    pub(super) fn lower_case(&mut self) -> Result<()> {
        let own = self.inner.get_normalizer().cloned();
        let all = std::iter::once(Lowercase.into()).chain(own).collect();
        self.inner.with_normalizer(Some(Sequence::new(all))).map_err(|error| bad(&self.path, &error))?;
        Ok(())
    }

    /// Tokens of the longest text, special ones counted.
    pub(super) fn max_tokens(&self) -> usize {
        self.inner.get_truncation().map_or(usize::MAX, |cut| cut.max_length)
    }

    /// The file that it was read from.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses tokens that an encoder with `d_vocab` of them does not know.
    pub(super) fn check_vocabulary(&self, d_vocab: usize) -> Result<()> {
        let largest = self.inner.get_vocab(true).into_iter().max_by_key(|(_, id)| *id);
        match largest {
            Some((token, id)) if id as usize >= d_vocab => Err(Error::new(
                ErrorKind::BadFile,
                format!("{}: {token:?} is token {id}, and the encoder has {d_vocab} of them", self.path.display()),
            )
            .with_hint("tokenizer and weights are of different models")),
            _ => Ok(()),
        }
    }

    /// The tokens of each text, on all cores.
    pub(super) fn encode(&self, texts: Vec<&str>) -> Result<Vec<Vec<u32>>> {
        let encodings = self
            .inner
            .encode_batch_fast(texts, true)
            .map_err(|error| Error::new(ErrorKind::Internal, format!("the tokenizer fails: {error}")))?;
        Ok(encodings.into_iter().map(|encoding| encoding.get_ids().to_vec()).collect())
    }
}

/// BERT's tokenizer over the words of `vocab.txt`, as transformers makes it.
fn of_words(path: &Path, settings: &Settings) -> tokenizers::Result<tokenizers::Tokenizer> {
    let words = WordPiece::from_file(&path.to_string_lossy()).unk_token("[UNK]".to_owned()).build()?;
    let mut tokenizer = tokenizers::Tokenizer::new(words);
    let special = ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"];
    let id = |name: &str| match tokenizer.token_to_id(name) {
        Some(id) => Ok((name.to_owned(), id)),
        None => Err(format!("the token {name} is missing")),
    };
    let (sep, cls) = (id("[SEP]")?, id("[CLS]")?);
    let known: Vec<AddedToken> =
        special.iter().filter_map(|name| id(name).ok()).map(|(name, _)| AddedToken::from(name, true)).collect();
    tokenizer.add_special_tokens(known)?;
    let lower = settings.do_lower_case;
    let normalizer = BertNormalizer::new(true, settings.tokenize_chinese_chars, settings.strip_accents, lower);
    tokenizer
        .with_normalizer(Some(normalizer))?
        .with_pre_tokenizer(Some(BertPreTokenizer))
        .with_post_processor(Some(BertProcessing::new(sep, cls)));
    Ok(tokenizer)
}

fn bad(path: &Path, error: &tokenizers::Error) -> Error {
    Error::new(ErrorKind::BadFile, format!("{}: {error}", path.display()))
}
