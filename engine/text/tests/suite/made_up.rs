//! Made-up texts and queries over a small vocabulary, so that words meet often.

use latentdb_text::{Analysis, Limits, Query, Segment, SegmentBuilder};
use proptest::collection::vec;
use proptest::prelude::*;

/// Words with common prefixes, a few edits apart, with marks inside, not in ASCII, and words that others contain.
const WORDS: &[&str] = &[
    "cat",
    "cats",
    "act",
    "cart",
    "ca",
    "dog",
    "dogs",
    "dig",
    "the",
    "The",
    "THE",
    "layer_1",
    "layer_12",
    "author's",
    "torch.nn",
    "naïve",
    "naive",
    "日本",
    "running",
    "runs",
    "run",
    "3.14",
    "ΟΔΟΣ",
    "οδος",
    "catastrophe",
    "a",
    "b",
];

pub(crate) fn word() -> impl Strategy<Value = String> + Clone {
    prop::sample::select(WORDS).prop_map(str::to_owned)
}

/// A text of up to `longest` words, or NULL.
pub(crate) fn text(longest: usize) -> impl Strategy<Value = Option<String>> {
    let separator = prop::sample::select(&[" ", ", ", "-", "\n", " (", "\" "][..]);
    let text = vec((word(), separator), 0..longest)
        .prop_map(|words| words.into_iter().map(|(word, separator)| word + separator).collect::<String>());
    prop_oneof![1 => Just(None), 8 => text.prop_map(Some)]
}

pub(crate) fn texts(rows: usize, longest: usize) -> impl Strategy<Value = Vec<Option<String>>> {
    vec(text(longest), 0..rows)
}

/// A query that parses, negations and all.
pub(crate) fn query() -> impl Strategy<Value = String> {
    let plain = |word: &String| word.chars().all(char::is_alphanumeric) && word != "日本";
    let single = word().prop_filter("one word", plain);
    let cut = single.clone().prop_map(|word| word.chars().take(2).collect::<String>());
    let leaf = prop_oneof![
        6 => word(),
        2 => vec(word(), 1..4).prop_map(|words| format!("\"{}\"", words.join(" "))),
        2 => cut.clone().prop_filter("a letter", |cut| cut.is_ascii()).prop_map(|cut| format!("{cut}*")),
        2 => (single, 1..3).prop_map(|(word, edits)| format!("{word}~{edits}")),
        1 => (vec(word(), 1..3), cut).prop_map(|(words, cut)| format!("\"{} {cut}\"*", words.join(" "))),
        1 => Just("&!?".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            3 => vec(inner.clone(), 1..4).prop_map(|parts| format!("({})", parts.join(" "))),
            3 => vec(inner.clone(), 1..4).prop_map(|parts| format!("({})", parts.join(" OR "))),
            1 => inner.clone().prop_map(|part| format!("-{part}")),
            1 => inner.prop_map(|part| format!("NOT {part}")),
        ]
    })
}

pub(crate) fn parse(text: &str) -> Query {
    parse_as(text, Analysis::Words)
}

pub(crate) fn parse_as(text: &str, analysis: Analysis) -> Query {
    Query::parse_as(text, analysis, &Limits::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(crate) fn segment<T: AsRef<str>>(texts: &[Option<T>]) -> Segment {
    segment_as(texts, Analysis::Words)
}

pub(crate) fn segment_as<T: AsRef<str>>(texts: &[Option<T>], analysis: Analysis) -> Segment {
    let mut builder = SegmentBuilder::new(analysis).expect("starts");
    for text in texts {
        builder.add(text.as_ref().map(AsRef::as_ref)).expect("takes a row");
    }
    builder.finish().expect("is built")
}

/// The rows whose texts match, by the definition.
pub(crate) fn by_definition<T: AsRef<str>>(texts: &[Option<T>], query: &Query) -> Vec<u32> {
    let matches = |text: &Option<T>| text.as_ref().is_some_and(|text| query.matches(text.as_ref()));
    (0..).zip(texts).filter(|(_, text)| matches(text)).map(|(row, _)| row).collect()
}
