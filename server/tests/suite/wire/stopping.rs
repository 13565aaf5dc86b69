//! What makes a statement stop, and that results take no memory while they wait.

use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::NoTls;

use super::raw::{self, Raw, extended, states};
use super::{Served, state};
use crate::harness::Server;

/// Runs for hours if nothing stops it.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 1000000) AS a(i), generate_series(1, 1000000) AS b(i) \
                       WHERE a.i * b.i = 7";
/// About a gigabyte.
const HUGE: &str = "SELECT repeat('x', 1000) FROM generate_series(1, 1000000)";

#[tokio::test(flavor = "multi_thread")]
async fn cancel_stops_a_running_query_within_200_ms() {
    let served = Served::start().await;
    for simple in [true, false] {
        let client = served.client().await;
        let token = client.cancel_token();
        let running = tokio::spawn(async move {
            if simple {
                client.simple_query(ENDLESS).await.map(drop)
            } else {
                client.query(ENDLESS, &[]).await.map(drop)
            }
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!running.is_finished());
        let asked = Instant::now();
        token.cancel_query(NoTls).await.unwrap();
        let error = running.await.unwrap().unwrap_err();
        assert_eq!(state(&error), "57014");
        assert!(asked.elapsed() < Duration::from_millis(200), "{:?}", asked.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_with_the_wrong_secret_is_ignored() {
    let served = Served::start().await;
    let (mut raw, told) = Raw::ready(served.address).await;
    let key = told.iter().find(|message| message.kind == 'K').unwrap().body.clone();
    raw.send('Q', format!("{ENDLESS}\0").as_bytes()).await;
    // The columns come at once, the row never.
    assert_eq!(raw.receive().await.unwrap().kind, 'T');
    let cancel = async |key: &[u8]| {
        let mut other = Raw::connect(served.address).await;
        other.send_untyped(&[&80_877_102_u32.to_be_bytes(), key].concat()).await;
        assert_eq!(other.receive().await, None);
    };
    let mut wrong = key.clone();
    *wrong.last_mut().unwrap() ^= 1;
    cancel(&wrong).await;
    assert!(tokio::time::timeout(Duration::from_millis(500), raw.receive()).await.is_err());
    cancel(&key).await;
    assert_eq!(states(&raw.until_ready().await), ["57014"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_covers_execution() {
    let served = Served::start().await;
    let (mut raw, _) = Raw::ready(served.address).await;
    raw.query("SET statement_timeout = '300ms'").await;
    let asked = Instant::now();
    assert_eq!(states(&raw.query(ENDLESS).await), ["57014"]);
    assert!(asked.elapsed() < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_takes_leave_of_idle_and_busy_clients() {
    let served = Served::start().await;
    let (mut idle, _) = Raw::ready(served.address).await;
    let (mut busy, _) = Raw::ready(served.address).await;
    busy.send('Q', format!("{ENDLESS}\0").as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let asked = Instant::now();
    served.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(3));
    assert_eq!(states(&idle.until_ready().await), ["57P01"]);
    assert_eq!(states(&busy.until_ready().await), ["57P01"]);
}

/// Processor time that process `id` has used.
fn processor_time(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Memory that process `id` has in use, in MiB.
fn resident_mib(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn server() -> (Server, TempDir) {
    let directory = TempDir::new().unwrap();
    (Server::start(Path::new(&directory.path().join("db"))), directory)
}

#[tokio::test(flavor = "multi_thread")]
async fn vanished_client_stops_its_query() {
    let (server, _directory) = server();
    let (mut raw, _) = Raw::ready(server.pg.unwrap()).await;
    // Not ENDLESS: a nested-loop join that finds nothing gives way only between batches of its input.
    let counting = "SELECT count(*) FROM generate_series(1, 1000000) AS a(i), generate_series(1, 1000000) AS b(i)";
    raw.send('Q', format!("{counting}\0").as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(1000)).await;
    let busy = processor_time(server.process_id());
    tokio::time::sleep(Duration::from_millis(500)).await;
    let busy = processor_time(server.process_id()) - busy;
    drop(raw);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = processor_time(server.process_id());
    tokio::time::sleep(Duration::from_millis(500)).await;
    let idle = processor_time(server.process_id()) - before;
    assert!(idle < busy / 4, "busy {busy:?}, after the client left {idle:?}");
}

/// Sends `query`, reads a little, waits, reads on: the server's memory must not follow the result's size.
async fn stays_flat(query: &[u8]) {
    let (server, _directory) = server();
    let id = server.process_id();
    let (mut raw, _) = Raw::ready(server.pg.unwrap()).await;
    raw.query("SELECT 1").await;
    let before = resident_mib(id);
    raw.socket.write_all(query).await.unwrap();
    let mut buffer = vec![0; 1 << 20];
    raw.socket.read_exact(&mut buffer).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let stalled = resident_mib(id);
    for _ in 0..200 {
        raw.socket.read_exact(&mut buffer).await.unwrap();
    }
    // What the query itself holds: batches of 8 MiB at each of its stages.
    let running = resident_mib(id);
    for _ in 0..600 {
        raw.socket.read_exact(&mut buffer).await.unwrap();
    }
    let after = resident_mib(id);
    let figures = format!("MiB before {before}, stalled {stalled}, after 200 MiB {running}, after 800 MiB {after}");
    assert!(stalled.max(running) < before + 192, "{figures}");
    assert!(after < running + 64, "{figures}");
}

#[tokio::test(flavor = "multi_thread")]
async fn extended_results_stream_in_flat_memory() {
    let mut bytes = extended(HUGE, 0);
    bytes.extend(raw::message('S', &[]));
    stays_flat(&bytes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn simple_results_stream_in_flat_memory() {
    stays_flat(&raw::message('Q', format!("{HUGE}\0").as_bytes())).await;
}
