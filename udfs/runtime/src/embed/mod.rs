//! Sentence embeddings: texts to vectors whose direction says what they are about.
//!
//! [`TextEmbedder`] runs a BERT encoder from Hugging Face's files and makes one vector of each text as the files of
//! sentence-transformers say: the mean of all positions or the first one, and of length 1 or as it comes. The vectors are
//! those of `SentenceTransformer.encode`, to rounding.
//!
//! Activations are packed as those of language models are ([`Batch`](crate::model::Batch)): there is no padding, and no
//! text can change another's vector.

mod attention;
mod batches;
mod config;
mod embedder;
mod encoder;
mod identity;
mod load;
mod pooling;
mod recipe;
mod tile;
mod tokenizer;

pub use embedder::TextEmbedder;
