//! Scores are BM25 over live rows, however these are cut into segments.

use std::collections::BTreeSet;

use latentdb_text::{ErrorKind, Hit, Query, Searcher, Segment, matching, merge};
use proptest::collection::vec;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use roaring::RoaringBitmap;

use crate::made_up::{by_definition, parse, query, segment, texts};

type Text = Option<String>;

/// The same live rows in several segments, with dead ones among them.
struct Cut {
    segments: Vec<(Segment, Option<RoaringBitmap>)>,
    /// Where each row of the texts is: segment and row.
    places: Vec<(usize, u32)>,
}

impl Cut {
    fn new(texts: &[Text], parts: usize, dead: usize, random: &mut StdRng) -> Self {
        let mut ends: Vec<usize> = (1..parts).map(|_| random.random_range(0..=texts.len())).collect();
        ends.push(texts.len());
        ends.sort_unstable();
        let mut cut = Self { segments: Vec::new(), places: Vec::new() };
        let mut from = 0;
        for (part, end) in ends.into_iter().enumerate() {
            let mut rows: Vec<(Text, bool)> = texts[from..end].iter().map(|text| (text.clone(), true)).collect();
            from = end;
            for _ in 0..random.random_range(0..=dead) {
                let text = vec!["cat"; random.random_range(0..20)].join(" the dog ");
                rows.insert(random.random_range(0..=rows.len()), (Some(text), false));
            }
            let live: RoaringBitmap = (0..).zip(&rows).filter(|(_, (_, live))| *live).map(|(row, _)| row).collect();
            cut.places.extend(live.iter().map(|row| (part, row)));
            let some_dead = live.len() < rows.len() as u64;
            let texts: Vec<Text> = rows.into_iter().map(|(text, _)| text).collect();
            cut.segments.push((segment(&texts), some_dead.then_some(live)));
        }
        cut
    }

    fn searcher(&self) -> Searcher {
        Searcher::new(self.segments.iter().map(|(segment, live)| (segment.clone(), live.as_ref())))
    }

    /// The number of the hit's row among the texts, and its score.
    fn row(&self, hit: &Hit) -> (usize, f32) {
        let place = self.places.iter().position(|place| *place == (hit.segment, hit.row));
        (place.expect("hits are live rows"), hit.score)
    }

    /// For each segment, those of its rows that are among `rows` of the texts.
    fn filters(&self, rows: &BTreeSet<usize>) -> Vec<RoaringBitmap> {
        let mut filters = vec![RoaringBitmap::new(); self.segments.len()];
        for row in rows {
            let (part, row) = self.places[*row];
            filters[part].insert(row);
        }
        filters
    }
}

fn top(cut: &Cut, query: &Query, k: usize) -> Vec<(usize, f32)> {
    let hits = cut.searcher().top_k(query, k, &[]).expect("searches");
    hits.iter().map(|hit| cut.row(hit)).collect()
}

fn whole(texts: &[Text]) -> Cut {
    Cut::new(texts, 1, 0, &mut StdRng::seed_from_u64(0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn scores_do_not_depend_on_the_cut(
        texts in texts(60, 10),
        queries in vec(query(), 1..6),
        (parts, dead, seed) in (1usize..7, 0usize..5, any::<u64>()),
        k in 1usize..70,
    ) {
        let (one, many) = (whole(&texts), Cut::new(&texts, parts, dead, &mut StdRng::seed_from_u64(seed)));
        for query in queries.iter().map(|query| parse(query)) {
            let (expected, found) = (top(&one, &query, k), top(&many, &query, k));
            prop_assert_eq!(&expected, &found, "{:?}", query);
            let all = by_definition(&texts, &query);
            prop_assert_eq!(found.len(), all.len().min(k), "{:?}", query);
            // A smaller k gives the beginning of what a larger one does.
            let mut ordered = top(&many, &query, texts.len() + 1);
            prop_assert!(ordered.is_sorted_by(|a, b| a.1 > b.1 || (a.1 == b.1 && a.0 < b.0)));
            ordered.truncate(k);
            prop_assert_eq!(&ordered, &found);
        }
    }

    #[test]
    fn filters_leave_scores_as_they_are(
        texts in texts(60, 10),
        query in query(),
        (parts, dead, seed) in (1usize..7, 0usize..5, any::<u64>()),
        share in 0.0f64..1.0,
        k in 1usize..20,
    ) {
        let mut random = StdRng::seed_from_u64(seed);
        let (cut, query) = (Cut::new(&texts, parts, dead, &mut random), parse(&query));
        let kept: BTreeSet<usize> = (0..texts.len()).filter(|_| random.random_bool(share)).collect();
        let mut expected = top(&cut, &query, texts.len() + 1);
        expected.retain(|(row, _)| kept.contains(row));
        expected.truncate(k);
        let filters = cut.filters(&kept);
        let filters: Vec<Option<&RoaringBitmap>> = filters.iter().map(Some).collect();
        let hits = cut.searcher().top_k(&query, k, &filters).unwrap();
        prop_assert_eq!(hits.iter().map(|hit| cut.row(hit)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn scores_of_given_rows_are_those_of_the_best(texts in texts(40, 10), query in query(), seed in any::<u64>()) {
        let (cut, query) = (Cut::new(&texts, 3, 3, &mut StdRng::seed_from_u64(seed)), parse(&query));
        let searcher = cut.searcher();
        let hits = searcher.top_k(&query, 100, &[]).unwrap();
        for (part, (segment, live)) in cut.segments.iter().enumerate() {
            let rows: Vec<u32> = (0..segment.rows() + 2).rev().collect();
            let scores = searcher.scores(&query, part, &rows).unwrap();
            let found = matching(segment, &query).unwrap();
            for (row, score) in rows.iter().zip(scores) {
                let hit = hits.iter().find(|hit| (hit.segment, hit.row) == (part, *row));
                let dead = live.as_ref().is_some_and(|live| !live.contains(*row));
                match hit {
                    Some(hit) => prop_assert_eq!(hit.score, score),
                    None => prop_assert!(score == 0.0 || (dead && found.contains(*row))),
                }
            }
        }
    }
}

/// A million words in blocks that the index skips: what is left out must be no better than what is found.
#[test]
fn nothing_better_is_left_out() {
    let mut random = StdRng::seed_from_u64(11);
    let texts: Vec<Text> = (0..30_000)
        .map(|row| {
            // Lengths differ from place to place, so that segments' means differ from the mean of all.
            let length = random.random_range(1..6 + row / 500);
            let word = |random: &mut StdRng| format!("w{}", (random.random::<f64>().powi(3) * 40.0) as u32);
            Some((0..length).map(|_| word(&mut random)).collect::<Vec<_>>().join(" "))
        })
        .collect();
    let (one, many) = (whole(&texts), Cut::new(&texts, 5, 300, &mut random));
    let inputs: Vec<_> = many.segments.iter().map(|(segment, live)| (segment, live.as_ref())).collect();
    let merged = Cut { segments: vec![(merge(&inputs).unwrap(), None)], places: one.places.clone() };
    let (one_searcher, many_searcher, merged_searcher) = (one.searcher(), many.searcher(), merged.searcher());
    for query in [
        "w1",
        "w39",
        "w0 w1",
        "w3 w30",
        "w1 w2 w3",
        "w7 w0 w38 w2",
        "w0 OR w1",
        "w5 OR w35",
        "w1 OR w2 OR w3",
        "w30 OR w31 OR w9 OR w0",
        "(w1 OR w2) w3",
        "\"w0 w1\"",
        "\"w0 w1\" OR w9 OR w8",
        "w1 -w0",
        "w1* -w0 w2",
        "-w0",
        "w12~1 w5",
    ] {
        let query = parse(query);
        // All rows, ranked without any shortcut.
        let rows: Vec<u32> = matching(&one.segments[0].0, &query).unwrap().iter().collect();
        let scores = one_searcher.scores(&query, 0, &rows).unwrap();
        let mut ranked: Vec<(usize, f32)> = rows.iter().map(|row| *row as usize).zip(scores).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for k in [1, 10, 100, 1000] {
            let expected: Vec<_> = ranked.iter().copied().take(k).collect();
            let hits = |cut: &Cut, searcher: &Searcher| -> Vec<(usize, f32)> {
                searcher.top_k(&query, k, &[]).unwrap().iter().map(|hit| cut.row(hit)).collect()
            };
            assert_eq!(hits(&one, &one_searcher), expected, "{query:?}, {k} of one segment");
            assert_eq!(hits(&many, &many_searcher), expected, "{query:?}, {k} of several segments");
            assert_eq!(hits(&merged, &merged_searcher), expected, "{query:?}, {k} of merged segments");
        }
    }
}

/// Okapi BM25 by its formula, on rows so short that the index keeps their lengths exactly.
#[test]
fn scores_are_bm25() {
    let texts = ["a b c", "a a d", "b", "e f g h", "a b b b b b"];
    let lengths = texts.map(|text| text.split(' ').count() as f64);
    let (rows, mean) = (texts.len() as f64, lengths.iter().sum::<f64>() / texts.len() as f64);
    let bm25 = |word: &str, row: usize| {
        let count = |text: &str| text.split(' ').filter(|other| *other == word).count() as f64;
        let with = texts.iter().filter(|text| count(text) > 0.0).count() as f64;
        let weight = (1.0 + (rows - with + 0.5) / (with + 0.5)).ln();
        let (tf, k1, b) = (count(texts[row]), 1.2, 0.75);
        weight * tf * (k1 + 1.0) / (tf + k1 * (1.0 - b + b * lengths[row] / mean))
    };
    let searcher = Searcher::new([(segment(&texts.map(Some)), None)]);
    for (query, words) in [("a", &["a"][..]), ("a b", &["a", "b"]), ("a OR b OR d", &["a", "b", "d"]), ("a -d", &["a"])]
    {
        let hits = searcher.top_k(&parse(query), 10, &[]).unwrap();
        assert!(!hits.is_empty());
        for hit in hits {
            let expected: f64 = words.iter().map(|word| bm25(word, hit.row as usize)).sum();
            assert!((f64::from(hit.score) - expected).abs() < 1e-5, "{query}: {hit:?}, {expected}");
        }
    }
    let constant = searcher.top_k(&parse("a* OR d~ OR \"a b\"*"), 1, &[]).unwrap();
    assert_eq!(constant, [Hit { segment: 0, row: 0, score: 3.0 }]);
}

#[test]
fn wrong_arguments_are_refused_and_empty_ones_find_nothing() {
    let searcher = Searcher::new([(segment(&[Some("a"), None]), None)]);
    assert_eq!(searcher.rows(), 1);
    let query = parse("a");
    assert_eq!(searcher.top_k(&query, 1, &[None, None]).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(searcher.scores(&query, 1, &[0]).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(searcher.top_k(&query, 0, &[]).unwrap().is_empty());
    assert!(searcher.top_k(&parse("!"), 5, &[]).unwrap().is_empty());
    assert_eq!(searcher.top_k(&query, usize::MAX, &[]).unwrap().len(), 1);
    assert!(Searcher::new([]).top_k(&query, 5, &[]).unwrap().is_empty());
    let nothing = RoaringBitmap::new();
    assert!(Searcher::new([(segment(&[Some("a")]), Some(&nothing))]).top_k(&query, 5, &[]).unwrap().is_empty());
}
