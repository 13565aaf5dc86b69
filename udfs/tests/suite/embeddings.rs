//! The client of embedding endpoints, against a server that answers what it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use latentdb_engine::{Error, ErrorKind};
use latentdb_udfs::{EmbeddingEndpoint, EndpointOptions};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const KEY: &str = "sk-very-secret";

/// What the server does with a request.
#[derive(Clone)]
enum Reply {
    /// A vector for each text: its length, and its number in the request.
    Vectors,
    /// As it is.
    Body(String),
    Refuse(u16, &'static str),
    RetryAfter(u16, &'static str),
    /// Never answers.
    Hang,
}

#[derive(Clone, Default)]
struct Server {
    /// What is done with the next requests; after the last, vectors.
    script: Arc<Mutex<VecDeque<Reply>>>,
    seen: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
}

impl Server {
    async fn start(script: impl IntoIterator<Item = Reply>) -> (Self, EndpointOptions) {
        let server = Self { script: Arc::new(Mutex::new(script.into_iter().collect())), ..Self::default() };
        let routes = Router::new().route("/v1/embeddings", post(answer)).with_state(server.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut options = EndpointOptions::new(format!("http://{}/v1", listener.local_addr().unwrap()), "tiny");
        options.key = Some(KEY.to_owned());
        options.first_pause = Duration::from_millis(5);
        options.longest_pause = Duration::from_secs(5);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (server, options)
    }

    fn seen(&self) -> Vec<(HeaderMap, Value)> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(State(server): State<Server>, headers: HeaderMap, body: String) -> Response {
    let request: Value = serde_json::from_str(&body).unwrap();
    let texts: Vec<String> = serde_json::from_value(request["input"].clone()).unwrap();
    server.seen.lock().unwrap().push((headers, request));
    let reply = server.script.lock().unwrap().pop_front().unwrap_or(Reply::Vectors);
    match reply {
        Reply::Vectors => {
            let item = |(number, text): (usize, &String)| json!({"index": number, "embedding": [text.len(), number]});
            // Out of order, as the order is not promised.
            let data: Vec<Value> = texts.iter().enumerate().rev().map(item).collect();
            json!({"object": "list", "data": data, "model": "tiny"}).to_string().into_response()
        }
        Reply::Body(body) => body.into_response(),
        Reply::Refuse(status, body) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
        Reply::RetryAfter(status, pause) => {
            (StatusCode::from_u16(status).unwrap(), [("retry-after", pause)], "slow down").into_response()
        }
        Reply::Hang => std::future::pending().await,
    }
}

#[track_caller]
fn assert_says(error: &Error, kind: ErrorKind, parts: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    for part in parts {
        assert!(error.message().contains(part), "{error} does not say {part:?}");
    }
    assert!(!format!("{error} {error:?}").contains(KEY), "{error:?}");
}

/// The error of asking for two texts, the reply to which is `reply`, and how many requests there were.
async fn refused(reply: Reply) -> (Error, usize) {
    let (server, options) = Server::start(vec![reply; 20]).await;
    let endpoint = EmbeddingEndpoint::new(options).unwrap();
    let error = endpoint.embed(&["one", "three"]).await.unwrap_err();
    (error, server.seen().len())
}

#[tokio::test]
async fn texts_get_their_own_vectors_in_order() {
    let (server, mut options) = Server::start([]).await;
    (options.batch_texts, options.in_flight) = (3, 2);
    let endpoint = EmbeddingEndpoint::new(options).unwrap();
    assert_eq!(endpoint.dimension(), None);
    let texts: Vec<String> = (0..10).map(|length| "x".repeat(length)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = endpoint.embed(&texts).await.unwrap();
    let expected: Vec<Vec<f32>> = (0..10).map(|number| vec![number as f32, (number % 3) as f32]).collect();
    assert_eq!((vectors, endpoint.dimension()), (expected, Some(2)));
    assert!(endpoint.embed(&[]).await.unwrap().is_empty());
    let seen = server.seen();
    assert_eq!(seen.len(), 4);
    for (headers, request) in &seen {
        assert_eq!(headers["authorization"], format!("Bearer {KEY}").as_str());
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(request["model"], "tiny");
        assert_eq!(request.as_object().unwrap().len(), 2, "{request}");
    }
    let identity = endpoint.identity();
    assert!(identity.ends_with("/v1/embeddings tiny") && !format!("{endpoint:?}").contains(KEY), "{endpoint:?}");
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again_after_the_pause_it_names() {
    for script in [
        vec![Reply::RetryAfter(429, "0.2")],
        vec![Reply::RetryAfter(503, "0.2"), Reply::Refuse(500, ""), Reply::Refuse(429, "{}")],
    ] {
        let failures = script.len();
        let (server, options) = Server::start(script).await;
        let start = Instant::now();
        let vectors = EmbeddingEndpoint::new(options).unwrap().embed(&["four"]).await.unwrap();
        assert_eq!(vectors, [[4.0, 0.0]]);
        assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
        assert_eq!(server.seen().len(), failures + 1);
    }
}

#[tokio::test]
async fn what_does_not_pass_is_given_up_after_so_many_attempts() {
    let (error, asked) = refused(Reply::Refuse(503, r#"{"error":{"message":"overloaded"}}"#)).await;
    assert_says(&error, ErrorKind::Io, &["503", "overloaded", "after 6 attempts", "/v1/embeddings"]);
    assert_eq!(asked, 6);
    let (error, asked) = refused(Reply::Refuse(429, "")).await;
    assert_says(&error, ErrorKind::Resources, &["429", "6 attempts"]);
    assert_eq!(asked, 6);
    let (error, asked) = refused(Reply::RetryAfter(429, "3600")).await;
    assert_says(&error, ErrorKind::Resources, &["one attempt", "wait for 3600 s"]);
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn what_waiting_does_not_mend_is_an_error_at_once() {
    let quota = r#"{"error":{"message":"quota used up","code":"insufficient_quota"}}"#;
    let echo = r#"{"error":{"message":"Incorrect API key provided: sk-very-secret","type":"invalid_request_error"}}"#;
    for (reply, kind, said) in [
        (Reply::Refuse(401, echo), ErrorKind::Permission, "Incorrect API key"),
        (Reply::Refuse(404, r#"{"error":"no model tiny"}"#), ErrorKind::UndefinedObject, "no model tiny"),
        (Reply::Refuse(400, "input too long"), ErrorKind::InvalidValue, "input too long"),
        (Reply::Refuse(429, quota), ErrorKind::Resources, "quota used up"),
        (Reply::Refuse(307, ""), ErrorKind::Io, "307"),
    ] {
        let (error, asked) = refused(reply).await;
        assert_says(&error, kind, &[said]);
        assert_eq!(asked, 1, "{said}");
    }
}

#[tokio::test]
async fn answers_that_do_not_fit_are_refused() {
    let data = |items: &str| Reply::Body(format!(r#"{{"data":[{items}]}}"#));
    for (reply, said) in [
        (data(r#"{"index":0,"embedding":[1,2]}"#), "1 vectors for 2 texts"),
        (data(r#"{"index":0,"embedding":[1,2]},{"index":1,"embedding":[1]}"#), "1 values where 2"),
        (data(r#"{"index":0,"embedding":[1,2]},{"index":0,"embedding":[1,2]}"#), "two vectors for text 0"),
        (data(r#"{"index":0,"embedding":[1,NaN]},{"index":1,"embedding":[1,2]}"#), "cannot be read"),
        (data(r#"{"index":0,"embedding":[1,null]},{"index":1,"embedding":[1,2]}"#), "not a finite number"),
        (Reply::Body("<html>it works!</html>".to_owned()), "cannot be read"),
    ] {
        let (error, asked) = refused(reply).await;
        assert_says(&error, ErrorKind::Io, &[said, "/v1/embeddings"]);
        assert_eq!(asked, 1, "{said}");
    }
}

#[tokio::test]
async fn vectors_of_another_length_than_before_or_than_asked_for_are_refused() {
    let wide = Reply::Body(r#"{"data":[{"index":0,"embedding":[1,2,3]}]}"#.to_owned());
    let (_, options) = Server::start([Reply::Vectors, wide]).await;
    let endpoint = EmbeddingEndpoint::new(options).unwrap();
    endpoint.embed(&["one"]).await.unwrap();
    assert_says(&endpoint.embed(&["two"]).await.unwrap_err(), ErrorKind::Io, &["3 values where 2"]);
    let (server, mut options) = Server::start([]).await;
    (options.dimension, options.asks_dimension) = (Some(7), true);
    let endpoint = EmbeddingEndpoint::new(options).unwrap();
    assert_says(&endpoint.embed(&["one"]).await.unwrap_err(), ErrorKind::Io, &["2 values where 7"]);
    assert_eq!(server.seen()[0].1["dimensions"], 7);
    assert!(endpoint.identity().ends_with("tiny 7"));
}

#[tokio::test]
async fn a_server_that_hangs_or_is_not_there_is_not_waited_for_without_end() {
    let (server, mut options) = Server::start([Reply::Hang]).await;
    options.timeout = Duration::from_millis(500);
    let vectors = EmbeddingEndpoint::new(options.clone()).unwrap().embed(&["one"]).await.unwrap();
    assert_eq!(vectors, [[3.0, 0.0]]);
    assert!(server.seen().len() >= 2);
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    options.base = format!("http://{free}/v1?key={KEY}");
    options.attempts = 2;
    let error = EmbeddingEndpoint::new(options).unwrap().embed(&["one"]).await.unwrap_err();
    assert_says(&error, ErrorKind::Io, &["cannot be reached", "2 attempts"]);
}

#[tokio::test]
async fn a_future_that_is_dropped_asks_for_no_more() {
    let (server, mut options) = Server::start(vec![Reply::Refuse(503, ""); 50]).await;
    options.first_pause = Duration::from_millis(50);
    let endpoint = EmbeddingEndpoint::new(options).unwrap();
    let ended = tokio::time::timeout(Duration::from_millis(120), endpoint.embed(&["one"])).await;
    assert!(ended.is_err());
    // What is on its way already may arrive.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = server.seen().len();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.seen().len(), asked);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    for change in [
        (|options| options.base = "no address".to_owned()) as fn(&mut EndpointOptions),
        |options| options.base = "https://me:pass@h/v1".to_owned(),
        |options| options.model.clear(),
        |options| options.batch_texts = 0,
        |options| options.attempts = 0,
        |options| options.timeout = Duration::ZERO,
        |options| options.asks_dimension = true,
        |options| options.dimension = Some(0),
    ] {
        let mut options = EndpointOptions::new("https://h/v1", "m");
        change(&mut options);
        assert_eq!(EmbeddingEndpoint::new(options).unwrap_err().kind(), ErrorKind::InvalidValue);
    }
}
