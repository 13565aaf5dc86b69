//! Embeddings from elsewhere: any server that speaks OpenAI's `POST …/embeddings`, in place of the model of this machine
//! (`latentdb_runtime::embed`).
//!
//! OpenAI, Azure, Mistral and Together do, and on one's own machines vLLM, llama.cpp, Ollama and Text Embeddings Inference. Texts
//! leave this machine: nothing here is used unless somebody names an address.

mod answer;
mod endpoint;
mod options;
mod refusal;
mod retry;

pub use endpoint::EmbeddingEndpoint;
pub use options::EndpointOptions;
