//! Snippets: the part of a text that shows best why a query matches it, with the words that match marked.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::query::{Occurrences, Query};

/// How snippets look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnippetStyle<'s> {
    /// The most characters of the text, marks and ellipses not counted.
    pub max_chars: usize,
    /// Put before a word that matches.
    pub open: &'s str,
    /// Put behind it.
    pub close: &'s str,
    /// Put where the text is cut.
    pub ellipsis: &'s str,
    /// Whether `&`, `<`, `>`, `"` and `'` of the text are written for HTML. What is put in is left as it is.
    pub escape_html: bool,
}

impl Default for SnippetStyle<'_> {
    fn default() -> Self {
        Self { max_chars: 200, open: "<b>", close: "</b>", ellipsis: "…", escape_html: false }
    }
}

/// As [`snippet_as`], without ellipses and as the text is.
pub fn snippet(text: &str, query: &Query, max_chars: usize, open: &str, close: &str) -> String {
    snippet_as(text, query, &SnippetStyle { max_chars, open, close, ellipsis: "", escape_html: false })
}

/// A part of `text` of at most `max_chars` characters, with the words marked that the clauses of `query` match, but for negated
/// ones. Of a phrase, only words that stand in it are marked.
///
/// The part is the one with most different clauses, then with most words, then the earliest. Without any match it is the
/// beginning. It is cut between words unless a word is longer than it may be.
pub fn snippet_as(text: &str, query: &Query, style: &SnippetStyle<'_>) -> String {
    let marks = marks(text, query);
    let part = window(text, &marks, style.max_chars);
    let mut snippet = String::with_capacity(part.len() + 64);
    if part.start > 0 {
        snippet.push_str(style.ellipsis);
    }
    let mut at = part.start;
    for mark in &marks {
        let range = mark.range.start.max(part.start)..mark.range.end.min(part.end);
        if range.start < range.end {
            push(&mut snippet, text, at..range.start, style);
            snippet.push_str(style.open);
            push(&mut snippet, text, range.clone(), style);
            snippet.push_str(style.close);
            at = range.end;
        }
    }
    push(&mut snippet, text, at..part.end, style);
    if part.end < text.len() {
        snippet.push_str(style.ellipsis);
    }
    snippet
}

/// A word to be marked: where it is, and the clauses that it belongs to.
struct Mark {
    range: Range<usize>,
    leaves: Vec<usize>,
}

/// The words that clauses match, in the text's order.
fn marks(text: &str, query: &Query) -> Vec<Mark> {
    let mut ranges = BTreeMap::new();
    let mut occurrences = Occurrences::default();
    occurrences.read_with(query, text, |position, start, end| {
        ranges.insert(position, Mark { range: start..end, leaves: Vec::new() });
    });
    for leaf in query.positive() {
        let words = query.leaf(leaf);
        for start in occurrences.starts(words) {
            for (position, _) in (start..).zip(words) {
                if let Some(mark) = ranges.get_mut(&position) {
                    mark.leaves.push(leaf);
                }
            }
        }
    }
    ranges.into_values().filter(|mark| !mark.leaves.is_empty()).collect()
}

/// The bytes of the part to show.
fn window(text: &str, marks: &[Mark], max_chars: usize) -> Range<usize> {
    let start = best_start(text, marks, max_chars);
    let end = forward(text, start, max_chars);
    if end < text.len() {
        return start..cut_before(text, start, end);
    }
    // The text ends here: what is left of the part's length goes before it.
    let spare = max_chars.saturating_sub(text.get(start..).map_or(0, |part| part.chars().count()));
    let from = backward(text, start, spare);
    cut_after(text, from, start)..end
}

/// Where the part starts: some way before the first word of the best group of marks.
fn best_start(text: &str, marks: &[Mark], max_chars: usize) -> usize {
    let mut best = ((0, 0), 0..0);
    for (index, first) in marks.iter().enumerate() {
        let end = forward(text, first.range.start, max_chars);
        let group = marks.iter().skip(index).take_while(|mark| mark.range.end <= end);
        let mut leaves: Vec<usize> = Vec::new();
        let (mut words, mut last) = (0, first.range.end);
        for mark in group {
            leaves.extend(&mark.leaves);
            words += 1;
            last = mark.range.end;
        }
        leaves.sort_unstable();
        leaves.dedup();
        if (leaves.len(), words) > best.0 || best.1.is_empty() {
            best = ((leaves.len(), words), first.range.start..last);
        }
    }
    let group = best.1;
    let shown = text.get(group.clone()).map_or(0, |part| part.chars().count());
    // Half of what is left of the part's length goes before the group.
    let from = backward(text, group.start, max_chars.saturating_sub(shown) / 2);
    cut_after(text, from, group.start)
}

/// The byte `chars` characters behind `from`.
fn forward(text: &str, from: usize, chars: usize) -> usize {
    let rest = text.get(from..).unwrap_or("");
    rest.char_indices().nth(chars).map_or(text.len(), |(at, _)| from + at)
}

/// The byte `chars` characters before `from`.
fn backward(text: &str, from: usize, chars: usize) -> usize {
    let before = text.get(..from).unwrap_or("");
    match chars {
        0 => from,
        _ => before.char_indices().rev().nth(chars - 1).map_or(0, |(at, _)| at),
    }
}

/// The first place from `from` on, and not behind `latest`, where a word starts.
fn cut_after(text: &str, from: usize, latest: usize) -> usize {
    let inside =
        |at: usize| text.get(..at).and_then(|before| before.chars().next_back()).is_some_and(char::is_alphanumeric);
    let part = text.get(from..latest).unwrap_or("");
    part.char_indices()
        .map(|(at, c)| (from + at, c))
        .find(|(at, c)| !c.is_whitespace() && !inside(*at))
        .map_or(latest, |(at, _)| at)
}

/// The last place up to `to`, and behind `start`, where a word ends; `to` if there is none.
fn cut_before(text: &str, start: usize, to: usize) -> usize {
    let begins = |at: usize| text.get(at..).and_then(|rest| rest.chars().next()).is_some_and(char::is_alphanumeric);
    let part = text.get(start..to).unwrap_or("");
    let ends = part.char_indices().rev().map(|(at, c)| (start + at + c.len_utf8(), c));
    ends.filter(|(_, c)| !c.is_whitespace()).find(|(at, _)| !begins(*at)).map_or(to, |(at, _)| at)
}

/// Adds a part of the text, escaped if that is wanted.
fn push(snippet: &mut String, text: &str, range: Range<usize>, style: &SnippetStyle<'_>) {
    let part = text.get(range).unwrap_or("");
    if !style.escape_html {
        snippet.push_str(part);
        return;
    }
    for letter in part.chars() {
        match letter {
            '&' => snippet.push_str("&amp;"),
            '<' => snippet.push_str("&lt;"),
            '>' => snippet.push_str("&gt;"),
            '"' => snippet.push_str("&quot;"),
            '\'' => snippet.push_str("&#39;"),
            _ => snippet.push(letter),
        }
    }
}
