//! Who gets in, and how.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use latentdb_server::pg::{PgOptions, tls};
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

use super::raw::{Raw, states, tags};
use super::{Served, state};

fn pem(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/wire/tls").join(name)
}

fn with_password() -> PgOptions {
    PgOptions { require_password: true, ..PgOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_scram_logins_do_not_mix() {
    let served = Arc::new(Served::start_with(with_password()).await);
    for user in 0..4 {
        served.run(&format!("CREATE USER user{user} PASSWORD 'secret {user}'")).await;
    }
    let mut logins = JoinSet::new();
    for attempt in 0..24 {
        let (user, right) = (attempt % 4, attempt % 3 != 0);
        let served = Arc::clone(&served);
        logins.spawn(async move {
            let secret = if right { user } else { user + 1 };
            let login = served.login(&format!("user=user{user} password='secret {secret}' dbname=d")).await;
            match (right, login) {
                (true, Ok(client)) => {
                    let row = client.query_one("SELECT current_user", &[]).await.unwrap();
                    assert_eq!(row.get::<_, &str>(0), format!("user{user}"));
                }
                (false, Err(error)) => assert_eq!(state(&error), "28P01"),
                (right, login) => panic!("right: {right}, let in: {}", login.is_ok()),
            }
        });
    }
    while let Some(login) = logins.join_next().await {
        login.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_user_fails_like_a_wrong_password() {
    let served = Served::start_with(with_password()).await;
    served.run("CREATE USER ana PASSWORD 'right'").await;
    for user in ["ana", "nobody"] {
        let error = served.login(&format!("user={user} password=wrong dbname=d")).await.err().unwrap();
        assert_eq!(state(&error), "28P01");
        let message = error.as_db_error().unwrap().message().to_owned();
        assert_eq!(message, format!("password authentication failed for user \"{user}\""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_start_up_message_hold() {
    let served = Served::start().await;
    let client = served
        .login("user=ana dbname=d application_name=suite options='-c statement_timeout=7s -c TimeZone=Asia/Tokyo'")
        .await
        .unwrap();
    for (setting, value) in [("application_name", "suite"), ("statement_timeout", "7s"), ("TimeZone", "Asia/Tokyo")] {
        let row = client.query_one(&format!("SHOW {setting}"), &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), value);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_too_many_is_told_so() {
    let served = Served::start_with(PgOptions { max_connections: 1, ..PgOptions::default() }).await;
    let (mut first, _) = Raw::ready(served.address).await;
    let (_, told) = Raw::ready(served.address).await;
    assert_eq!(states(&told), ["53300"]);
    assert_eq!(tags(&first.query("SELECT 1").await), ["SELECT 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_ask_for_tls_are_answered() {
    const SSL_REQUEST: u32 = 80_877_103;
    let ask = async |options| {
        let served = Served::start_with(options).await;
        let mut raw = Raw::connect(served.address).await;
        raw.send_untyped(&SSL_REQUEST.to_be_bytes()).await;
        raw.socket.read_u8().await.unwrap()
    };
    assert_eq!(ask(PgOptions::default()).await, b'N');
    let tls = Some(tls::server_config(&pem("localhost.crt"), &pem("localhost.key")).unwrap());
    assert_eq!(ask(PgOptions { tls, ..PgOptions::default() }).await, b'S');
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_is_refused_where_tls_is_required() {
    let tls = Some(tls::server_config(&pem("localhost.crt"), &pem("localhost.key")).unwrap());
    let served = Served::start_with(PgOptions { tls, require_tls: true, ..PgOptions::default() }).await;
    let (_, told) = Raw::ready(served.address).await;
    assert_eq!(states(&told), ["28000"]);
}

#[test]
fn bad_tls_key_refuses_to_start() {
    for (certificate, key) in [
        ("localhost.crt", "other.key"),
        ("localhost.crt", "missing.key"),
        ("localhost.crt", "localhost.crt"),
        ("localhost.key", "localhost.key"),
        ("missing.crt", "localhost.key"),
    ] {
        let error = tls::server_config(&pem(certificate), &pem(key)).expect_err(certificate);
        assert!(error.message().starts_with("cannot use TLS"), "{error}");
    }
}
