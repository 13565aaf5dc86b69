//! Messages, tags, states and formats.

use tokio::io::AsyncWriteExt;
use tokio_postgres::SimpleQueryMessage;

use super::raw::{self, Raw, extended, kinds, states, tags};
use super::{Served, state};

#[tokio::test(flavor = "multi_thread")]
async fn start_up_tells_what_drivers_rely_on() {
    let served = Served::start().await;
    let (_raw, told) = Raw::ready(served.address).await;
    let statuses: Vec<(String, String)> = told
        .iter()
        .filter(|message| message.kind == 'S')
        .map(|message| {
            let text = String::from_utf8(message.body.clone()).unwrap();
            let (name, value) =
                text.trim_end_matches('\0').split_once('\0').unwrap_or((text.trim_end_matches('\0'), ""));
            (name.to_owned(), value.to_owned())
        })
        .collect();
    for (name, value) in [
        ("server_version", "16.4"),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("integer_datetimes", "on"),
        ("standard_conforming_strings", "on"),
        ("session_authorization", "ana"),
        ("in_hot_standby", "off"),
    ] {
        assert!(statuses.contains(&(name.to_owned(), value.to_owned())), "{name} in {statuses:?}");
    }
    assert!(kinds(&told).starts_with('R') && kinds(&told).ends_with("KZ"));
    assert_eq!(told.last().unwrap().body, b"I");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_query_may_hold_several_statements() {
    let served = Served::start().await;
    let (mut raw, _) = Raw::ready(served.address).await;
    let answer = raw.query("SELECT 1; SELECT 2, 3 WHERE false;").await;
    assert_eq!(kinds(&answer), "TDCTCZ");
    assert_eq!(tags(&answer), ["SELECT 1", "SELECT 0"]);
    assert_eq!(kinds(&raw.query("").await), "IZ");
    assert_eq!(kinds(&raw.query("-- nothing").await), "IZ");
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_and_transaction_states_are_those_of_postgres() {
    let served = Served::start().await;
    let (mut raw, _) = Raw::ready(served.address).await;
    for (sql, tag, transaction) in [
        ("CREATE TABLE t (id bigint, name text)", "CREATE TABLE", b"I"),
        ("INSERT INTO t VALUES (1, 'a'), (2, 'b')", "INSERT 0 2", b"I"),
        ("BEGIN", "BEGIN", b"T"),
        ("UPDATE t SET name = 'c' WHERE id = 2", "UPDATE 1", b"T"),
        ("DELETE FROM t WHERE id = 1", "DELETE 1", b"T"),
        ("ROLLBACK", "ROLLBACK", b"I"),
        ("SELECT * FROM t", "SELECT 2", b"I"),
        ("SET statement_timeout = '1min'", "SET", b"I"),
        ("SHOW statement_timeout", "SHOW", b"I"),
    ] {
        let answer = raw.query(sql).await;
        assert_eq!(tags(&answer), [tag], "{sql}: {answer:?}");
        assert_eq!(answer.last().unwrap().body, transaction, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_transaction_refuses_everything_until_rollback() {
    let served = Served::start().await;
    let (mut raw, _) = Raw::ready(served.address).await;
    // An error of the planner, of the parser, and of the wire layer alike.
    for failing in ["SELECT nothing", "SELEC", "FETCH 1 FROM nothing"] {
        raw.query("BEGIN").await;
        let failed = raw.query(failing).await;
        assert_eq!(failed.last().unwrap().body, b"E", "{failing}");
        assert_eq!(states(&raw.query("SELECT 1").await), ["25P02"], "{failing}");
        assert_eq!(raw.query("ROLLBACK").await.last().unwrap().body, b"I", "{failing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_settings_are_reported() {
    let served = Served::start().await;
    let (mut raw, _) = Raw::ready(served.address).await;
    let answer = raw.query("SET TimeZone = 'Europe/Paris'").await;
    let reported = answer.iter().find(|message| message.kind == 'S').expect("no ParameterStatus");
    assert_eq!(reported.body, b"TimeZone\0Europe/Paris\0");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_carry_state_and_position() {
    let served = Served::start().await;
    let (mut raw, _) = Raw::ready(served.address).await;
    let answer = raw.query("SELECT * FROM missing").await;
    assert_eq!(kinds(&answer), "EZ");
    assert_eq!(states(&answer), ["42P01"]);
    assert_eq!(answer[0].field('S').as_deref(), Some("ERROR"));
    assert_eq!(states(&raw.query("SELEC 1").await), ["42601"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_error_messages_are_skipped_up_to_sync() {
    let served = Served::start().await;
    let (mut raw, _) = Raw::ready(served.address).await;
    let mut bytes = extended("SELECT * FROM missing", 0);
    bytes.extend(extended("SELECT 1", 0));
    bytes.extend(raw::message('S', &[]));
    bytes.extend(extended("SELECT 2", 0));
    bytes.extend(raw::message('S', &[]));
    raw.socket.write_all(&bytes).await.unwrap();
    assert_eq!(kinds(&raw.until_ready().await), "EZ");
    assert_eq!(kinds(&raw.until_ready().await), "12DCZ");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execute_for_some_rows_suspends_the_portal() {
    let served = Served::start().await;
    let (mut raw, _) = Raw::ready(served.address).await;
    let mut bytes = extended("SELECT i FROM generate_series(1, 5) AS i", 2);
    let again = raw::message('E', &[0, 0, 0, 0, 2]);
    bytes.extend_from_slice(&again);
    bytes.extend_from_slice(&again);
    bytes.extend_from_slice(&raw::message('S', &[]));
    raw.socket.write_all(&bytes).await.unwrap();
    let answer = raw.until_ready().await;
    assert_eq!(kinds(&answer), "12DDsDDsDCZ");
    assert_eq!(tags(&answer), ["SELECT 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_message_ends_only_its_own_connection() {
    let served = Served::start().await;
    let (mut other, _) = Raw::ready(served.address).await;
    // A Bind that promises more parameters than it has, a type that does not exist, a length of -1.
    for bytes in [
        raw::message('B', &[0, 0, 0, 0, 0xff, 0xff]),
        raw::message('~', &[1, 2, 3]),
        vec![b'Q', 0xff, 0xff, 0xff, 0xff],
    ] {
        let (mut raw, _) = Raw::ready(served.address).await;
        raw.socket.write_all(&bytes).await.unwrap();
        let answer = raw.until_ready().await;
        assert_eq!(states(&answer), ["08P01"]);
        assert_eq!(answer[0].field('S').as_deref(), Some("FATAL"));
    }
    assert_eq!(tags(&other.query("SELECT 1").await), ["SELECT 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_survive_the_way_there_and_back_in_binary() {
    let served = Served::start().await;
    let client = served.client().await;
    let row = client
        .query_one(
            "SELECT $1::bigint, $2::double precision, $3::text, $4::boolean, $5::bigint, $6::real",
            &[&i64::MIN, &0.1_f64, &"naïve \"cat\"", &true, &None::<i64>, &f32::MAX],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), i64::MIN);
    assert_eq!(row.get::<_, f64>(1), 0.1);
    assert_eq!(row.get::<_, &str>(2), "naïve \"cat\"");
    assert!(row.get::<_, bool>(3));
    assert_eq!(row.get::<_, Option<i64>>(4), None);
    assert_eq!(row.get::<_, f32>(5), f32::MAX);
    let lists = client.query_one("SELECT make_array(1, NULL, 3), make_array('a', NULL)", &[]).await.unwrap();
    assert_eq!(lists.get::<_, Vec<Option<i64>>>(0), [Some(1), None, Some(3)]);
    assert_eq!(lists.get::<_, Vec<Option<&str>>>(1), [Some("a"), None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_parameters_are_errors_not_the_end() {
    let served = Served::start().await;
    let client = served.client().await;
    let failed = client.query("SELECT 1/0", &[]).await;
    assert!(failed.is_err());
    let duplicate = client.simple_query("PREPARE p AS SELECT 1; PREPARE p AS SELECT 2").await.unwrap_err();
    assert!(state(&duplicate).starts_with("42"), "{duplicate}");
    let rows = client.simple_query("SELECT 7 AS x").await.unwrap();
    let Some(SimpleQueryMessage::Row(row)) = rows.iter().find(|row| matches!(row, SimpleQueryMessage::Row(_))) else {
        panic!("no row in {rows:?}");
    };
    assert_eq!(row.get("x"), Some("7"));
}
