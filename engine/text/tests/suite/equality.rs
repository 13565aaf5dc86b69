//! The index finds exactly the rows whose texts match by the definition.

use latentdb_text::{Analysis, Matcher, Query, matching};
use proptest::collection::vec;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::made_up::{by_definition, parse, parse_as, query, segment, segment_as, texts};

fn found(segment: &latentdb_text::Segment, query: &Query) -> Vec<u32> {
    matching(segment, query).expect("searches").iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn an_index_finds_what_the_definition_says(texts in texts(40, 8), queries in vec(query(), 1..12)) {
        let segment = segment(&texts);
        for query in queries {
            let query = parse(&query);
            prop_assert_eq!(found(&segment, &query), by_definition(&texts, &query), "{:?}", query);
        }
    }

    #[test]
    fn stems_are_found_as_the_definition_says(texts in texts(30, 8), queries in vec(query(), 1..8)) {
        let segment = segment_as(&texts, Analysis::English);
        for query in queries {
            let query = parse_as(&query, Analysis::English);
            prop_assert_eq!(found(&segment, &query), by_definition(&texts, &query), "{:?}", query);
        }
    }

    #[test]
    fn lists_of_tokens_are_their_texts(rows in vec(vec("[ a-cing'é]{0,4}", 0..6), 0..20), queries in vec(query(), 1..6)) {
        let mut builder = latentdb_text::SegmentBuilder::new(Analysis::Words).unwrap();
        for tokens in &rows {
            builder.add_tokens(Some(tokens)).unwrap();
        }
        let segment = builder.finish().unwrap();
        let joined: Vec<_> = rows.iter().map(|tokens| Some(tokens.concat())).collect();
        for query in queries.iter().map(String::as_str).chain(["ca* -ing", "\"a c\"*", "cing~2"]) {
            let query = parse(query);
            let mut matcher: Matcher<'_> = query.matcher();
            let expected = by_definition(&joined, &query);
            prop_assert_eq!(found(&segment, &query), expected.clone());
            let by_tokens = (0u32..).zip(&rows).filter(|(_, tokens)| matcher.matches_tokens(tokens)).map(|(row, _)| row);
            prop_assert_eq!(by_tokens.collect::<Vec<_>>(), expected);
        }
    }
}

/// Enough rows for several blocks of the index, which are what its shortcuts skip.
#[test]
fn large_segments_find_what_the_definition_says() {
    let mut random = StdRng::seed_from_u64(7);
    let words: Vec<String> = (0..60).map(|word| format!("w{word}")).collect();
    let texts: Vec<Option<String>> = (0..6000)
        .map(|row| {
            let text: Vec<&str> = (0..random.random_range(1..12))
                .map(|_| words[random.random_range(0..60usize).min(random.random_range(0..60))].as_str())
                .collect();
            (row % 17 != 0).then(|| text.join(" "))
        })
        .collect();
    let segment = segment(&texts);
    for _ in 0..20 {
        let mut some = || words.choose(&mut random).unwrap().as_str();
        let (a, b, c) = (some(), some(), some());
        for query in [
            format!("{a} {b}"),
            format!("{a} OR {b} OR {c}"),
            format!("{a} -{b} -{c}"),
            format!("-{a} OR ({b} {c})"),
            format!("\"{a} {b}\" OR \"{b} {a} {a}\""),
            format!("{a}* -{b}~1"),
            format!("\"{a} w1\"* -({b} OR -{c})"),
        ] {
            let query = parse(&query);
            assert_eq!(found(&segment, &query), by_definition(&texts, &query), "{query:?}");
        }
    }
}

#[test]
fn long_words_are_found_as_the_definition_says() {
    let long = |length: usize| "äb".repeat(length);
    let texts =
        [long(85), long(86), long(32), format!("{}x", long(31)), format!("{} {}", long(200), long(1))].map(Some);
    let segment = segment(&texts);
    for query in
        [long(85), format!("{}*", long(80)), format!("{}~2", long(32)), format!("\"{0} {0}\"", long(1)), long(1)]
    {
        let query = parse(&query);
        assert_eq!(found(&segment, &query), by_definition(&texts, &query), "{query:?}");
    }
    assert_eq!(found(&segment, &parse(&format!("{}~2", long(32)))), [2, 3]);
    assert_eq!(found(&segment, &parse("äb")), [4]);
    assert_eq!(found(&segment, &parse("äb*")), [0, 2, 3, 4], "a word of more than 255 bytes is found by nothing");
}

/// Damerau's distance without moves over swapped letters ("optimal string alignment"), by the textbook's table.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let replaced = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    let swapped = if swapped { table[i - 2][j - 2] + 1 } else { usize::MAX };
                    replaced.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1).min(swapped)
                }
            };
        }
    }
    table[a.len()][b.len()]
}

proptest! {
    #[test]
    fn fuzzy_words_are_as_many_edits_away_as_they_say(a in "[abcé]{1,7}", b in "[abcé]{1,7}", edits in 1usize..3) {
        let query = parse(&format!("{a}~{edits}"));
        prop_assert_eq!(query.matches(&b), distance(&a, &b) <= edits);
        let segment = segment(&[Some(b.as_str())]);
        prop_assert_eq!(found(&segment, &query).len() == 1, distance(&a, &b) <= edits);
    }
}
