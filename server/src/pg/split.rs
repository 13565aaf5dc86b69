//! Where the statements of a query string begin and end, without knowing what they mean.

/// The statements of `sql`, each with the number of bytes before it; blank ones are left out.
pub(super) fn statements(sql: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut scanner = Scanner { sql: sql.as_bytes(), at: 0 };
    while let Some(end) = scanner.semicolon() {
        found.push((start, &sql[start..end]));
        start = end + 1;
    }
    found.push((start, &sql[start..]));
    found.retain_mut(|(start, text)| {
        let trimmed = skip_blanks(text);
        *start += text.len() - trimmed.len();
        *text = trimmed.trim_end();
        !text.is_empty()
    });
    found
}

/// `sql` without the blanks and comments it begins with.
pub(super) fn skip_blanks(sql: &str) -> &str {
    let mut scanner = Scanner { sql: sql.as_bytes(), at: 0 };
    loop {
        match scanner.peek(0) {
            Some(byte) if byte.is_ascii_whitespace() => scanner.at += 1,
            Some(b'-') if scanner.peek(1) == Some(b'-') => scanner.line_comment(),
            Some(b'/') if scanner.peek(1) == Some(b'*') => scanner.block_comment(),
            _ => return sql.get(scanner.at..).unwrap_or_default(),
        }
    }
}

/// Walks over a query string. All it stops at is ASCII, so its offsets are character boundaries.
struct Scanner<'a> {
    sql: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.sql.get(self.at + ahead).copied()
    }

    /// Moves past the next semicolon outside quotes and comments; answers where it stands.
    fn semicolon(&mut self) -> Option<usize> {
        while let Some(byte) = self.peek(0) {
            match byte {
                b';' => {
                    self.at += 1;
                    return Some(self.at - 1);
                }
                b'\'' => self.quoted(b'\'', self.follows_escape_prefix()),
                b'"' => self.quoted(b'"', false),
                b'-' if self.peek(1) == Some(b'-') => self.line_comment(),
                b'/' if self.peek(1) == Some(b'*') => self.block_comment(),
                b'$' if !self.follows_word() => self.dollar_quoted(),
                _ => self.at += 1,
            }
        }
        None
    }

    /// Whether the quote here belongs to an `E'…'` string.
    fn follows_escape_prefix(&self) -> bool {
        let before = |back: usize| self.at.checked_sub(back).and_then(|at| self.sql.get(at)).copied();
        matches!(before(1), Some(b'e' | b'E')) && !before(2).is_some_and(is_word)
    }

    fn follows_word(&self) -> bool {
        self.at.checked_sub(1).and_then(|at| self.sql.get(at)).copied().is_some_and(is_word)
    }

    /// Moves past a quoted text; doubled quotes simply count as two texts.
    fn quoted(&mut self, quote: u8, backslash_escapes: bool) {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            if byte == quote {
                return;
            }
            if backslash_escapes && byte == b'\\' {
                self.at += 1;
            }
        }
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => (self.at, depth) = (self.at + 2, depth + 1),
                (Some(b'*'), Some(b'/')) => (self.at, depth) = (self.at + 2, depth - 1),
                (Some(_), _) => self.at += 1,
                (None, _) => return,
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Moves past `$tag$ … $tag$`, or past the dollar if this is a parameter such as `$1`.
    fn dollar_quoted(&mut self) {
        let rest = self.sql.get(self.at..).unwrap_or_default();
        let tag_length = rest.iter().skip(1).take_while(|byte| is_word(**byte)).count();
        let begins_with_digit = rest.get(1).is_some_and(u8::is_ascii_digit);
        let (Some(b'$'), false) = (rest.get(tag_length + 1), begins_with_digit) else {
            self.at += 1;
            return;
        };
        let (tag, body) = rest.split_at(tag_length + 2);
        let length = body.windows(tag.len()).position(|window| window == tag).unwrap_or(body.len());
        self.at = (self.at + 2 * tag.len() + length).min(self.sql.len());
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        statements(sql).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn semicolons_within_quotes_and_comments_do_not_separate() {
        assert_eq!(texts("select 1; select 2"), ["select 1", "select 2"]);
        assert_eq!(texts("select ';', \";\", 'it''s;' ;;"), ["select ';', \";\", 'it''s;'"]);
        assert_eq!(texts(r"select e'\';', '\'; select 2"), [r"select e'\';', '\'", "select 2"]);
        assert_eq!(texts("select $$;$$, $a$;$$;$a$, $1; x"), ["select $$;$$, $a$;$$;$a$, $1", "x"]);
        assert_eq!(texts("-- a;b\nselect 1 /* ; /* ; */ ; */; x"), ["select 1 /* ; /* ; */ ; */", "x"]);
        assert_eq!(texts("  ; -- nothing\n ;"), Vec::<&str>::new());
        assert_eq!(texts("select '\u{e9};"), ["select '\u{e9};"]);
    }

    #[test]
    fn statements_know_where_they_begin() {
        assert_eq!(statements(" a; /* x */ b"), [(1, "a"), (12, "b")]);
    }
}
