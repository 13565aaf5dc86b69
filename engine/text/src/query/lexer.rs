//! From a query's text to tokens, and the refusal of what other query languages have and this one has not.

use crate::error::{Error, Result};

/// A piece of a query and the byte where it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'q> {
    pub(crate) at: usize,
    pub(crate) kind: Kind<'q>,
}

/// What a [`Token`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind<'q> {
    Open,
    Close,
    And,
    Or,
    /// `NOT`, or a `-` right before what it negates.
    Not,
    /// Text without spaces, or between quotes, with what stands right behind it.
    Text {
        text: &'q str,
        quoted: bool,
        suffix: Suffix,
    },
}

/// What stands behind a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suffix {
    None,
    /// `*`
    Prefix,
    /// `~` or `~2`
    Fuzzy(u8),
}

/// The tokens of `query` in order.
pub(crate) fn tokens(query: &str) -> Result<Vec<Token<'_>>> {
    let mut lexer = Lexer { query, at: 0 };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'q> {
    query: &'q str,
    at: usize,
}

impl<'q> Lexer<'q> {
    fn rest(&self) -> &'q str {
        self.query.get(self.at..).unwrap_or("")
    }

    /// The next `len` bytes, which are passed.
    fn take(&mut self, len: usize) -> &'q str {
        let taken = self.rest().get(..len).unwrap_or("");
        self.at += taken.len();
        taken
    }

    fn next(&mut self) -> Result<Option<Token<'q>>> {
        let spaces = self.rest().len() - self.rest().trim_start().len();
        self.take(spaces);
        let at = self.at;
        let mut ahead = self.rest().chars();
        let Some(first) = ahead.next() else { return Ok(None) };
        let sign = ahead.next().is_some_and(|next| !next.is_whitespace() && next != ')');
        let kind = match first {
            '(' => self.symbol(Kind::Open),
            ')' => self.symbol(Kind::Close),
            '"' => self.phrase()?,
            '-' if sign => self.symbol(Kind::Not),
            '+' if sign => {
                self.take(1);
                return self.next();
            }
            _ => self.word()?,
        };
        Ok(Some(Token { at, kind }))
    }

    fn symbol(&mut self, kind: Kind<'q>) -> Kind<'q> {
        self.take(1);
        kind
    }

    fn phrase(&mut self) -> Result<Kind<'q>> {
        let at = self.at;
        self.take(1);
        let Some(end) = self.rest().find('"') else {
            return Err(Error::syntax(at, "the quote that opens here is never closed"));
        };
        let text = self.take(end);
        self.take(1);
        let suffix = match self.rest().chars().next() {
            Some('*') => {
                self.take(1);
                Suffix::Prefix
            }
            Some('~') => {
                return Err(Error::syntax(self.at, "a distance between the words of a phrase is not supported"));
            }
            Some('^') => return Err(boost(self.at)),
            _ => Suffix::None,
        };
        Ok(Kind::Text { text, quoted: true, suffix })
    }

    fn word(&mut self) -> Result<Kind<'q>> {
        let at = self.at;
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"')).unwrap_or(rest.len());
        let word = self.take(end);
        match word {
            "AND" | "&&" | "&" => return Ok(Kind::And),
            "OR" | "||" | "|" => return Ok(Kind::Or),
            "NOT" => return Ok(Kind::Not),
            _ => {}
        }
        refuse(word, self.rest(), at)?;
        let (text, suffix) = suffix(word, at)?;
        Ok(Kind::Text { text, quoted: false, suffix })
    }
}

/// Cuts `*`, `~` or `~2` off a word that starts at `at`.
fn suffix(word: &str, at: usize) -> Result<(&str, Suffix)> {
    if let Some(stem) = word.strip_suffix('*') {
        if !ends_in_word(stem) {
            return Err(Error::syntax(at, "`*` stands for the end of a word and needs its beginning right before it"));
        }
        return no_star(stem, at).map(|stem| (stem, Suffix::Prefix));
    }
    no_star(word, at)?;
    match word.rsplit_once('~') {
        Some((stem, edits)) if ends_in_word(stem) && edits.bytes().all(|byte| byte.is_ascii_digit()) => match edits {
            "" | "1" => Ok((stem, Suffix::Fuzzy(1))),
            "2" => Ok((stem, Suffix::Fuzzy(2))),
            _ => Err(Error::syntax(at, "a fuzzy word may be 1 or 2 edits away: `word~1` or `word~2`")),
        },
        _ => Ok((word, Suffix::None)),
    }
}

fn ends_in_word(text: &str) -> bool {
    text.chars().next_back().is_some_and(|last| last.is_alphanumeric() || last == '_')
}

fn no_star(word: &str, at: usize) -> Result<&str> {
    if word.contains('*') {
        return Err(Error::syntax(at, "`*` is allowed at the end of a word only; put the word in quotes to find it"));
    }
    Ok(word)
}

fn boost(at: usize) -> Error {
    Error::syntax(at, "weights (`^`) are not supported; put the word in quotes to find it")
}

/// Refuses fields, ranges, regular expressions and weights, by the `word` at `at` and what stands `after` it.
fn refuse(word: &str, after: &str, at: usize) -> Result<()> {
    if word == "*:*" {
        return Err(Error::syntax(at, "`*:*` is not supported; leave the condition out to get all rows"));
    }
    if let Some(field) = field(word, after) {
        let message =
            format!("fields (`{field}:`) are not supported, a query is about one column; put it in quotes to find it");
        return Err(Error::syntax(at, message));
    }
    if word.len() > 2 && word.starts_with('/') && word.ends_with('/') {
        return Err(Error::syntax(at, "regular expressions are not supported; put it in quotes to find its words"));
    }
    if word.starts_with(['[', '{']) && after.split_whitespace().next() == Some("TO") {
        return Err(Error::syntax(at, "ranges (`[a TO b]`) are not supported; put `TO` in quotes to find it"));
    }
    let weight = word.rsplit_once('^').filter(|(stem, _)| !stem.is_empty()).map(|(_, weight)| weight);
    if weight.is_some_and(|weight| weight.parse::<f32>().is_ok()) {
        return Err(boost(at));
    }
    Ok(())
}

/// The field that `word` names in front of a value, unless it looks like a path (`std::vec`), an address or a time.
fn field<'q>(word: &'q str, after: &str) -> Option<&'q str> {
    let (name, value) = word.split_once(':')?;
    let first = name.chars().next()?;
    let named =
        (first.is_alphabetic() || first == '_') && name.chars().all(|c| c.is_alphanumeric() || "_.-".contains(c));
    let valued = match value.chars().next() {
        Some(next) => !matches!(next, ':' | '/'),
        None => after.starts_with(['(', '"']),
    };
    (named && valued).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn word(text: &str, suffix: Suffix) -> Kind<'_> {
        Kind::Text { text, quoted: false, suffix }
    }

    fn kinds(query: &str) -> Vec<Kind<'_>> {
        tokens(query).expect("lexes").into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn signs_quotes_and_suffixes() {
        assert_eq!(
            kinds(r#"a -b +c* "d e"* f~ g~2 ~5 - x-y"#),
            [
                word("a", Suffix::None),
                Kind::Not,
                word("b", Suffix::None),
                word("c", Suffix::Prefix),
                Kind::Text { text: "d e", quoted: true, suffix: Suffix::Prefix },
                word("f", Suffix::Fuzzy(1)),
                word("g", Suffix::Fuzzy(2)),
                word("~5", Suffix::None),
                word("-", Suffix::None),
                word("x-y", Suffix::None),
            ]
        );
        assert_eq!(kinds("(a)OR"), [Kind::Open, word("a", Suffix::None), Kind::Close, Kind::Or]);
        assert_eq!(kinds("a -)"), [word("a", Suffix::None), word("-", Suffix::None), Kind::Close]);
    }

    #[test]
    fn what_other_languages_have_is_refused() {
        for query in [
            "*:*",
            "title:cat",
            "title:\"cat\"",
            "a:(b c)",
            "[a TO b]",
            "{1 TO 2}",
            "/ab+/",
            "cat^2",
            "te*t",
            "*",
            "a**",
        ] {
            let error = tokens(query).expect_err(query);
            assert_eq!(error.kind(), ErrorKind::Syntax, "{query}");
        }
        for query in ["std::vec", "http://x.org", "12:30", "note: this", "a/b/c", "[CLS]", "what?", "x ^ y", "Ünï: x"]
        {
            tokens(query).expect(query);
        }
    }

    #[test]
    fn errors_say_where() {
        let error = tokens("ab \"cd").expect_err("open quote");
        assert_eq!(error.at(), Some(3));
    }
}
