//! The instructions of a pickle, protocols 2 to 5, that build values.

use crate::{Error, ErrorKind, Result};

/// One instruction with its argument.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Instruction {
    Mark,
    Stop,
    Pop,
    PopMark,
    Dup,
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    EmptyTuple,
    Tuple,
    TupleOf(usize),
    EmptyList,
    List,
    Append,
    Appends,
    EmptyDict,
    Dict,
    SetItem,
    SetItems,
    EmptySet,
    AddItems,
    FrozenSet,
    Put(u32),
    Get(u32),
    Memoize,
    Global(String, String),
    StackGlobal,
    Reduce,
    NewObject,
    Build,
    PersistentId,
    /// A protocol or frame header, without effect.
    Nothing,
}

/// Reads instructions one after the other.
#[derive(Debug)]
pub(super) struct Instructions<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Instructions<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next instruction.
    pub(super) fn next(&mut self) -> Result<Instruction> {
        use Instruction as I;
        let code = self.number::<1>()? as u8;
        Ok(match code {
            b'(' => I::Mark,
            b'.' => I::Stop,
            b'0' => I::Pop,
            b'1' => I::PopMark,
            b'2' => I::Dup,
            b'N' => I::None,
            0x88 => I::Bool(true),
            0x89 => I::Bool(false),
            b'J' => I::Int(i64::from(self.number::<4>()? as u32 as i32)),
            b'K' => I::Int(self.number::<1>()? as i64),
            b'M' => I::Int(self.number::<2>()? as i64),
            0x8a => I::Int(self.long()?),
            b'I' => self.decimal()?,
            b'L' => self.decimal()?,
            b'G' => I::Float(f64::from_bits(self.number::<8>()?.swap_bytes())),
            b'X' => I::Text(self.text::<4>()?),
            0x8c => I::Text(self.text::<1>()?),
            0x8d => I::Text(self.text::<8>()?),
            b'U' => I::Text(self.text::<1>()?),
            b'T' => I::Text(self.text::<4>()?),
            b'C' => I::Bytes(self.sized::<1>()?.to_vec()),
            b'B' => I::Bytes(self.sized::<4>()?.to_vec()),
            0x8e => I::Bytes(self.sized::<8>()?.to_vec()),
            b')' => I::EmptyTuple,
            b't' => I::Tuple,
            0x85..=0x87 => I::TupleOf(usize::from(code - 0x84)),
            b']' => I::EmptyList,
            b'l' => I::List,
            b'a' => I::Append,
            b'e' => I::Appends,
            b'}' => I::EmptyDict,
            b'd' => I::Dict,
            b's' => I::SetItem,
            b'u' => I::SetItems,
            0x8f => I::EmptySet,
            0x90 => I::AddItems,
            0x91 => I::FrozenSet,
            b'q' => I::Put(self.number::<1>()? as u32),
            b'r' => I::Put(self.number::<4>()? as u32),
            b'h' => I::Get(self.number::<1>()? as u32),
            b'j' => I::Get(self.number::<4>()? as u32),
            0x94 => I::Memoize,
            b'c' => I::Global(self.line()?, self.line()?),
            0x93 => I::StackGlobal,
            b'R' => I::Reduce,
            0x81 => I::NewObject,
            b'b' => I::Build,
            b'Q' => I::PersistentId,
            0x80 => {
                self.number::<1>()?;
                I::Nothing
            }
            0x95 => {
                self.number::<8>()?;
                I::Nothing
            }
            _ => return Err(refused(code)),
        })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let taken = self.at.checked_add(length).and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| damaged("the pickle ends early"))?;
        self.at += length;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Result<u64> {
        Ok(self.take(N)?.iter().rev().fold(0, |value, digit| value << 8 | u64::from(*digit)))
    }

    /// Bytes after their length of `N` bytes.
    fn sized<const N: usize>(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.number::<N>()?).unwrap_or(usize::MAX);
        self.take(length)
    }

    fn text<const N: usize>(&mut self) -> Result<String> {
        String::from_utf8(self.sized::<N>()?.to_vec()).map_err(|_| damaged("a text in the pickle is not UTF-8"))
    }

    /// An integer in two's complement, of up to 8 bytes.
    fn long(&mut self) -> Result<i64> {
        let digits = self.sized::<1>()?;
        if digits.len() > 8 {
            return Err(Error::new(ErrorKind::Unsupported, "the pickle holds an integer of more than 64 bits"));
        }
        let is_negative = digits.last().is_some_and(|digit| digit & 0x80 != 0);
        let start = if is_negative { -1i64 } else { 0 };
        Ok(digits.iter().rev().fold(start, |value, digit| value << 8 | i64::from(*digit)))
    }

    /// An integer as text; `00` and `01` are booleans.
    fn decimal(&mut self) -> Result<Instruction> {
        let line = self.line()?;
        match line.as_str() {
            "00" => Ok(Instruction::Bool(false)),
            "01" => Ok(Instruction::Bool(true)),
            text => text
                .trim_end_matches('L')
                .parse()
                .map(Instruction::Int)
                .map_err(|_| damaged(format!("{text:?} in the pickle is not an integer"))),
        }
    }

    fn line(&mut self) -> Result<String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("the pickle ends early"))?;
        let line = self.take(length + 1)?;
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        String::from_utf8(text.to_vec()).map_err(|_| damaged("a name in the pickle is not UTF-8"))
    }
}

/// Instructions that call functions, or that no file of tensors needs.
fn refused(code: u8) -> Error {
    let what = match code {
        b'i' | b'o' => "makes an instance of a class".to_string(),
        0x82..=0x84 => "uses Python's registry of extensions".to_string(),
        0x92 => "calls a class with named arguments".to_string(),
        b'P' => "names an object outside the file as text".to_string(),
        0x96..=0x98 => "refers to buffers outside the file".to_string(),
        other => format!("has the instruction {other:#04x}"),
    };
    Error::new(ErrorKind::Unsupported, format!("refused: the pickle {what}"))
        .with_hint("save the tensors as safetensors")
}

pub(super) fn damaged(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadFile, message)
}
