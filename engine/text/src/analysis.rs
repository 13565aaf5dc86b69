//! How text becomes words: the one definition that the index and the evaluation without an index share.
//!
//! A word is a word of Unicode's text segmentation (UAX #29), cut once more at full stops, commas, colons, quotes and the
//! like that Unicode keeps inside words: `author's` is `author` and `s`, `torch.nn` is `torch` and `nn`. Digits and
//! underscores belong to words: `layer_12` is one word, and so is `CamelCase`. Ideographs are words of their own.
//!
//! Words are lower-cased letter by letter. Accents stay, and composed and decomposed letters differ. A word longer than
//! 255 bytes is found by nothing, and keeps its place between its neighbours.

use std::iter::Filter;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_segmentation::{UnicodeSegmentation, UnicodeWordIndices};

/// The longest word that is found, in bytes of the text.
pub(crate) const MAX_WORD: usize = 255;

/// What is done to words beyond lower-casing. A segment records it, and is searched by queries of the same analysis only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Analysis {
    /// Words as they are; `run` does not find `running`.
    #[default]
    Words,
    /// Words cut to their English stem (Snowball's): `runs` finds `running`. No word is left out as too common. Prefixes and
    /// fuzzy words are held against stems, and are not cut themselves.
    English,
}

impl Analysis {
    /// The form of the word `raw` that the index holds, into `term`.
    pub(crate) fn term(self, raw: &str, term: &mut String) {
        fold(raw, term);
        if self == Self::English {
            let stem = Stemmer::create(Algorithm::English).stem(term).into_owned();
            *term = stem;
        }
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Words => 0,
            Self::English => 1,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        [Self::Words, Self::English].into_iter().find(|analysis| analysis.code() == code)
    }
}

/// Lower-cases `raw` into `folded`. Both small sigmas count as one, since which of them is written depends on what follows.
pub(crate) fn fold(raw: &str, folded: &mut String) {
    folded.clear();
    if raw.is_ascii() {
        folded.push_str(raw);
        folded.make_ascii_lowercase();
        return;
    }
    let lower = raw.chars().flat_map(char::to_lowercase);
    folded.extend(lower.map(|letter| if letter == 'ς' { 'σ' } else { letter }));
}

/// A word where it stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word<'t> {
    /// The word as the text writes it.
    pub(crate) raw: &'t str,
    /// Where it starts, in bytes.
    pub(crate) start: usize,
    /// How many words are before it, too long ones included.
    pub(crate) position: u32,
}

/// The words of `text` in order, those that are too long included.
pub(crate) fn all_words(text: &str) -> AllWords<'_> {
    if text.is_ascii() {
        // There the marks below are all that Unicode's rules come to, and looking for them is several times faster.
        return AllWords { segments: "".unicode_word_indices(), rest: (0, text), position: 0 };
    }
    by_unicode(text)
}

fn by_unicode(text: &str) -> AllWords<'_> {
    AllWords { segments: text.unicode_word_indices(), rest: (0, ""), position: 0 }
}

/// The words of `text` in order, without those that are too long.
pub(crate) fn words(text: &str) -> Words<'_> {
    all_words(text).filter(|word| word.raw.len() <= MAX_WORD)
}

/// See [`words`].
pub(crate) type Words<'t> = Filter<AllWords<'t>, fn(&Word<'t>) -> bool>;

/// See [`all_words`].
pub(crate) struct AllWords<'t> {
    segments: UnicodeWordIndices<'t>,
    /// What is left of the current segment, and where it starts.
    rest: (usize, &'t str),
    position: u32,
}

impl<'t> AllWords<'t> {
    /// The next piece between marks, of this segment or the next one.
    fn piece(&mut self) -> Option<(usize, &'t str)> {
        if self.rest.1.is_empty() {
            self.rest = self.segments.next()?;
        }
        let (start, rest) = self.rest;
        let end = rest.find(ends_word).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        let mark = after.chars().next().map_or(0, char::len_utf8);
        let (_, after) = after.split_at(mark);
        self.rest = (start + end + mark, after);
        Some((start, piece))
    }
}

impl<'t> Iterator for AllWords<'t> {
    type Item = Word<'t>;

    fn next(&mut self) -> Option<Word<'t>> {
        loop {
            let (start, raw) = self.piece()?;
            if raw.contains(char::is_alphanumeric) {
                let position = self.position;
                self.position += 1;
                return Some(Word { raw, start, position });
            }
        }
    }
}

/// Marks that Unicode keeps inside words (MidLetter, MidNum, MidNumLet and the quotes), where this crate ends them; and all of
/// ASCII that belongs to no word.
fn ends_word(letter: char) -> bool {
    match letter {
        '_' => false,
        _ if letter.is_ascii() => !letter.is_ascii_alphanumeric(),
        '\u{b7}' | '\u{387}' | '\u{55f}' | '\u{5f4}' | '\u{2018}' | '\u{2019}' | '\u{2024}' | '\u{2027}' => true,
        '\u{37e}' | '\u{589}' | '\u{60c}' | '\u{60d}' | '\u{66c}' | '\u{7f8}' | '\u{2044}' => true,
        '\u{fe10}' | '\u{fe13}' | '\u{fe14}' | '\u{fe50}' | '\u{fe52}' | '\u{fe54}' | '\u{fe55}' => true,
        '\u{ff07}' | '\u{ff0c}' | '\u{ff0e}' | '\u{ff1a}' | '\u{ff1b}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ascii_is_cut_as_unicode_says(text in "[ -~\\t\\n\\r]{0,40}|[a1_.,:;' ]{0,20}") {
            let fast: Vec<_> = all_words(&text).collect();
            prop_assert_eq!(fast, by_unicode(&text).collect::<Vec<_>>());
        }
    }

    fn terms(analysis: Analysis, text: &str) -> Vec<String> {
        let mut term = String::new();
        words(text).map(|word| (analysis.term(word.raw, &mut term), term.clone()).1).collect()
    }

    #[test]
    fn words_are_lower_cased_and_keep_digits_and_underscores() {
        assert_eq!(
            terms(Analysis::Words, "The layer_12 of GPT-2, Ünïcode!"),
            ["the", "layer_12", "of", "gpt", "2", "ünïcode"]
        );
        assert_eq!(terms(Analysis::Words, "CamelCase __init__ ___ 3.14"), ["camelcase", "__init__", "3", "14"]);
    }

    #[test]
    fn marks_inside_words_end_them() {
        assert_eq!(
            terms(Analysis::Words, "author's torch.nn don’t a:b 1,000"),
            ["author", "s", "torch", "nn", "don", "t", "a", "b", "1", "000"]
        );
    }

    #[test]
    fn ideographs_are_words_and_sigmas_are_one_letter() {
        assert_eq!(terms(Analysis::Words, "日本 ΟΔΟΣ οδος"), ["日", "本", "οδοσ", "οδοσ"]);
    }

    #[test]
    fn a_word_that_is_too_long_keeps_its_place() {
        let text = format!("before {} after", "x".repeat(MAX_WORD + 1));
        let found: Vec<_> = words(&text).map(|word| (word.raw, word.position)).collect();
        assert_eq!(found, [("before", 0), ("after", 2)]);
    }

    #[test]
    fn starts_are_where_the_words_are() {
        let text = "«Ça» it's, naïve.";
        for word in words(text) {
            assert_eq!(&text[word.start..word.start + word.raw.len()], word.raw);
        }
    }

    #[test]
    fn english_cuts_words_to_stems() {
        assert_eq!(terms(Analysis::English, "Running runs the references"), ["run", "run", "the", "refer"]);
    }
}
