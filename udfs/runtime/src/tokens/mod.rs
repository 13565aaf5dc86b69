//! Tokenizers and chat templates, read from Hugging Face's files.

mod chat;
mod special;
mod tokenizer;

pub use chat::Message;
pub use tokenizer::{Bos, Tokenizer};
