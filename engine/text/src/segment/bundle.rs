//! The file of a segment: named parts behind a table, every byte of it under a checksum.
//!
//! ```text
//! 0   magic "LDBTEXT\0"
//! 8   format version, u32
//! 12  length of the table, u32
//! 16  checksum of the bytes before this and of the table, u64
//! 24  table: for each part { length of the name u16, name, length u64, checksum u64 }
//!     the parts, one right after the other, to the end of the file
//! ```
//!
//! Numbers are little-endian, checksums XXH3. Checksums are compared when a file is opened, so that nothing behind this module
//! ever sees a damaged byte.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use tantivy::directory::OwnedBytes;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"LDBTEXT\0";
const VERSION: u32 = 1;
/// Where the table starts.
const HEADER: usize = 24;

/// A checked bundle in memory or mapped from a file.
#[derive(Clone)]
pub(crate) struct Bundle {
    bytes: OwnedBytes,
    parts: BTreeMap<PathBuf, Range<usize>>,
}

impl Bundle {
    /// Reads the table of `bytes` and compares every checksum.
    pub(crate) fn open(bytes: OwnedBytes) -> Result<Self> {
        let mut header = Reader { bytes: bytes.as_slice(), at: 0 };
        if header.take(8)? != MAGIC {
            return Err(Error::damaged("it does not begin as a text segment does"));
        }
        let version = header.u32()?;
        if version != VERSION {
            return Err(Error::damaged(format_args!("its format is {version}, and {VERSION} is known")));
        }
        let length = header.u32()? as usize;
        let sum = header.u64()?;
        let table = header.take(length)?;
        if sum != table_sum(length, table) {
            return Err(Error::damaged("the checksum of its table differs"));
        }
        let parts = parts(table, header.at, &bytes)?;
        Ok(Self { bytes, parts })
    }

    /// Puts `parts` together.
    pub(crate) fn build(parts: &[(&Path, &[u8])]) -> Result<Self> {
        let mut table = Vec::new();
        for (name, part) in parts {
            let name = name.as_os_str().as_encoded_bytes();
            let length = u16::try_from(name.len()).map_err(|_| Error::too_large("the name of a part is too long"))?;
            table.extend_from_slice(&length.to_le_bytes());
            table.extend_from_slice(name);
            table.extend_from_slice(&(part.len() as u64).to_le_bytes());
            table.extend_from_slice(&xxh3_64(part).to_le_bytes());
        }
        let length = u32::try_from(table.len()).map_err(|_| Error::too_large("a segment has too many parts"))?;
        let mut bytes =
            Vec::with_capacity(HEADER + table.len() + parts.iter().map(|(_, part)| part.len()).sum::<usize>());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&table_sum(table.len(), &table).to_le_bytes());
        bytes.append(&mut table);
        parts.iter().for_each(|(_, part)| bytes.extend_from_slice(part));
        Self::open(OwnedBytes::new(bytes))
    }

    /// The whole file.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    pub(crate) fn part(&self, name: &Path) -> Option<OwnedBytes> {
        self.parts.get(name).map(|range| self.bytes.slice(range.clone()))
    }

    /// The part `name`, which every segment has.
    pub(crate) fn needed(&self, name: &str) -> Result<OwnedBytes> {
        self.part(Path::new(name)).ok_or_else(|| Error::damaged(format_args!("it has no part `{name}`")))
    }
}

fn table_sum(length: usize, table: &[u8]) -> u64 {
    let mut sum = Xxh3::new();
    sum.update(MAGIC);
    sum.update(&VERSION.to_le_bytes());
    sum.update(&(length as u64).to_le_bytes());
    sum.update(table);
    sum.digest()
}

/// The parts that `table` names, which lie in `bytes` from `start` to the end.
fn parts(table: &[u8], start: usize, bytes: &OwnedBytes) -> Result<BTreeMap<PathBuf, Range<usize>>> {
    let mut parts = BTreeMap::new();
    let mut table = Reader { bytes: table, at: 0 };
    let mut body = Reader { bytes: bytes.as_slice(), at: start };
    while table.at < table.bytes.len() {
        let length = table.u16()? as usize;
        let name = std::str::from_utf8(table.take(length)?).map_err(|_| Error::damaged("a part's name is no text"))?;
        let length = usize::try_from(table.u64()?).map_err(|_| Error::damaged("a part is too long"))?;
        let sum = table.u64()?;
        let from = body.at;
        if xxh3_64(body.take(length)?) != sum {
            return Err(Error::damaged(format_args!("the checksum of `{name}` differs")));
        }
        parts.insert(PathBuf::from(name), from..body.at);
    }
    if body.at != bytes.len() {
        return Err(Error::damaged("it goes on behind its last part"));
    }
    Ok(parts)
}

/// Reads numbers from bytes that may end too early.
pub(crate) struct Reader<'b> {
    pub(crate) bytes: &'b [u8],
    pub(crate) at: usize,
}

impl<'b> Reader<'b> {
    pub(crate) fn take(&mut self, length: usize) -> Result<&'b [u8]> {
        let end = self.at.checked_add(length);
        let taken =
            end.and_then(|end| self.bytes.get(self.at..end)).ok_or_else(|| Error::damaged("it ends too early"))?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| Error::damaged("it ends too early"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
