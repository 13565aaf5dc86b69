//! A made-up vocabulary: about as many tokens as GPT-2 has, about as long, and about as unevenly used.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

const ONSETS: [&str; 24] = [
    "b", "c", "d", "f", "g", "h", "l", "m", "n", "p", "r", "s", "t", "v", "w", "st", "tr", "pr", "ch", "sh", "th",
    "br", "gr", "",
];
const VOWELS: [&str; 10] = ["a", "e", "i", "o", "u", "ea", "io", "ou", "ai", "y"];
const CODAS: [&str; 16] = ["", "", "", "n", "r", "s", "t", "l", "ng", "nt", "ck", "st", "m", "d", "tion", "ed"];
/// What a real vocabulary holds besides words, with everything that JSON must escape.
const ODD: [&str; 24] = [
    ",",
    ".",
    " the",
    " of",
    " and",
    " to",
    "\n",
    "\n\n",
    "\"",
    "\\",
    "\t",
    "\u{0}",
    "’",
    " “",
    "é",
    "中",
    "🙂",
    "\u{fffd}",
    "<|endoftext|>",
    "(",
    ")",
    "://",
    " -",
    "\u{7f}",
];

/// Tokens by falling frequency, drawn by Zipf's law.
#[derive(Debug)]
pub(super) struct Vocabulary {
    tokens: Vec<String>,
    /// Sums of the weights up to each token.
    cumulative: Vec<f64>,
}

impl Vocabulary {
    pub(super) fn new(size: usize, rng: &mut StdRng) -> Self {
        let mut tokens: Vec<String> = ODD.iter().take(size).map(|token| (*token).to_owned()).collect();
        let mut seen: std::collections::HashSet<String> = tokens.iter().cloned().collect();
        while tokens.len() < size {
            // Frequent words are short.
            let longest = if tokens.len() < size / 50 { 1 } else { 3 };
            let token = word(rng, longest);
            if seen.insert(token.clone()) {
                tokens.push(token);
            }
        }
        let mut sum = 0.0;
        let cumulative = (0..size).map(|rank| (rank as f64 + 2.7).powf(-1.07)).map(|weight| {
            sum += weight;
            sum
        });
        Self { cumulative: cumulative.collect(), tokens }
    }

    /// A token's number, the frequent ones more often.
    pub(super) fn draw(&self, rng: &mut StdRng) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(1.0);
        let point = rng.random_range(0.0..total);
        self.cumulative.partition_point(|sum| *sum <= point).min(self.tokens.len().saturating_sub(1))
    }

    /// Any token, each as likely.
    pub(super) fn any(&self, rng: &mut StdRng) -> &str {
        self.tokens.choose(rng).map_or("", String::as_str)
    }

    pub(super) fn token(&self, number: usize) -> &str {
        self.tokens.get(number).map_or("", String::as_str)
    }
}

fn word(rng: &mut StdRng, longest: usize) -> String {
    let mut word = String::new();
    if rng.random_bool(0.66) {
        word.push(' ');
    }
    for _ in 0..rng.random_range(1..=longest) {
        for part in [ONSETS.choose(rng), VOWELS.choose(rng), CODAS.choose(rng)] {
            word.push_str(part.copied().unwrap_or_default());
        }
    }
    if rng.random_bool(0.15) {
        let capital: String = word.trim_start().chars().take(1).flat_map(char::to_uppercase).collect();
        let space = if word.starts_with(' ') { " " } else { "" };
        let rest: String = word.trim_start().chars().skip(1).collect();
        word = format!("{space}{capital}{rest}");
    }
    word
}
