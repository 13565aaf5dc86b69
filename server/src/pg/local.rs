//! Statements about what lives in the wire layer, not in the engine: cursors, which are portals, and
//! statements prepared through the protocol.

use super::errors::{Report, code};
use super::split::skip_blanks;

type Result<T> = std::result::Result<T, Report>;

/// A statement that the wire layer answers itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Local {
    /// `DECLARE name CURSOR [WITH HOLD] FOR query`.
    Declare { name: String, hold: bool, query: String },
    /// `FETCH` or, if the rows are not wanted, `MOVE`.
    Fetch { name: String, extent: Extent, discard: bool },
    /// `CLOSE name`; `CLOSE ALL` without a name.
    Close { name: Option<String> },
    /// `DEALLOCATE name`; `DEALLOCATE ALL` without a name. The engine has prepared statements too.
    Deallocate { name: Option<String>, text: String },
    /// `DISCARD ALL`: portals and prepared statements go, the rest is the engine's.
    DiscardAll { text: String },
}

/// Which rows a `FETCH` is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// The next so many.
    Next(u64),
    /// All that are left.
    Rest,
    /// The one at this position, counted from 1; 0 stands before the first.
    Absolute(u64),
    /// The one this many further on.
    Relative(u64),
}

/// Reads `sql` if it is a statement for the wire layer; `None` if it is the engine's.
pub(super) fn parse(sql: &str) -> Result<Option<Local>> {
    let mut words = Words { rest: sql };
    let Some(Word::Plain(verb)) = words.next() else { return Ok(None) };
    let local = match verb.as_str() {
        "declare" => declare(&mut words)?,
        "fetch" => fetch(&mut words, false)?,
        "move" => fetch(&mut words, true)?,
        "close" => Local::Close { name: name_or_all(&mut words)? },
        "deallocate" => {
            words.accept("prepare");
            Local::Deallocate { name: name_or_all(&mut words)?, text: sql.to_owned() }
        }
        "discard" if words.accept("all") => Local::DiscardAll { text: sql.to_owned() },
        _ => return Ok(None),
    };
    match words.next() {
        Some(word) if !matches!(local, Local::Declare { .. }) => Err(unexpected(Some(word))),
        _ => Ok(Some(local)),
    }
}

fn declare(words: &mut Words<'_>) -> Result<Local> {
    let name = words.name()?;
    let mut scroll = false;
    loop {
        match words.next() {
            Some(Word::Plain(word)) if word == "cursor" => break,
            Some(Word::Plain(word)) if word == "scroll" => scroll = true,
            Some(Word::Plain(word)) if word == "no" && words.accept("scroll") => {}
            Some(Word::Plain(word)) if matches!(word.as_str(), "binary" | "insensitive" | "asensitive") => {}
            word => return Err(unexpected(word)),
        }
    }
    if scroll {
        return Err(Report::new(code::UNSUPPORTED, "cursors that scroll backwards are not supported")
            .with_hint("declare the cursor without SCROLL, or read it again from the start"));
    }
    let hold = words.accept("with");
    if hold || words.accept("without") {
        words.expect("hold")?;
    }
    words.expect("for")?;
    Ok(Local::Declare { name, hold, query: words.rest.trim().to_owned() })
}

fn fetch(words: &mut Words<'_>, discard: bool) -> Result<Local> {
    let before = words.rest;
    let extent = match words.next() {
        Some(Word::Number(count)) => Extent::Next(count),
        Some(Word::Plain(word)) => match word.as_str() {
            "next" => Extent::Next(1),
            "all" => Extent::Rest,
            "first" => Extent::Absolute(1),
            "absolute" => Extent::Absolute(words.number()?),
            "relative" => Extent::Relative(words.number()?),
            "forward" => forward(words),
            "backward" | "prior" | "last" => return Err(backwards()),
            _ => {
                words.rest = before;
                Extent::Next(1)
            }
        },
        Some(Word::Symbol('-')) => return Err(backwards()),
        _ => {
            words.rest = before;
            Extent::Next(1)
        }
    };
    let _ = words.accept("from") || words.accept("in");
    Ok(Local::Fetch { name: words.name()?, extent, discard })
}

fn forward(words: &mut Words<'_>) -> Extent {
    let before = words.rest;
    match words.next() {
        Some(Word::Number(count)) => Extent::Next(count),
        Some(Word::Plain(word)) if word == "all" => Extent::Rest,
        _ => {
            words.rest = before;
            Extent::Next(1)
        }
    }
}

fn backwards() -> Report {
    Report::new(code::NOT_IN_STATE, "cursor can only scan forward")
}

fn name_or_all(words: &mut Words<'_>) -> Result<Option<String>> {
    if words.accept("all") { Ok(None) } else { words.name().map(Some) }
}

fn unexpected(word: Option<Word>) -> Report {
    let message = match word {
        None => "syntax error at end of input".to_owned(),
        Some(Word::Plain(word) | Word::Quoted(word)) => format!("syntax error at or near \"{word}\""),
        Some(Word::Number(number)) => format!("syntax error at or near \"{number}\""),
        Some(Word::Symbol(symbol)) => format!("syntax error at or near \"{symbol}\""),
    };
    Report::new(code::SYNTAX_ERROR, message)
}

#[derive(Debug, PartialEq, Eq)]
enum Word {
    /// A keyword or name, in lower case.
    Plain(String),
    /// A name in double quotes.
    Quoted(String),
    Number(u64),
    Symbol(char),
}

struct Words<'a> {
    rest: &'a str,
}

impl Words<'_> {
    fn next(&mut self) -> Option<Word> {
        self.rest = skip_blanks(self.rest);
        let first = self.rest.chars().next()?;
        if first == '"' {
            return Some(self.quoted());
        }
        let is_part = |character: char| character.is_alphanumeric() || character == '_' || character == '$';
        if !is_part(first) {
            self.rest = &self.rest[first.len_utf8()..];
            return Some(Word::Symbol(first));
        }
        let end = self.rest.find(|character| !is_part(character)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(match word.parse() {
            Ok(number) => Word::Number(number),
            Err(_) => Word::Plain(word.to_lowercase()),
        })
    }

    fn quoted(&mut self) -> Word {
        let mut name = String::new();
        let mut rest = &self.rest[1..];
        loop {
            let end = rest.find('"').unwrap_or(rest.len());
            name.push_str(&rest[..end]);
            rest = rest.get(end + 1..).unwrap_or_default();
            match rest.strip_prefix('"') {
                Some(after) => {
                    name.push('"');
                    rest = after;
                }
                None => {
                    self.rest = rest;
                    return Word::Quoted(name);
                }
            }
        }
    }

    fn accept(&mut self, keyword: &str) -> bool {
        let before = self.rest;
        if self.next() == Some(Word::Plain(keyword.to_owned())) {
            return true;
        }
        self.rest = before;
        false
    }

    fn expect(&mut self, keyword: &str) -> Result<()> {
        match self.next() {
            Some(Word::Plain(word)) if word == keyword => Ok(()),
            word => Err(unexpected(word)),
        }
    }

    fn name(&mut self) -> Result<String> {
        match self.next() {
            Some(Word::Plain(name) | Word::Quoted(name)) => Ok(name),
            word => Err(unexpected(word)),
        }
    }

    fn number(&mut self) -> Result<u64> {
        match self.next() {
            Some(Word::Number(number)) => Ok(number),
            Some(Word::Symbol('-')) => Err(backwards()),
            word => Err(unexpected(word)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(sql: &str) -> Local {
        parse(sql).unwrap().unwrap()
    }

    #[test]
    fn cursors_are_read_as_clients_write_them() {
        let query = "SELECT 1 -- one".to_owned();
        assert_eq!(
            read("DECLARE \"a \"\"b\" CURSOR FOR SELECT 1 -- one"),
            Local::Declare { name: "a \"b".into(), hold: false, query: query.clone() }
        );
        assert_eq!(
            read("declare C binary no scroll cursor with hold for SELECT 1 -- one"),
            Local::Declare { name: "c".into(), hold: true, query }
        );
        let fetched = |extent| Local::Fetch { name: "c".into(), extent, discard: false };
        assert_eq!(read("FETCH FORWARD 100 FROM \"c\""), fetched(Extent::Next(100)));
        assert_eq!(read("fetch all in c"), fetched(Extent::Rest));
        assert_eq!(read("FETCH FORWARD ALL FROM c"), fetched(Extent::Rest));
        assert_eq!(read("FETCH c"), fetched(Extent::Next(1)));
        assert_eq!(read("FETCH ABSOLUTE 7 c"), fetched(Extent::Absolute(7)));
        assert_eq!(read("MOVE 5 c"), Local::Fetch { name: "c".into(), extent: Extent::Next(5), discard: true });
        assert_eq!(read("close all"), Local::Close { name: None });
        assert_eq!(
            read("DEALLOCATE PREPARE p1"),
            Local::Deallocate { name: Some("p1".into()), text: "DEALLOCATE PREPARE p1".into() }
        );
    }

    #[test]
    fn other_statements_are_left_to_the_engine() {
        for sql in ["SELECT 1", "DISCARD PLANS", "", "/* c */ WITH x AS (SELECT 1) SELECT * FROM x", "(SELECT 1)"] {
            assert_eq!(parse(sql).unwrap(), None, "{sql}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        assert_eq!(parse("FETCH BACKWARD 1 FROM c").unwrap_err().code(), "55000");
        assert_eq!(parse("FETCH -1 FROM c").unwrap_err().code(), "55000");
        assert_eq!(parse("DECLARE c SCROLL CURSOR FOR SELECT 1").unwrap_err().code(), "0A000");
        assert_eq!(parse("DECLARE c FOR SELECT 1").unwrap_err().code(), "42601");
        assert_eq!(parse("CLOSE c d").unwrap_err().code(), "42601");
    }
}
