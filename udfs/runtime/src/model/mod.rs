//! Language models: one generic decoder-only transformer, read from Hugging Face's files.
