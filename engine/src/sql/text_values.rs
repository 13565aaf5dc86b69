//! From text to typed columns, as Postgres reads its values: `{1,2,NULL}` is a list, `\x00ff` bytes.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, ArrowPrimitiveType, BinaryArray, ListArray, PrimitiveBuilder, StringArray,
    StringBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type};
use arrow::util::display::FormatOptions;
use datafusion::common::ScalarValue;

/// A value that is not of its column's type: its row and its text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadValue {
    pub row: usize,
    pub text: String,
}

/// `texts` as values of `data_type`.
pub(crate) fn parse(texts: &StringArray, data_type: &DataType) -> Result<ArrayRef, BadValue> {
    match data_type {
        DataType::Utf8 => Ok(Arc::new(texts.clone())),
        DataType::List(element) => lists(texts, element),
        DataType::Binary => bytes(texts),
        _ => scalars(texts, data_type),
    }
}

/// The list in `text`, of elements as `element` says; `None` if it is malformed, or an element is not of that type.
pub fn parse_list(text: &str, element: &FieldRef) -> Option<ScalarValue> {
    let lists = lists(&StringArray::from(vec![text]), element).ok()?;
    ScalarValue::try_from_array(&lists, 0).ok()
}

fn scalars(texts: &StringArray, data_type: &DataType) -> Result<ArrayRef, BadValue> {
    let options = CastOptions { safe: true, format_options: FormatOptions::default() };
    let bad = |row: usize| BadValue { row, text: texts.value(row).to_owned() };
    let trimmed: StringArray = texts.iter().map(|text| text.map(str::trim)).collect();
    let values = cast_with_options(&trimmed, data_type, &options).map_err(|_| bad(0))?;
    if values.null_count() == texts.null_count() {
        return Ok(values);
    }
    match (0..texts.len()).find(|row| values.is_null(*row) && texts.is_valid(*row)) {
        Some(row) => Err(bad(row)),
        None => Ok(values),
    }
}

fn bytes(texts: &StringArray) -> Result<ArrayRef, BadValue> {
    let values: Vec<Option<Vec<u8>>> = texts
        .iter()
        .enumerate()
        .map(|(row, text)| match text {
            None => Ok(None),
            Some(text) => match text.strip_prefix("\\x") {
                Some(digits) => hex(digits).map(Some).ok_or_else(|| BadValue { row, text: text.to_owned() }),
                None => Ok(Some(text.as_bytes().to_vec())),
            },
        })
        .collect::<Result<_, _>>()?;
    Ok(Arc::new(BinaryArray::from_iter(values)))
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}

fn lists(texts: &StringArray, element: &FieldRef) -> Result<ArrayRef, BadValue> {
    let plain = match element.data_type() {
        DataType::Float32 => lists_of_numbers::<Float32Type>(texts, element),
        DataType::Float64 => lists_of_numbers::<Float64Type>(texts, element),
        _ => None,
    };
    plain.map_or_else(|| lists_of_items(texts, element), Ok)
}

/// Lists that are numbers with commas between them, as vectors are. `None` if there is anything else in one.
fn lists_of_numbers<T>(texts: &StringArray, element: &FieldRef) -> Option<ArrayRef>
where
    T: ArrowPrimitiveType<Native: FromStr>,
{
    let mut numbers = PrimitiveBuilder::<T>::new();
    let mut lengths = Vec::with_capacity(texts.len());
    for text in texts {
        let before = numbers.len();
        let inside = text.map(within).unwrap_or(Some(""))?;
        if !inside.trim().is_empty() {
            for item in inside.split(',') {
                numbers.append_value(item.trim().parse().ok()?);
            }
        }
        lengths.push(numbers.len() - before);
    }
    list_array(texts, element, lengths, Arc::new(numbers.finish())).ok()
}

fn lists_of_items(texts: &StringArray, element: &FieldRef) -> Result<ArrayRef, BadValue> {
    let mut elements = StringBuilder::new();
    let mut lengths = Vec::with_capacity(texts.len());
    let mut rows = Vec::new();
    for (row, text) in texts.iter().enumerate() {
        let before = elements.len();
        if let Some(text) = text {
            let items = list_items(text, element.data_type().is_nested());
            for item in items.ok_or_else(|| BadValue { row, text: text.to_owned() })? {
                elements.append_option(item);
                rows.push(row);
            }
        }
        lengths.push(elements.len() - before);
    }
    let inside = |bad: BadValue| {
        let row = rows.get(bad.row).copied().unwrap_or_default();
        BadValue { row, text: if texts.is_valid(row) { texts.value(row).to_owned() } else { bad.text } }
    };
    let values = parse(&elements.finish(), element.data_type()).map_err(inside)?;
    list_array(texts, element, lengths, values)
}

/// The lists of `texts`, whose values `values` has one after the other.
fn list_array(
    texts: &StringArray,
    element: &FieldRef,
    lengths: Vec<usize>,
    values: ArrayRef,
) -> Result<ArrayRef, BadValue> {
    let offsets = OffsetBuffer::from_lengths(lengths);
    match ListArray::try_new(Arc::clone(element), offsets, values, texts.nulls().cloned()) {
        Ok(list) => Ok(Arc::new(list)),
        Err(_) => Err(BadValue { row: 0, text: "null in a list that has none".to_owned() }),
    }
}

/// What a list's brackets enclose; `None` if they are not there.
fn within(text: &str) -> Option<&str> {
    let text = text.trim();
    match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}'),
        None => text.strip_prefix('[')?.strip_suffix(']'),
    }
}

/// The items of `{a,"b, c",NULL}`, or of `[1, 2]`; lists within keep their text, where they are allowed. `None` if malformed.
fn list_items(text: &str, is_nested: bool) -> Option<Vec<Option<String>>> {
    let inside = within(text)?;
    let mut items = Vec::new();
    if inside.trim().is_empty() {
        return Some(items);
    }
    let mut item = String::new();
    let (mut quoted, mut was_quoted, mut depth) = (false, false, 0_usize);
    let mut letters = inside.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                if depth > 0 {
                    item.push('\\');
                }
                item.push(letters.next()?);
            }
            '"' if depth == 0 => {
                // Quotes enclose all of an item, or nothing.
                if !quoted && (was_quoted || !item.is_empty()) {
                    return None;
                }
                quoted = !quoted;
                was_quoted = true;
            }
            ',' if !quoted && depth == 0 => {
                items.push(finish(std::mem::take(&mut item), was_quoted)?);
                was_quoted = false;
            }
            _ => {
                if !quoted {
                    match letter {
                        '{' | '[' if is_nested => depth += 1,
                        '}' | ']' if is_nested => depth = depth.checked_sub(1)?,
                        '{' | '}' => return None,
                        _ => {}
                    }
                }
                let blank_outside = letter.is_whitespace() && !quoted && (item.is_empty() || was_quoted);
                if !blank_outside {
                    if was_quoted && !quoted {
                        return None;
                    }
                    item.push(letter);
                }
            }
        }
    }
    if quoted || depth > 0 {
        return None;
    }
    items.push(finish(item, was_quoted)?);
    Some(items)
}

/// An item, or null; `None` for nothing at all, which has to be in quotes.
fn finish(item: String, was_quoted: bool) -> Option<Option<String>> {
    if was_quoted {
        return Some(Some(item));
    }
    match item.trim_end() {
        "" => None,
        item => Some((!item.eq_ignore_ascii_case("null")).then(|| item.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::array::AsArray;
    use arrow::datatypes::{Field, Int32Type};

    use super::*;

    fn list(data_type: DataType) -> DataType {
        DataType::List(Arc::new(Field::new("element", data_type, true)))
    }

    #[test]
    fn lists_are_read_in_both_spellings() {
        let texts = StringArray::from(vec![Some("{1,NULL, 3}"), Some("[]"), None, Some("[4.5]")]);
        let lists = parse(&texts, &list(DataType::Float32)).unwrap();
        let lists = lists.as_list::<i32>();
        let first = lists.value(0);
        let first: Vec<Option<f32>> = first.as_primitive::<Float32Type>().iter().collect();
        assert_eq!(first, [Some(1.0), None, Some(3.0)]);
        assert_eq!((lists.value(1).len(), lists.is_null(2), lists.value(3).len()), (0, true, 1));
    }

    #[test]
    fn quoted_items_keep_commas_quotes_and_blanks() {
        let texts = StringArray::from(vec![r#"{" the",", \"x\"","NULL",a b}"#]);
        let lists = parse(&texts, &list(DataType::Utf8)).unwrap();
        let items = lists.as_list::<i32>().value(0);
        let items: Vec<&str> = items.as_string::<i32>().iter().flatten().collect();
        assert_eq!(items, [" the", ", \"x\"", "NULL", "a b"]);
    }

    #[test]
    fn malformed_lists_are_refused() {
        for text in ["1,2", "{1,", "{1,,2}", "{\"1}", "{1}x", "{\"1\"2}", "{1\"2\"}", "{{1}}", "{1]", "{1,}"] {
            for element in [DataType::Int32, DataType::Float32, DataType::Utf8] {
                let element = Arc::new(Field::new("element", element, true));
                assert_eq!(parse_list(text, &element), None, "{text}");
            }
        }
        let nested = Arc::new(Field::new("element", list(DataType::Int32), true));
        assert!(parse_list("{{1,2},{3}}", &nested).is_some());
    }

    #[test]
    fn a_bad_value_names_its_row() {
        let texts = StringArray::from(vec!["1", " 2", "three"]);
        assert_eq!(parse(&texts, &DataType::Int32).unwrap_err(), BadValue { row: 2, text: "three".into() });
        let texts = StringArray::from(vec!["{1}", "{1,x}"]);
        assert_eq!(parse(&texts, &list(DataType::Int32)).unwrap_err().row, 1);
        let good = parse(&StringArray::from(vec!["1", " 2"]), &DataType::Int32).unwrap();
        assert_eq!(good.as_primitive::<Int32Type>().values(), &[1, 2]);
    }
}
