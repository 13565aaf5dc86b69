//! Zip archives of tensors: what `torch.save` and `numpy.savez` write.
//!
//! Only what these two write is read: stored and deflated entries, with 64-bit sizes. Every offset and length comes
//! from the file and is checked against it, and no more is unpacked than the file could hold.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;

use flate2::Crc;
use flate2::read::DeflateDecoder;
use memmap2::Mmap;

use crate::{Error, ErrorKind, Result};

const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const END_64_LOCATOR: &[u8] = b"PK\x06\x07";
const CENTRAL: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";

/// Longest comment behind the end record.
const LONGEST_COMMENT: usize = u16::MAX as usize;
/// A deflated byte stands for at most this many.
const LARGEST_RATIO: u64 = 1032;

/// An archive in memory, and what is in it.
#[derive(Debug)]
pub(super) struct Archive {
    map: Mmap,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    is_deflated: bool,
    checksum: u32,
    packed: u64,
    size: u64,
    header: u64,
}

impl Archive {
    /// Reads the directory of an archive.
    pub(super) fn new(map: Mmap) -> Result<Self> {
        let entries = directory(&map)?;
        Ok(Self { map, entries })
    }

    /// Names of all entries.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Bytes that the archive takes, packed or unpacked, whichever is more.
    pub(super) fn size(&self) -> usize {
        let unpacked = self.entries.values().fold(0u64, |sum, entry| sum.saturating_add(entry.size));
        self.map.len().max(usize::try_from(unpacked).unwrap_or(usize::MAX).min(self.map.len().saturating_mul(8)))
    }

    /// The content of the entry `name`, whose checksum is compared.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>> {
        let entry = self.entries.get(name).ok_or_else(|| damaged(format!("the archive has no {name}")))?;
        let content = self.unpack(entry).map_err(|error| error.within(name))?;
        let mut crc = Crc::new();
        crc.update(&content);
        match crc.sum() == entry.checksum {
            true => Ok(content),
            false => Err(damaged(format!("the checksum of {name} is wrong"))),
        }
    }

    fn unpack(&self, entry: &Entry) -> Result<Vec<u8>> {
        let local = self.slice(entry.header, 30)?;
        if !local.starts_with(LOCAL) {
            return Err(damaged("an entry does not start where the directory says"));
        }
        let names = number::<2>(local, 26)? + number::<2>(local, 28)?;
        let packed = self.slice(entry.header.saturating_add(30).saturating_add(names), entry.packed)?;
        if !entry.is_deflated {
            return match entry.packed == entry.size {
                true => Ok(packed.to_vec()),
                false => Err(damaged("a stored entry has two sizes")),
            };
        }
        if entry.size > entry.packed.saturating_mul(LARGEST_RATIO) {
            return Err(damaged("an entry claims to be larger than it can be"));
        }
        let mut content = Vec::new();
        let read = DeflateDecoder::new(packed).take(entry.size + 1).read_to_end(&mut content);
        match read {
            Ok(length) if length as u64 == entry.size => Ok(content),
            Ok(_) => Err(damaged("an entry has another size than the directory says")),
            Err(error) => Err(damaged(format!("an entry cannot be unpacked: {error}"))),
        }
    }

    fn slice(&self, start: u64, length: u64) -> Result<&[u8]> {
        slice(&self.map, start, length)
    }
}

/// The entries of the central directory.
fn directory(file: &[u8]) -> Result<BTreeMap<String, Entry>> {
    let (count, place) = find_directory(file)?;
    let mut rest = slice(file, place.start, place.end.saturating_sub(place.start))?;
    let mut entries = BTreeMap::new();
    for _ in 0..count {
        if !rest.starts_with(CENTRAL) {
            return Err(damaged("the archive's directory ends early"));
        }
        let [name, extra, comment] = [28, 30, 32].map(|at| number::<2>(rest, at));
        let (name, extra, comment) = (name?, extra?, comment?);
        let text = slice(rest, 46, name)?;
        let text = std::str::from_utf8(text).map_err(|_| damaged("an entry's name is not text"))?;
        let entry = entry(rest, slice(rest, 46 + name, extra)?)?;
        entries.insert(text.to_string(), entry);
        let length = usize::try_from(46 + name + extra + comment).unwrap_or(usize::MAX);
        rest = rest.get(length..).ok_or_else(|| damaged("the archive's directory ends early"))?;
    }
    Ok(entries)
}

fn entry(record: &[u8], mut extra: &[u8]) -> Result<Entry> {
    let is_deflated = match number::<2>(record, 10)? {
        0 => false,
        8 => true,
        method => return Err(damaged(format!("an entry is packed by method {method}, which is not known"))),
    };
    let checksum = u32::try_from(number::<4>(record, 16)?).unwrap_or_default();
    let mut sizes = [number::<4>(record, 24)?, number::<4>(record, 20)?, number::<4>(record, 42)?];
    // Sizes that do not fit stand in an extra field, in this order, and only those.
    while extra.len() >= 4 {
        let (tag, length) = (number::<2>(extra, 0)?, number::<2>(extra, 2)?);
        let mut field = slice(extra, 4, length)?;
        if tag == 1 {
            for size in sizes.iter_mut().filter(|size| **size == u64::from(u32::MAX)) {
                *size = number::<8>(field, 0)?;
                field = field.get(8..).unwrap_or_default();
            }
        }
        extra = slice(extra, 4 + length, extra.len() as u64 - 4 - length)?;
    }
    let [size, packed, header] = sizes;
    Ok(Entry { is_deflated, checksum, packed, size, header })
}

/// Number of entries, and where their directory lies.
fn find_directory(file: &[u8]) -> Result<(u64, Range<u64>)> {
    let from = file.len().saturating_sub(LONGEST_COMMENT + 22);
    let tail = file.get(from..).unwrap_or_default();
    let at = tail.windows(4).rposition(|window| window == END).map(|at| from + at).ok_or_else(|| {
        damaged("not a whole zip archive: its end is missing")
            .with_hint("download it again; an interrupted download leaves such a file")
    })?;
    let end = file.get(at..).unwrap_or_default();
    let (mut count, mut size, mut start) = (number::<2>(end, 10)?, number::<4>(end, 12)?, number::<4>(end, 16)?);
    let locator = at.checked_sub(20).and_then(|at| file.get(at..at + 20)).filter(|it| it.starts_with(END_64_LOCATOR));
    if let Some(locator) = locator {
        let end = slice(file, number::<8>(locator, 8)?, 56)?;
        if !end.starts_with(END_64) {
            return Err(damaged("the archive's 64-bit end is missing"));
        }
        (count, size, start) = (number::<8>(end, 32)?, number::<8>(end, 40)?, number::<8>(end, 48)?);
    }
    Ok((count, start..start.saturating_add(size)))
}

/// The little-endian number of `N` bytes at `at`.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Result<u64> {
    let digits = slice(bytes, at as u64, N as u64)?;
    Ok(digits.iter().rev().fold(0, |value, digit| value << 8 | u64::from(*digit)))
}

fn slice(bytes: &[u8], start: u64, length: u64) -> Result<&[u8]> {
    let range = usize::try_from(start).ok().zip(start.checked_add(length).and_then(|end| usize::try_from(end).ok()));
    range.and_then(|(start, end)| bytes.get(start..end)).ok_or_else(|| damaged("the archive ends early"))
}

fn damaged(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadFile, message)
}
