//! A name for all that an embedder's vectors depend on.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

use super::config::Config;
use super::recipe::Recipe;
use super::tokenizer::Tokenizer;
use crate::{Error, ErrorKind, Result};

/// Bytes that are read at a time.
const PIECE: usize = 1 << 20;

/// Such as `bert-6x384-mean-normalized-0123456789abcdef0123456789abcdef`: what it is, and a hash of the bytes of the
/// weights and of the tokenizer's file and of all settings that change a vector. It says nothing of where the files lie.
pub(super) fn identity(config: &Config, recipe: &Recipe, tokenizer: &Tokenizer, weights: &Path) -> Result<String> {
    let pooling = recipe.pooling.name();
    let scale = if recipe.is_normalized { "-normalized" } else { "" };
    let mut hash = Xxh3::new();
    for path in [weights, tokenizer.path()] {
        add_file(&mut hash, path).map_err(|error| Error::new(ErrorKind::Io, format!("{}: {error}", path.display())))?;
    }
    // Sizes are in the weights already, but for the heads.
    let Config { n_layers, n_heads, width, norm_eps, activation, .. } = config;
    let (longest, lower) = (tokenizer.max_tokens(), recipe.lower_case);
    let settings = format!("{n_heads} {norm_eps:e} {activation:?} {pooling}{scale} {longest} {lower}");
    hash.update(settings.as_bytes());
    Ok(format!("bert-{n_layers}x{width}-{pooling}{scale}-{:032x}", hash.digest128()))
}

fn add_file(hash: &mut Xxh3, path: &Path) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(()),
            read => hash.update(piece.get(..read).unwrap_or_default()),
        }
    }
}
