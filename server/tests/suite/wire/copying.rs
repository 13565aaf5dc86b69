//! `COPY` in and out.

use bytes::Bytes;
use futures::{SinkExt, TryStreamExt, pin_mut};

use super::{Served, state};

async fn copied_out(client: &tokio_postgres::Client, sql: &str) -> String {
    let lines: Vec<Bytes> = client.copy_out(sql).await.unwrap().try_collect().await.unwrap();
    String::from_utf8(lines.concat()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_copied_in_is_copied_out_the_same() {
    let served = Served::start().await;
    let client = served.client().await;
    client.batch_execute("CREATE TABLE t (id bigint, name text)").await.unwrap();
    let text = "1\ta\\tb\\\\\n2\t\\N\n3\t\n";
    let sink = client.copy_in("COPY t FROM STDIN").await.unwrap();
    pin_mut!(sink);
    // Cut in the middle of a line and of an escape.
    for piece in [&text[..4], &text[4..9], &text[9..]] {
        sink.send(Bytes::copy_from_slice(piece.as_bytes())).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 3);
    assert_eq!(copied_out(&client, "COPY (SELECT * FROM t ORDER BY id) TO STDOUT").await, text);
    let csv = "id,name\n1,a\tb\\\n2,\n3,\"\"\n";
    let asked = "COPY (SELECT * FROM t ORDER BY id) TO STDOUT (FORMAT csv, HEADER)";
    assert_eq!(copied_out(&client, asked).await, csv);
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_fail_leaves_nothing() {
    let served = Served::start().await;
    let client = served.client().await;
    client.batch_execute("CREATE TABLE t (id bigint)").await.unwrap();
    {
        let sink = client.copy_in("COPY t FROM STDIN").await.unwrap();
        pin_mut!(sink);
        sink.send(Bytes::from_static(b"1\n2\n")).await.unwrap();
        // Dropped without its end: the driver sends CopyFail.
    }
    let count: i64 = client.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get(0);
    assert_eq!(count, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_line_is_named_and_leaves_nothing() {
    let served = Served::start().await;
    let client = served.client().await;
    client.batch_execute("CREATE TABLE t (id bigint)").await.unwrap();
    let sink = client.copy_in("COPY t FROM STDIN").await.unwrap();
    pin_mut!(sink);
    sink.send(Bytes::from_static(b"1\nseven\n3\n")).await.unwrap();
    let error = sink.finish().await.unwrap_err();
    assert!(state(&error).starts_with("22"), "{error}");
    let message = error.as_db_error().unwrap().to_string();
    assert!(message.contains("line 2") || format!("{error:?}").contains("line 2"), "{error:?}");
    let count: i64 = client.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get(0);
    assert_eq!(count, 0);
}
