//! How many words each row has, exactly. The index itself keeps lengths in a byte, rounded, which is enough to weigh a row and
//! too coarse to add up.

use tantivy::directory::OwnedBytes;

use super::bundle::Reader;
use crate::error::{Error, Result};

/// Stands for a length that does not fit into a byte.
const LONG: u8 = u8::MAX;

/// Collects lengths row by row.
#[derive(Default)]
pub(crate) struct LengthsBuilder {
    short: Vec<u8>,
    /// Pairs of row and length, little-endian, behind the short ones in the file.
    long: Vec<u8>,
    total: u64,
}

impl LengthsBuilder {
    pub(crate) fn push(&mut self, length: u32) {
        let row = self.short.len() as u32;
        let short = u8::try_from(length).unwrap_or(LONG);
        self.short.push(short);
        if short == LONG {
            self.long.extend_from_slice(&row.to_le_bytes());
            self.long.extend_from_slice(&length.to_le_bytes());
        }
        self.total += u64::from(length);
    }

    pub(crate) fn rows(&self) -> u32 {
        self.short.len() as u32
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        self.short.append(&mut self.long);
        self.short
    }
}

/// The lengths of a segment's rows.
pub(crate) struct Lengths {
    short: OwnedBytes,
    /// Rows and lengths of 255 words and more, by row.
    long: Vec<(u32, u32)>,
}

impl Lengths {
    pub(crate) fn open(bytes: &OwnedBytes, rows: u32) -> Result<Self> {
        let rows = rows as usize;
        if bytes.len() < rows || !(bytes.len() - rows).is_multiple_of(8) {
            return Err(Error::damaged("it has not as many lengths as rows"));
        }
        let mut reader = Reader { bytes: bytes.as_slice(), at: rows };
        let mut long = Vec::with_capacity((bytes.len() - rows) / 8);
        while reader.at < bytes.len() {
            long.push((reader.u32()?, reader.u32()?));
        }
        if !long.is_sorted() {
            return Err(Error::damaged("its lengths are out of order"));
        }
        Ok(Self { short: bytes.slice(0..rows), long })
    }

    /// How many words the row has; 0 behind the last row.
    pub(crate) fn get(&self, row: u32) -> u32 {
        match self.short.get(row as usize) {
            Some(&LONG) => match self.long.binary_search_by_key(&row, |(row, _)| *row) {
                Ok(found) => self.long.get(found).map_or(0, |(_, length)| *length),
                Err(_) => 0,
            },
            Some(&short) => u32::from(short),
            None => 0,
        }
    }
}
