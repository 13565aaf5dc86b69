//! Server-side cursors, as psycopg and JDBC use them.

use super::Served;
use super::raw::{Raw, kinds, states, tags};

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_gives_its_rows_in_pieces() {
    let served = Served::start().await;
    let (mut raw, _) = Raw::ready(served.address).await;
    let script = "BEGIN; DECLARE \"my cursor\" CURSOR FOR SELECT i FROM generate_series(1, 10) AS i";
    assert_eq!(tags(&raw.query(script).await), ["BEGIN", "DECLARE CURSOR"]);
    let fetched = raw.query("FETCH FORWARD 3 FROM \"my cursor\"").await;
    assert_eq!(kinds(&fetched), "TDDDCZ");
    assert_eq!(tags(&fetched), ["FETCH 3"]);
    assert_eq!(tags(&raw.query("MOVE 4 IN \"my cursor\"").await), ["MOVE 4"]);
    let eighth = raw.query("FETCH \"my cursor\"").await;
    assert_eq!(eighth[1].body, [&[0, 1, 0, 0, 0, 1][..], b"8"].concat());
    assert_eq!(tags(&raw.query("FETCH ALL FROM \"my cursor\"").await), ["FETCH 2"]);
    assert_eq!(tags(&raw.query("FETCH 1 FROM \"my cursor\"").await), ["FETCH 0"]);
    assert_eq!(tags(&raw.query("CLOSE \"my cursor\"; COMMIT").await), ["CLOSE CURSOR", "COMMIT"]);
    assert_eq!(states(&raw.query("FETCH 1 FROM \"my cursor\"").await), ["34000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_ends_with_its_transaction_unless_it_is_held() {
    let served = Served::start().await;
    let (mut raw, _) = Raw::ready(served.address).await;
    assert_eq!(states(&raw.query("DECLARE c CURSOR FOR SELECT 1").await), ["25P01"]);
    let script = "BEGIN; DECLARE c CURSOR FOR SELECT 1; DECLARE h CURSOR WITH HOLD FOR SELECT 2; COMMIT";
    assert_eq!(tags(&raw.query(script).await).len(), 4);
    assert_eq!(states(&raw.query("FETCH c").await), ["34000"]);
    assert_eq!(tags(&raw.query("FETCH h").await), ["FETCH 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_can_read_a_portal_in_pieces() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT i FROM generate_series(1, 5) AS i", &[]).await.unwrap();
    let mut sizes = Vec::new();
    loop {
        let rows = transaction.query_portal(&portal, 2).await.unwrap();
        sizes.push(rows.len());
        if rows.len() < 2 {
            break;
        }
    }
    assert_eq!(sizes, [2, 2, 1]);
    transaction.commit().await.unwrap();
}
