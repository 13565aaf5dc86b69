//! Passwords as Postgres stores them: SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677), from which the
//! password cannot be had back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Error, ErrorKind, Result};

/// As many as Postgres does.
const ITERATIONS: u32 = 4096;
const PREFIX: &str = "SCRAM-SHA-256$";

/// The verifier of `password`; a verifier, as `\password` of psql sends it, stays as it is.
pub(crate) fn verifier(password: &str) -> Result<String> {
    if password.starts_with(PREFIX) && password.matches([':', '$']).count() == 4 {
        return Ok(password.to_owned());
    }
    if password.is_empty() {
        return Err(Error::new(ErrorKind::InvalidValue, "an empty password lets nobody in").with_hint("PASSWORD NULL"));
    }
    with_salt(password, Uuid::new_v4().as_bytes())
}

fn with_salt(password: &str, salt: &[u8]) -> Result<String> {
    let salted = salted(password.as_bytes(), salt)?;
    let client_key = sign(&salted, b"Client Key")?;
    let stored_key = Sha256::digest(client_key);
    let server_key = sign(&salted, b"Server Key")?;
    Ok(format!(
        "{PREFIX}{ITERATIONS}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored_key),
        STANDARD.encode(server_key)
    ))
}

/// `Hi` of RFC 5802, which is PBKDF2 for one block.
fn salted(password: &[u8], salt: &[u8]) -> Result<[u8; 32]> {
    let mut block = sign(password, &[salt, &1_u32.to_be_bytes()].concat())?;
    let mut sum = block;
    for _ in 1..ITERATIONS {
        block = sign(password, &block)?;
        for (total, byte) in sum.iter_mut().zip(block) {
            *total ^= byte;
        }
    }
    Ok(sum)
}

fn sign(key: &[u8], message: &[u8]) -> Result<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|error| Error::new(ErrorKind::Internal, format!("password could not be hashed: {error}")))?;
    mac.update(message);
    Ok(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The example of RFC 7677: its client proof follows from these keys.
    #[test]
    fn verifiers_agree_with_the_rfc() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = with_salt("pencil", &salt).unwrap();
        assert_eq!(
            verifier,
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn the_same_password_never_gives_the_same_verifier() {
        assert_ne!(verifier("secret").unwrap(), verifier("secret").unwrap());
        let made = verifier("secret").unwrap();
        assert_eq!(verifier(&made).unwrap(), made);
    }
}
