//! From the bytes of a `COPY … FROM STDIN` to fields. Input may be cut anywhere: within a field, within
//! a quote, within an escape.

use memchr::{memchr2, memchr3};

use crate::outcome::{CopyFormat, CopyOptions};
use crate::{Error, ErrorKind, Result};

/// One field; `None` is null.
pub(crate) type FieldText = Option<String>;

/// Cuts input into records and fields.
#[derive(Debug)]
pub(crate) struct Records {
    options: CopyOptions,
    columns: usize,
    /// Input that is not a whole record yet.
    pending: Vec<u8>,
    /// How much of `pending` was looked at.
    seen: usize,
    quoted: bool,
    escaped: bool,
    /// Line that `pending` begins on, counted from 1.
    line: u64,
    header: bool,
    /// `\.` was read: what follows is not data.
    ended: bool,
}

impl Records {
    pub(crate) fn new(options: CopyOptions, columns: usize) -> Self {
        let header = options.header;
        Self {
            options,
            columns,
            pending: Vec::new(),
            seen: 0,
            quoted: false,
            escaped: false,
            line: 1,
            header,
            ended: false,
        }
    }

    /// Takes more input; calls `record` with the line and the fields of each whole record.
    pub(crate) fn push(&mut self, bytes: &[u8], record: &mut impl FnMut(u64, Vec<FieldText>)) -> Result<()> {
        self.pending.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(end) = self.find_end() {
            let raw = self.pending.get(start..end).unwrap_or_default().to_vec();
            let lines = 1 + raw.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.read(&raw, record)?;
            self.line += lines;
            start = end + 1;
        }
        self.pending.drain(..start);
        self.seen -= start;
        Ok(())
    }

    /// The input is over; what is left is the last record, without its newline.
    pub(crate) fn finish(&mut self, record: &mut impl FnMut(u64, Vec<FieldText>)) -> Result<()> {
        if self.quoted {
            return Err(self.malformed("unterminated CSV quoted field"));
        }
        let raw = std::mem::take(&mut self.pending);
        self.seen = 0;
        if raw.is_empty() { Ok(()) } else { self.read(&raw, record) }
    }

    /// Looks on for a newline that ends a record.
    fn find_end(&mut self) -> Option<usize> {
        let CopyOptions { format, quote, escape, .. } = self.options;
        loop {
            if !self.escaped {
                let ahead = self.pending.get(self.seen..).unwrap_or_default();
                let next = match format {
                    CopyFormat::Text | CopyFormat::Binary => memchr2(b'\\', b'\n', ahead),
                    CopyFormat::Csv => memchr3(quote, escape, b'\n', ahead),
                };
                self.seen += next.unwrap_or(ahead.len());
            }
            let at = self.seen;
            let byte = *self.pending.get(at)?;
            self.seen += 1;
            if self.escaped {
                self.escaped = false;
                continue;
            }
            match format {
                CopyFormat::Text | CopyFormat::Binary if byte == b'\\' => self.escaped = true,
                CopyFormat::Csv if self.quoted && byte == escape && escape != quote => self.escaped = true,
                CopyFormat::Csv if byte == quote => self.quoted = !self.quoted,
                _ if byte == b'\n' && !self.quoted => return Some(at),
                _ => {}
            }
        }
    }

    fn read(&mut self, raw: &[u8], record: &mut impl FnMut(u64, Vec<FieldText>)) -> Result<()> {
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        if raw == b"\\." {
            self.ended = true;
        }
        if self.ended {
            return Ok(());
        }
        if std::mem::take(&mut self.header) {
            return Ok(());
        }
        let fields = match self.options.format {
            CopyFormat::Text | CopyFormat::Binary => self.text_fields(raw)?,
            CopyFormat::Csv => self.csv_fields(raw)?,
        };
        match fields.len() {
            count if count == self.columns => {}
            count if count < self.columns => {
                return Err(self.malformed(&format!("{count} fields where {} are expected", self.columns)));
            }
            _ => return Err(self.malformed("extra data after last expected column")),
        }
        record(self.line, fields);
        Ok(())
    }

    fn text_fields(&self, raw: &[u8]) -> Result<Vec<FieldText>> {
        let mut fields = Vec::with_capacity(self.columns);
        let mut start = 0;
        let mut at = 0;
        while at <= raw.len() {
            let ahead = raw.get(at..).unwrap_or_default();
            at += memchr2(b'\\', self.options.delimiter, ahead).unwrap_or(ahead.len());
            match raw.get(at) {
                Some(b'\\') => at += 2,
                _ => {
                    let field = raw.get(start..at.min(raw.len())).unwrap_or_default();
                    fields.push(self.text_field(field)?);
                    at += 1;
                    start = at;
                }
            }
        }
        // A backslash at the very end steps over the end.
        if start < raw.len() && at > raw.len() + 1 {
            fields.push(self.text_field(raw.get(start..).unwrap_or_default())?);
        }
        if self.columns == 0 && raw.is_empty() {
            fields.clear();
        }
        Ok(fields)
    }

    fn text_field(&self, raw: &[u8]) -> Result<FieldText> {
        if raw == self.options.null.as_bytes() {
            return Ok(None);
        }
        if !raw.contains(&b'\\') {
            return self.utf8(raw.to_vec()).map(Some);
        }
        let mut text = Vec::with_capacity(raw.len());
        let mut bytes = raw.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            if byte != b'\\' {
                text.push(byte);
                continue;
            }
            let Some(letter) = bytes.next() else { break };
            text.push(match letter {
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 11,
                b'x' => number(&mut bytes, 16, 2, 0).unwrap_or(b'x'),
                b'0'..=b'7' => number(&mut bytes, 8, 2, u32::from(letter - b'0')).unwrap_or_default(),
                other => other,
            });
        }
        self.utf8(text).map(Some)
    }

    fn csv_fields(&self, raw: &[u8]) -> Result<Vec<FieldText>> {
        let CopyOptions { delimiter, quote, escape, .. } = self.options;
        let mut fields = Vec::with_capacity(self.columns);
        let mut text = Vec::new();
        let (mut inside, mut was_quoted) = (false, false);
        let mut bytes = raw.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            let escapes =
                inside && byte == escape && bytes.peek().is_some_and(|next| *next == quote || *next == escape);
            if escapes {
                text.extend(bytes.next());
            } else if byte == quote {
                inside = !inside;
                was_quoted = true;
            } else if byte == delimiter && !inside {
                fields.push(self.csv_field(std::mem::take(&mut text), was_quoted)?);
                was_quoted = false;
            } else {
                text.push(byte);
            }
        }
        fields.push(self.csv_field(text, was_quoted)?);
        Ok(fields)
    }

    /// Only an unquoted field can be null.
    fn csv_field(&self, text: Vec<u8>, was_quoted: bool) -> Result<FieldText> {
        if !was_quoted && text == self.options.null.as_bytes() {
            return Ok(None);
        }
        self.utf8(text).map(Some)
    }

    fn utf8(&self, text: Vec<u8>) -> Result<String> {
        String::from_utf8(text).map_err(|_| self.malformed("invalid byte sequence for encoding \"UTF8\""))
    }

    fn malformed(&self, what: &str) -> Error {
        Error::new(ErrorKind::BadInput, what).with_detail(format!("line {}", self.line))
    }
}

/// Up to `most` further digits of a number in base `base`; `None` if there are none and `first` is 0.
fn number(bytes: &mut std::iter::Peekable<impl Iterator<Item = u8>>, base: u32, most: usize, first: u32) -> Option<u8> {
    let mut value = first;
    let mut digits = 0;
    while digits < most
        && let Some(digit) = bytes.peek().and_then(|byte| char::from(*byte).to_digit(base))
    {
        value = value * base + digit;
        digits += 1;
        bytes.next();
    }
    (digits > 0 || base == 8).then_some((value & 0xff) as u8)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(options: CopyOptions, columns: usize, input: &str, step: usize) -> Result<Vec<Vec<FieldText>>> {
        let mut records = Records::new(options, columns);
        let mut rows = Vec::new();
        for piece in input.as_bytes().chunks(step) {
            records.push(piece, &mut |_, fields| rows.push(fields))?;
        }
        records.finish(&mut |_, fields| rows.push(fields))?;
        Ok(rows)
    }

    fn some(text: &str) -> FieldText {
        Some(text.to_owned())
    }

    #[test]
    fn text_cut_anywhere_reads_the_same() {
        let input = "1\ta\\tb\n2\t\\N\n3\t\\\\N\\x41\\101\\\nc\n\\.\nignored";
        let expected = vec![vec![some("1"), some("a\tb")], vec![some("2"), None], vec![some("3"), some("\\NAA\nc")]];
        for step in 1..=input.len() {
            let rows = read(CopyOptions::new(CopyFormat::Text), 2, input, step).unwrap();
            assert_eq!(rows, expected, "in steps of {step}");
        }
    }

    #[test]
    fn csv_cut_anywhere_reads_the_same() {
        let mut options = CopyOptions::new(CopyFormat::Csv);
        options.header = true;
        let input = "a,b\r\n1,\"x, \"\"y\"\"\nz\"\r\n,\"\"\n";
        let expected = vec![vec![some("1"), some("x, \"y\"\nz")], vec![None, some("")]];
        for step in 1..=input.len() {
            assert_eq!(read(options.clone(), 2, input, step).unwrap(), expected, "in steps of {step}");
        }
    }

    #[test]
    fn short_and_long_records_name_their_line() {
        let error = read(CopyOptions::new(CopyFormat::Text), 2, "1\t2\n3\n", 3).unwrap_err();
        assert_eq!((error.sqlstate(), error.detail()), ("22P04", Some("line 2")));
        assert!(read(CopyOptions::new(CopyFormat::Csv), 1, "1,2\n", 9).is_err());
        assert!(read(CopyOptions::new(CopyFormat::Csv), 1, "\"open\n", 9).is_err());
    }
}
