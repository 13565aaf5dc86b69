//! `latentdb key`: keys of the HTTP API. A key is shown once, when it is made; the database keeps its hash.

use clap::Subcommand;
use latentdb_engine::{Error, ErrorKind, Result, Session, text_literal};
use rand::TryRngCore;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};

use super::database::{self, Purpose};
use super::format::OutputFormat;
use super::statements::Printer;
use super::{CliResult, Global};

/// Keys say what they are for, so that scanners for leaked secrets can find them.
const KEY_PREFIX: &str = "ldb_";
const KEY_BYTES: usize = 32;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeyAction {
    /// Make a key and print it
    #[command(after_help = "\
The key goes into the header x-api-key. It is shown only now; the database keeps its SHA-256.

Examples:
  latentdb key add --data ./mydb
  latentdb key add --data ./mydb --user ana --label notebook")]
    Add {
        /// User the key acts as; made if there is none of that name
        #[arg(long, default_value = "admin")]
        user: String,
        /// What the key is for
        #[arg(long, default_value = "")]
        label: String,
    },
    /// List the keys: whose they are and what for
    #[command(after_help = "Examples:\n  latentdb key list --data ./mydb")]
    List,
    /// Remove a key by the start of its hash, as `key list` shows it
    #[command(after_help = "Examples:\n  latentdb key remove 5f2c1a --data ./mydb")]
    Remove {
        /// First characters of the hash
        hash: String,
    },
}

pub(super) async fn run(global: &Global, action: KeyAction) -> CliResult {
    let purpose = if matches!(action, KeyAction::List) { Purpose::Read } else { Purpose::Write };
    let engine = database::open(global, purpose).await?;
    let session = engine.session("latentdb");
    match action {
        KeyAction::Add { user, label } => println!("{}", add(&session, &user, &label).await?),
        KeyAction::List => {
            let sql = "SELECT left(key_hash, 12) AS hash, user_id, label, created_at FROM api_keys ORDER BY created_at";
            Printer::new(OutputFormat::Table).run_all(&session, sql).await?;
        }
        KeyAction::Remove { hash } => remove(&session, &hash).await?,
    }
    drop(session);
    engine.close().await?;
    Ok(())
}

/// Makes a key for `user` and answers it.
async fn add(session: &Session, user: &str, label: &str) -> Result<String> {
    let key = new_key()?;
    let user_sql = text_literal(user);
    run_sql(
        session,
        &format!(
            "INSERT INTO users (user_id, name, created_at) SELECT {user_sql}, {user_sql}, now() \
             WHERE NOT EXISTS (SELECT 1 FROM users WHERE user_id = {user_sql})"
        ),
    )
    .await?;
    let hash = text_literal(&hash_key(&key));
    let label = if label.is_empty() { "NULL".to_owned() } else { text_literal(label) };
    let sql = format!(
        "INSERT INTO api_keys (key_hash, user_id, label, created_at) VALUES ({hash}, {user_sql}, {label}, now())"
    );
    run_sql(session, &sql).await?;
    Ok(key)
}

async fn remove(session: &Session, hash: &str) -> Result<()> {
    if hash.len() < 6 || !hash.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(Error::new(ErrorKind::InvalidValue, format!("{hash:?} is not the start of a key's hash"))
            .with_hint("give at least 6 characters, as `latentdb key list` shows them"));
    }
    let removed = run_sql(session, &format!("DELETE FROM api_keys WHERE starts_with(key_hash, '{hash}')")).await?;
    if removed == 0 {
        return Err(Error::new(ErrorKind::UndefinedObject, format!("no key's hash starts with {hash}")));
    }
    println!("removed {removed}");
    Ok(())
}

/// Runs one statement and answers how many rows it changed.
async fn run_sql(session: &Session, sql: &str) -> Result<u64> {
    let mut changed = 0;
    for statement in session.parse(sql)? {
        if let latentdb_engine::Outcome::Changed { rows, .. } = session.run(&statement).await? {
            changed += rows;
        }
    }
    Ok(changed)
}

fn new_key() -> Result<String> {
    let mut bytes = [0_u8; KEY_BYTES];
    OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| Error::new(ErrorKind::Io, format!("the system has no random numbers to give: {error}")))?;
    Ok(format!("{KEY_PREFIX}{}", hexadecimal(&bytes)))
}

/// The form in which a key is stored. Keys are long and random, so a plain hash cannot be guessed back.
pub(crate) fn hash_key(key: &str) -> String {
    hexadecimal(&Sha256::digest(key.as_bytes()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn keys_differ_and_hash_as_sha256_does() {
        assert_ne!(new_key().unwrap(), new_key().unwrap());
        assert_eq!(hash_key("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
