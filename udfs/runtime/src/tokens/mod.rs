//! Tokenizers and chat templates, read from Hugging Face's files.

mod chat;
mod special;
mod tokenizer;
mod words;

pub use chat::{ChatOptions, Message};
pub use tokenizer::{Bos, Tokenizer};
