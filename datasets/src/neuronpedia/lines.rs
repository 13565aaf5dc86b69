//! JSON Lines, compressed or not, one line at a time and in constant memory.
//!
//! Errors name the file and the line.

use std::io::{BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use latentdb_engine::{Error, ErrorKind, Result};
use memchr::memchr;

/// Bytes asked of the decoder at once. A line of any length fits: the buffer grows to it.
const CHUNK: usize = 256 * 1024;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The lines of one file.
pub(crate) struct Lines {
    name: String,
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// The part of `buffer` that is filled and not handed out yet.
    start: usize,
    end: usize,
    at_end: bool,
    line: u64,
}

impl Lines {
    /// The lines of `stored`, which messages call `name`. Whether it is gzip is told by its first bytes: servers
    /// and people rename files.
    pub(crate) fn open(name: String, mut stored: Box<dyn Read + Send>) -> Result<Self> {
        let mut magic = Vec::with_capacity(GZIP_MAGIC.len());
        let peeked = stored.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut magic);
        peeked.map_err(|error| unreadable(&name, 0, &error))?;
        if magic.is_empty() && name.ends_with(".gz") {
            return Err(Error::new(ErrorKind::BadInput, format!("{name} is empty: not even a gzip header"))
                .with_hint("fetch the file again"));
        }
        let compressed = magic == GZIP_MAGIC;
        let whole = std::io::Cursor::new(magic).chain(stored);
        let reader: Box<dyn Read + Send> = if compressed {
            Box::new(MultiGzDecoder::new(BufReader::with_capacity(64 * 1024, whole)))
        } else {
            Box::new(whole)
        };
        Ok(Self { name, reader, buffer: vec![0; CHUNK], start: 0, end: 0, at_end: false, line: 0 })
    }

    /// The next line that is not blank, without its end.
    pub(crate) fn next_line(&mut self) -> Result<Option<&[u8]>> {
        let mut searched = 0;
        loop {
            let pending = self.buffer.get(self.start..self.end).unwrap_or_default();
            let found = memchr(b'\n', pending.get(searched..).unwrap_or_default());
            let (length, skipped) = match found {
                Some(at) => (searched + at, 1),
                None if self.at_end && pending.is_empty() => return Ok(None),
                None if self.at_end => (pending.len(), 0),
                None => {
                    searched = pending.len();
                    self.fill()?;
                    continue;
                }
            };
            let from = self.start;
            self.start += length + skipped;
            self.line += 1;
            searched = 0;
            let blank = self.buffer.get(from..from + length).unwrap_or_default().trim_ascii().is_empty();
            if !blank {
                return Ok(self.buffer.get(from..from + length));
            }
        }
    }

    /// Number of the line handed out last, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// An error about the line handed out last.
    pub(crate) fn bad(&self, reason: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::BadInput, format!("{}, line {}: {reason}", self.name, self.line))
    }

    fn fill(&mut self) -> Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let read = loop {
            match self.reader.read(room) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        match read {
            Ok(0) => self.at_end = true,
            Ok(n) => self.end += n,
            Err(error) => return Err(unreadable(&self.name, self.line + 1, &error)),
        }
        Ok(())
    }
}

fn unreadable(name: &str, line: u64, error: &std::io::Error) -> Error {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    let (kind, reason) = match error.kind() {
        UnexpectedEof => (ErrorKind::BadInput, "the file is truncated".to_owned()),
        InvalidData | InvalidInput => (ErrorKind::BadInput, format!("the file is damaged ({error})")),
        _ => (ErrorKind::Io, error.to_string()),
    };
    Error::new(kind, format!("{name}, line {line}: {reason}")).with_hint("fetch the file again")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(5));
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn open(name: &str, bytes: Vec<u8>) -> Lines {
        Lines::open(name.to_owned(), Box::new(std::io::Cursor::new(bytes))).unwrap()
    }

    fn all(mut lines: Lines) -> Result<Vec<(u64, String)>> {
        let mut found = Vec::new();
        while let Some(line) = lines.next_line()? {
            let text = String::from_utf8(line.to_vec()).unwrap();
            found.push((lines.line(), text));
        }
        Ok(found)
    }

    #[test]
    fn lines_of_any_length_across_chunks_and_gzip_members() {
        let long = "x".repeat(3 * CHUNK);
        let mut stored = gzip(format!("a\n\n{long}\r\nb").as_bytes());
        stored.extend(gzip(b"c\nlast\n"));
        let found = all(open("f.gz", stored)).unwrap();
        let lengths: Vec<_> = found.iter().map(|(line, text)| (*line, text.len())).collect();
        assert_eq!(lengths, [(1, 1), (3, long.len() + 1), (4, 2), (5, 4)]);
        assert_eq!(found.last().unwrap().1, "last");
    }

    #[test]
    fn plain_text_is_told_from_gzip_by_its_bytes() {
        assert_eq!(all(open("f.jsonl.gz", b"{}\n{}".to_vec())).unwrap().len(), 2);
        assert_eq!(all(open("f.jsonl", gzip(b"{}\n"))).unwrap().len(), 1);
        assert_eq!(all(open("f.jsonl", Vec::new())).unwrap().len(), 0);
    }

    #[test]
    fn a_truncated_file_names_itself_and_the_line() {
        let text: Vec<u8> =
            (0..5000).flat_map(|i| format!("{{\"index\":{}}}\n", i * 7919 % 4999).into_bytes()).collect();
        let mut stored = gzip(&text);
        stored.truncate(stored.len() / 2);
        let error = all(open("cut.jsonl.gz", stored)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadInput);
        assert!(error.message().starts_with("cut.jsonl.gz, line "), "{error}");
        assert!(error.message().contains("truncated"), "{error}");
        let empty = Lines::open("e.jsonl.gz".to_owned(), Box::new(std::io::empty()));
        assert!(empty.is_err());
    }

    #[test]
    fn damaged_gzip_is_refused() {
        let mut stored = gzip("abc\n".repeat(1000).as_bytes());
        let middle = stored.len() / 2;
        for byte in stored.iter_mut().skip(middle).take(4) {
            *byte ^= 0xff;
        }
        assert!(all(open("bad.jsonl.gz", stored)).is_err());
    }
}
