//! Snippets show matches, whole characters and no more than they may.

use latentdb_text::{SnippetStyle, snippet, snippet_as};
use proptest::prelude::*;

use crate::made_up::{parse, query, text};

#[test]
fn words_prefixes_and_fuzzy_words_are_marked() {
    let text = "The Cat saw catalogues of carts.";
    assert_eq!(snippet(text, &parse("cat"), 100, "[", "]"), "The [Cat] saw catalogues of carts.");
    assert_eq!(snippet(text, &parse("cat*"), 100, "[", "]"), "The [Cat] saw [catalogues] of carts.");
    assert_eq!(snippet(text, &parse("cats~ -saw"), 100, "[", "]"), "The [Cat] saw catalogues of [carts].");
    assert_eq!(snippet("a b a c", &parse("\"a c\""), 100, "[", "]"), "a b [a] [c]");
    assert_eq!(snippet(text, &parse("of OR -the"), 100, "[", "]"), "The Cat saw catalogues [of] carts.");
}

#[test]
fn the_part_with_most_of_the_query_is_shown() {
    let text = "cat cat cat. Then, after a long while, a dog met the cat in a garden where nothing else had happened for years.";
    let shown = snippet(text, &parse("cat dog"), 30, "[", "]");
    assert_eq!(shown, "a [dog] met the [cat] in a garden");
    assert_eq!(snippet(text, &parse("years"), 20, "[", "]"), "had happened for [years].".split_once(' ').unwrap().1);
    assert_eq!(snippet(text, &parse("absent"), 14, "[", "]"), "cat cat cat.");
}

#[test]
fn style() {
    let style = SnippetStyle { max_chars: 12, escape_html: true, ..SnippetStyle::default() };
    assert_eq!(snippet_as("one <two> & three four five", &parse("two"), &style), "…&lt;<b>two</b>&gt; &amp;…");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_snippet_is_a_part_of_the_text_and_shows_a_match(text in text(30), query in query(), max_chars in 0usize..60) {
        let text = text.unwrap_or_default();
        let query = parse(&query);
        let shown = snippet(&text, &query, max_chars, "", "");
        prop_assert!(text.contains(&shown) && shown.chars().count() <= max_chars, "{shown:?} of {text:?}");
        let whole = snippet(&text, &query, text.len(), "\u{1}", "\u{2}");
        prop_assert_eq!(whole.replace(['\u{1}', '\u{2}'], ""), text.clone());
        // What is marked in the whole text is marked in a part of it that is not too short for a word.
        if whole.contains('\u{1}') && max_chars >= 20 {
            prop_assert!(snippet(&text, &query, max_chars, "\u{1}", "\u{2}").contains('\u{1}'), "{shown:?} of {whole:?}");
        }
    }

    #[test]
    fn no_text_makes_snippets_panic(text in any::<String>(), query in query(), max_chars in 0usize..20) {
        snippet(&text, &parse(&query), max_chars, "[", "]");
    }
}
