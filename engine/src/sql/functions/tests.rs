#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::address::{layer_of, set_of};
use crate::sql::lateral::test_session::{query, rows};

#[test]
fn a_source_id_tells_layer_and_set() {
    let cases = [
        ("6-res-jb", Some(6), "res-jb"),
        ("20-gemmascope-res-16k", Some(20), "gemmascope-res-16k"),
        ("e-res-sm", Some(0), "res-sm"),
        ("3-res-jb__blah", Some(3), "res-jb"),
        ("5", Some(5), "neurons"),
        ("-1", Some(-1), "neurons"),
        ("odd", None, "odd"),
    ];
    for (source, layer, set) in cases {
        assert_eq!((layer_of(source), set_of(source)), (layer, set), "{source}");
    }
}

#[tokio::test]
async fn addresses_are_made_and_taken_apart() {
    let made = rows("SELECT feature_address('gpt2-small', '10-res-jb', 7)").await;
    assert_eq!(made, ["gpt2-small/10-res-jb/7"]);
    let parsed =
        rows("SELECT parse_address('gpt2-small/10-res-jb/7')['index'], parse_address('nonsense') IS NULL").await;
    assert_eq!(parsed, ["7|true"]);
}

#[tokio::test]
async fn densify_places_values_and_refuses_positions_outside() {
    assert_eq!(rows("SELECT densify([0, 3], [1.5, 2.5], 5)").await, ["[1.5, 0.0, 0.0, 2.5, 0.0]"]);
    assert_eq!(rows("SELECT densify(NULL, [1.0], 5) IS NULL").await, ["true"]);
    for wrong in
        ["densify([5], [1.0], 5)", "densify([-1], [1.0], 5)", "densify([0, 1], [1.0], 5)", "densify([0], [1.0], -1)"]
    {
        let error = query(&format!("SELECT {wrong}")).await.unwrap_err().to_string();
        assert!(error.contains("densify"), "{wrong}: {error}");
    }
}

#[tokio::test]
async fn sizes_and_quotes_follow_postgres() {
    let sizes = rows("SELECT pg_size_pretty(10239), pg_size_pretty(10240), pg_size_pretty(20971520)").await;
    assert_eq!(sizes, ["10239 bytes|10 kB|20 MB"]);
    assert_eq!(rows("SELECT quote_literal('it''s'), quote_nullable(NULL)").await, ["'it''s'|NULL"]);
}

#[tokio::test]
async fn json_objects_are_built_from_names_and_values() {
    let object = rows("SELECT json_build_object('a', 1, 'b', 'x', 'c', NULL, 'd', true)").await;
    assert_eq!(object, [r#"{"a":1,"b":"x","c":null,"d":true}"#]);
}

#[tokio::test]
async fn sleep_takes_its_time_and_can_be_abandoned() {
    let start = std::time::Instant::now();
    query("SELECT pg_sleep(0.05)").await.unwrap();
    assert!(start.elapsed().as_millis() >= 50);
    let sleep = tokio::time::timeout(std::time::Duration::from_millis(50), query("SELECT pg_sleep(30)")).await;
    assert!(sleep.is_err());
}
