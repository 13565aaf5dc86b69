//! What queries mean, by example, and what is refused.

use latentdb_text::{ErrorKind, Limits, Query};
use proptest::prelude::*;

use crate::made_up::{parse, parse_as};

fn check(query: &str, matching: &[&str], others: &[&str]) {
    let query = parse(query);
    for text in matching {
        assert!(query.matches(text), "{query:?} should match {text:?}");
    }
    for text in others {
        assert!(!query.matches(text), "{query:?} should not match {text:?}");
    }
}

#[test]
fn words_are_found_together_in_any_order_and_case() {
    check("fat cats", &["Cats, fat", "FAT CATS"], &["fat", "cats", "fatcats", ""]);
    check("fat AND cats", &["Cats, fat"], &["fat"]);
    check("fat && cats", &["Cats, fat"], &["fat"]);
}

#[test]
fn or_binds_weaker_than_and() {
    check("a OR b c", &["a", "b c", "a c"], &["b", "c", ""]);
    check("(a OR b) c", &["a c", "c b"], &["a", "b", "c", "a b"]);
    check("a || b", &["a", "b"], &["c"]);
}

#[test]
fn negations() {
    check("a -b", &["a", "a c"], &["a b", "b", "c"]);
    check("-b", &["a", ""], &["b", "a b"]);
    check("NOT (a OR b)", &["c", ""], &["a", "b c"]);
    check("a OR -b", &["a b", "c", ""], &["b", "b c"]);
    check("NOT NOT a", &["a"], &["b"]);
    check("-(-a)", &["a"], &["b"]);
    check("-\"a b\"", &["b a", "a c b"], &["a b"]);
    check("x-y - z", &["x-y z", "z x y"], &["y x z"]);
}

#[test]
fn phrases_prefixes_and_fuzzy_words() {
    check("\"a b\"", &["c a b", "a, b"], &["b a", "a c b"]);
    check("\"a a\"", &["a a", "b a a"], &["a", "a b a"]);
    check("cat*", &["cat", "catalogue of"], &["ca", "a bobcat"]);
    check("\"fat ca\"*", &["a fat cat", "fat ca"], &["fat dog", "fat a cat", "cat fat"]);
    check("torch.nn", &["import torch.nn as nn", "torch nn"], &["nn torch", "torch", "torch_nn"]);
    check("torch.n*", &["torch.nn", "torch numpy"], &["torch", "numpy torch"]);
    check("cats~", &["cat", "acts", "cast", "rats", "coats"], &["act", "bobcats"]);
    check("color~2", &["colour", "clor", "colours"], &["colourful", "dolphin"]);
}

#[test]
fn queries_without_words_match_nothing() {
    for query in ["", "  ", "!?", "\"\"", "()", "-!", "(!) OR ( )", "NOT \"...\""] {
        let query = parse(query);
        assert!(query.is_empty() && !query.matches("") && !query.matches("a"), "{query:?}");
    }
    check("a & !", &["a"], &[""]);
    check("a OR ...", &["a"], &["b"]);
}

#[test]
fn stems() {
    let query = parse_as("running", latentdb_text::Analysis::English);
    assert!(query.matches("he runs") && !query.matches("a runt"));
}

#[test]
fn wrong_queries_say_what_is_wrong() {
    for (query, part) in [
        ("\"a b", "quote"),
        ("(a", "never closed"),
        ("a)", "closes nothing"),
        ("a OR", "operator"),
        ("OR a", "operator"),
        ("a AND OR b", "operator"),
        ("NOT", "operator"),
        ("title:cat", "fields"),
        ("[a TO b]", "ranges"),
        ("/a+/", "regular"),
        ("*:*", "leave the condition out"),
        ("a^2", "weights"),
        ("*", "beginning"),
        ("c*t", "end of a word"),
        ("a~3", "1 or 2"),
        ("a.b~", "one word"),
        ("\"a b\"~2", "distance"),
    ] {
        let error = Query::parse(query, &Limits::default()).expect_err(query);
        assert_eq!(error.kind(), ErrorKind::Syntax, "{query}");
        assert!(error.to_string().contains(part), "{query}: {error}");
        assert!(error.at().is_some_and(|at| at <= query.len()), "{query}: {error}");
    }
}

#[test]
fn large_queries_are_refused_at_once() {
    let words = |count: usize| vec!["word"; count].join(" ");
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    for query in [
        words(10_000),
        vec!["word"; 10_000].join(" OR "),
        "(".repeat(100_000),
        format!("{}a{}", "(".repeat(17), ")".repeat(17)),
        "x".repeat(256),
        format!("\"{}\"", words(65)),
        vec!["ab*"; 17].join(" "),
        format!("{}~2", "ab".repeat(33)),
        "a".repeat(1 << 21),
    ] {
        let error = Query::parse(&query, &limits).expect_err("too large");
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    }
    let long = Query::parse(&"a ".repeat(10_000), &Limits::default()).expect_err("too long");
    assert_eq!(long.kind(), ErrorKind::TooLarge);
    parse(&format!("{}a", "NOT ".repeat(2_001)));
    parse(&format!("{}a{}", "(".repeat(16), ")".repeat(16)));
    parse(&words(256));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_makes_the_parser_panic(query in "[\"()*~^:/\\[\\]{}+& |a-cOTANDR\\-1-3é\u{301}]{0,40}", text in "\\PC{0,20}") {
        if let Ok(query) = Query::parse(&query, &Limits::default()) {
            query.matches(&text);
        }
    }

    #[test]
    fn no_characters_at_all_make_it_panic(query in any::<String>(), text in any::<String>()) {
        if let Ok(query) = Query::parse(&query, &Limits::default()) {
            query.matches(&text);
            query.matches(query.text());
        }
    }
}
