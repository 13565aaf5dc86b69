//! SCRAM-SHA-256: the client proves that it knows the password without sending it, against a stored
//! verifier. A user that does not exist fails in the same way, after the same exchange.

use std::hash::{BuildHasher, RandomState};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use latentdb_engine::Engine;
use pgwire::api::auth::sasl::scram::{SCRAM_ITERATIONS, ScramSecret, ScramServerAuth};
use pgwire::messages::startup::{Authentication, PasswordMessageFamily};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};

use super::errors::{Failure, code};
use super::wire::{Wire, guarded};

const MECHANISM: &str = "SCRAM-SHA-256";
const SALT_LENGTH: usize = 16;

/// Asks the client for a proof that it knows `user`'s password. All state is in this call, so that
/// logins at the same time cannot mix.
pub(super) async fn authenticate(wire: &mut Wire, engine: &Engine, user: &str, decoy: &Decoy) -> Result<(), Failure> {
    let stored = engine.password_verifier(user).await?;
    let known = stored.is_some();
    let secret = stored.as_deref().and_then(parse_verifier).unwrap_or_else(|| decoy.secret(user));

    wire.put(PgWireBackendMessage::Authentication(Authentication::SASL(vec![MECHANISM.to_owned()])))?;
    let first = guarded_response(wire, PasswordMessageFamily::into_sasl_initial_response).await?;
    if first.auth_method != MECHANISM {
        return Err(Failure::protocol(format!("client selected an unknown SASL mechanism: {}", first.auth_method)));
    }
    let first = first.data.ok_or_else(|| Failure::protocol("SASL initial response is empty"))?;
    let (challenge, exchange) = guarded(|| ScramServerAuth::new().on_client_first_message_with_secret(&first, secret))?;

    wire.put(PgWireBackendMessage::Authentication(Authentication::SASLContinue(challenge.into())))?;
    let proof = guarded_response(wire, PasswordMessageFamily::into_sasl_response).await?;
    match exchange.on_client_final_message(&proof.data) {
        Ok(confirmation) if known => {
            wire.put(PgWireBackendMessage::Authentication(Authentication::SASLFinal(confirmation.into())))
        }
        _ => Err(Failure::fatal(code::INVALID_PASSWORD, format!("password authentication failed for user \"{user}\""))),
    }
}

async fn guarded_response<T>(
    wire: &mut Wire,
    read: impl FnOnce(PasswordMessageFamily) -> pgwire::error::PgWireResult<T>,
) -> Result<T, Failure> {
    wire.flush().await?;
    match wire.receive().await? {
        Some(PgWireFrontendMessage::PasswordMessageFamily(message)) => guarded(|| read(message)),
        Some(_) => Err(Failure::protocol("expected a SASL response")),
        None => Err(Failure::Disconnected),
    }
}

/// Reads `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`.
fn parse_verifier(text: &str) -> Option<ScramSecret> {
    let mut parts = text.split('$');
    let (MECHANISM, derivation, keys, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let (iterations, salt) = derivation.split_once(':')?;
    let (stored_key, server_key) = keys.split_once(':')?;
    Some(ScramSecret::Verifier {
        salt: STANDARD.decode(salt).ok()?,
        iterations: iterations.parse().ok()?,
        stored_key: STANDARD.decode(stored_key).ok()?,
        server_key: STANDARD.decode(server_key).ok()?,
    })
}

/// Makes up verifiers for users that do not exist. A name gets the same salt each time, as a real user
/// would, or asking twice would tell who exists.
#[derive(Debug, Default)]
pub(super) struct Decoy {
    keyed: RandomState,
}

impl Decoy {
    fn secret(&self, user: &str) -> ScramSecret {
        let salt = [self.keyed.hash_one((0, user)), self.keyed.hash_one((1, user))].map(u64::to_be_bytes).concat();
        debug_assert_eq!(salt.len(), SALT_LENGTH);
        ScramSecret::Verifier {
            salt,
            iterations: SCRAM_ITERATIONS,
            stored_key: rand::random::<[u8; 32]>().to_vec(),
            server_key: rand::random::<[u8; 32]>().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifiers_are_read_as_postgres_stores_them() {
        let text = "SCRAM-SHA-256$4096:d2VsbCBzYWx0ZWQhISE=$AAAA:BBBB";
        assert!(matches!(
            parse_verifier(text),
            Some(ScramSecret::Verifier { iterations: 4096, salt, .. }) if salt == b"well salted!!!"
        ));
        assert!(parse_verifier("md5abcdef").is_none());
        assert!(parse_verifier("SCRAM-SHA-256$x:AAAA$AAAA:BBBB").is_none());
        assert!(parse_verifier("").is_none());
    }

    #[test]
    fn an_unknown_user_keeps_its_salt() {
        let decoy = Decoy::default();
        let salt = |user| match decoy.secret(user) {
            ScramSecret::Verifier { salt, .. } => salt,
            ScramSecret::SaltedPassword { salt, .. } => salt,
        };
        assert_eq!(salt("ana"), salt("ana"));
        assert_ne!(salt("ana"), salt("bob"));
    }
}
