//! Arrays as parameters: `{1,2,NULL}` and the binary form. One dimension; more are refused.

use arrow::datatypes::DataType;
use bytes::Buf;
use latentdb_engine::ScalarValue;
use pgwire::api::Type;

use super::super::errors::{Report, code};
use super::{Result, binary, fit, text};

/// Reads an array literal whose elements are of `element`.
pub(super) fn parse_text(literal: &str, element: &DataType) -> Result<ScalarValue> {
    let malformed = || Report::new(code::INVALID_TEXT, format!("malformed array literal: \"{literal}\""));
    let literal = literal.trim();
    let in_braces = literal.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    // pgvector's clients write vectors in brackets.
    let in_brackets = || {
        let is_vector = matches!(element, DataType::Float32 | DataType::Float64);
        literal.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).filter(|_| is_vector)
    };
    let body = in_braces.or_else(in_brackets).ok_or_else(malformed)?;
    let mut values = Vec::new();
    let mut items = Items { rest: body, done: body.trim().is_empty() };
    while let Some(item) = items.next() {
        values.push(match item.ok_or_else(malformed)? {
            None => null(element)?,
            Some(item) => fit(text::parse(&item, element)?, element)?,
        });
    }
    Ok(list(&values, element))
}

/// Elements of an array literal's body: `Some(None)` is malformed, `Some(Some(None))` is NULL.
struct Items<'a> {
    rest: &'a str,
    done: bool,
}

impl<'a> Items<'a> {
    fn next(&mut self) -> Option<Option<Option<String>>> {
        if self.done {
            return None;
        }
        let trimmed = self.rest.trim_start();
        Some(match trimmed.strip_prefix('"') {
            Some(quoted) => self.quoted(quoted).map(Some),
            None => self.bare(trimmed),
        })
    }

    fn quoted(&mut self, text: &'a str) -> Option<String> {
        let mut item = String::new();
        let mut characters = text.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.advance(&text[at + 1..])?;
                    return Some(item);
                }
                '\\' => item.push(characters.next()?.1),
                other => item.push(other),
            }
        }
        None
    }

    fn bare(&mut self, text: &'a str) -> Option<Option<String>> {
        let mut item = String::new();
        let mut characters = text.char_indices();
        let mut end = text.len();
        while let Some((at, character)) = characters.next() {
            match character {
                ',' => {
                    end = at;
                    break;
                }
                '{' | '}' | '"' => return None,
                '\\' => item.push(characters.next()?.1),
                other => item.push(other),
            }
        }
        self.advance(&text[end..])?;
        let item = item.trim_end();
        match item {
            "" => None,
            item if item.eq_ignore_ascii_case("null") => Some(None),
            item => Some(Some(item.to_owned())),
        }
    }

    /// Moves past a comma or to the end.
    fn advance(&mut self, after: &'a str) -> Option<()> {
        let after = after.trim_start();
        match after.strip_prefix(',') {
            Some(rest) => self.rest = rest,
            None if after.is_empty() => self.done = true,
            None => return None,
        }
        Some(())
    }
}

/// Reads the binary form of an array; elements end up as `expected` (or, without one, as what they are).
pub(super) fn parse_binary(mut bytes: &[u8], expected: Option<&DataType>) -> Result<ScalarValue> {
    let truncated = || Report::new(code::INVALID_BINARY, "incorrect binary data format in an array parameter");
    let dimensions = bytes.try_get_i32().map_err(|_| truncated())?;
    bytes.try_get_i32().map_err(|_| truncated())?; // whether there are nulls
    let oid = bytes.try_get_u32().map_err(|_| truncated())?;
    let element_type = Type::from_oid(oid).ok_or_else(truncated)?;
    let element = match expected {
        Some(expected) => expected.clone(),
        None => super::super::types::of_oid(oid).unwrap_or(DataType::Utf8),
    };
    let mut values = Vec::new();
    match dimensions {
        0 => {}
        1 => {
            let length = bytes.try_get_i32().map_err(|_| truncated())?;
            bytes.try_get_i32().map_err(|_| truncated())?; // the first index
            for _ in 0..length {
                values.push(match bytes.try_get_i32().map_err(|_| truncated())? {
                    -1 => null(&element)?,
                    size => {
                        let (value, rest) = usize::try_from(size)
                            .ok()
                            .and_then(|size| bytes.split_at_checked(size))
                            .ok_or_else(truncated)?;
                        bytes = rest;
                        fit(binary::parse(value, &element_type, &element)?, &element)?
                    }
                });
            }
        }
        _ => {
            return Err(Report::new(
                code::UNSUPPORTED,
                "array parameters of more than one dimension are not supported",
            ));
        }
    }
    Ok(list(&values, &element))
}

fn null(element: &DataType) -> Result<ScalarValue> {
    ScalarValue::try_new_null(element).map_err(|fault| super::unusable(element, &fault))
}

fn list(values: &[ScalarValue], element: &DataType) -> ScalarValue {
    ScalarValue::List(ScalarValue::new_list(values, element, true))
}
