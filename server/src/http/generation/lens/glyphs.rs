//! Tokens as they are shown. A character that is spread over several tokens is shown at each of them.

/// What a tokenizer shows for bytes that are no whole character.
const BROKEN: char = '\u{fffd}';

/// Most tokens that one character is looked for in.
const MOST: usize = 8;

/// A token that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glyph {
    pub(super) text: String,
    /// Whether the token before it shows the same character.
    pub(super) is_continuation: bool,
}

/// Tokens that are waiting for the rest of their character.
#[derive(Debug, Default)]
pub(super) struct Glyphs {
    waiting: Vec<u32>,
}

impl Glyphs {
    /// Takes a token; gives what can be shown now, in order: the tokens that waited, and this one. `decode` gives the text of some
    /// tokens together.
    pub(super) fn push(&mut self, token: u32, decode: impl Fn(&[u32]) -> String) -> Vec<Glyph> {
        let mut shown = Vec::new();
        let alone = decode(&[token]);
        if !alone.contains(BROKEN) {
            shown.extend(self.finish(&decode));
            shown.push(Glyph { text: alone, is_continuation: false });
            return shown;
        }
        self.waiting.push(token);
        let together = decode(&self.waiting);
        if !together.contains(BROKEN) {
            let of_run = self.waiting.drain(..).enumerate();
            shown.extend(of_run.map(|(place, _)| Glyph { text: together.clone(), is_continuation: place > 0 }));
        } else if self.waiting.len() >= MOST {
            shown.extend(self.finish(&decode));
        }
        shown
    }

    /// What is left at the end, as it is.
    pub(super) fn finish(&mut self, decode: impl Fn(&[u32]) -> String) -> Vec<Glyph> {
        self.waiting.drain(..).map(|token| Glyph { text: decode(&[token]), is_continuation: false }).collect()
    }

    /// All tokens of a text.
    pub(super) fn all(tokens: &[u32], decode: impl Fn(&[u32]) -> String) -> Vec<Glyph> {
        let mut glyphs = Self::default();
        let mut shown: Vec<Glyph> = tokens.iter().flat_map(|token| glyphs.push(*token, &decode)).collect();
        shown.extend(glyphs.finish(&decode));
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::{Glyph, Glyphs};

    #[test]
    fn a_character_is_shown_at_each_of_its_tokens() {
        // A token is a byte here.
        let decode = |tokens: &[u32]| {
            let bytes: Vec<u8> = tokens.iter().map(|token| *token as u8).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let tokens: Vec<u32> = "aßb".bytes().map(u32::from).chain([0xc3]).collect();
        let shown: Vec<(String, bool)> = Glyphs::all(&tokens, decode)
            .into_iter()
            .map(|Glyph { text, is_continuation }| (text, is_continuation))
            .collect();
        let expected = [("a", false), ("ß", false), ("ß", true), ("b", false), ("\u{fffd}", false)];
        assert_eq!(shown, expected.map(|(text, is_continuation)| (text.to_owned(), is_continuation)));
    }
}
