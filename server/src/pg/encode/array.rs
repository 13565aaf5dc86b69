//! One-dimensional Postgres arrays: `{1,2,NULL}` and their binary form.

use bytes::{BufMut, BytesMut};

use super::column::{Column, List};
use super::{Style, binary, text, with_length};

/// Appends the array literal of the list at `row`.
pub(super) fn write_text(list: &List, row: usize, style: &Style, out: &mut BytesMut) {
    out.put_u8(b'{');
    for (position, element) in elements(list, row).enumerate() {
        if position > 0 {
            out.put_u8(b',');
        }
        match &list.elements {
            elements if elements.is_null(element) => out.put_slice(b"NULL"),
            Column::Text(texts) => put_quoted(texts.value(element).as_bytes(), out),
            elements if list.bare => text::write(elements, element, style, out),
            elements => {
                let mut value = BytesMut::new();
                text::write(elements, element, style, &mut value);
                put_quoted(&value, out);
            }
        }
    }
    out.put_u8(b'}');
}

/// Appends the binary form of the list at `row`.
pub(super) fn write_binary(list: &List, row: usize, out: &mut BytesMut) {
    let elements = elements(list, row);
    let has_nulls = list.elements.may_be_null() && elements.clone().any(|element| list.elements.is_null(element));
    let dimensions = i32::from(!elements.is_empty());
    out.put_i32(dimensions);
    out.put_i32(i32::from(has_nulls));
    out.put_u32(list.element_type.oid());
    if dimensions == 0 {
        return;
    }
    out.put_i32(elements.len() as i32);
    out.put_i32(1); // the first index
    // Most arrays are of tokens and of activations, and most results are made of those.
    match &list.elements {
        Column::Text(texts) if !has_nulls => {
            for element in elements {
                let value = texts.value(element).as_bytes();
                out.reserve(4 + value.len());
                out.put_i32(value.len() as i32);
                out.put_slice(value);
            }
        }
        Column::Float32(values) if !has_nulls => {
            out.reserve(8 * elements.len());
            for value in values.values().get(elements).unwrap_or_default() {
                out.put_i32(4);
                out.put_f32(*value);
            }
        }
        Column::Int32(values) if !has_nulls => {
            out.reserve(8 * elements.len());
            for value in values.values().get(elements).unwrap_or_default() {
                out.put_i32(4);
                out.put_i32(*value);
            }
        }
        values => {
            for element in elements {
                if values.is_null(element) {
                    out.put_i32(-1);
                } else {
                    with_length(out, false, |out| binary::write(values, element, out));
                }
            }
        }
    }
}

fn elements(list: &List, row: usize) -> std::ops::Range<usize> {
    let offsets = list.lists.value_offsets();
    offsets[row] as usize - list.base..offsets[row + 1] as usize - list.base
}

/// Appends an element's text, in quotes if an array literal needs them.
fn put_quoted(value: &[u8], out: &mut BytesMut) {
    if !needs_quotes(value) {
        return out.put_slice(value);
    }
    out.reserve(value.len() + 2);
    out.put_u8(b'"');
    for byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(b'\\');
        }
        out.put_u8(*byte);
    }
    out.put_u8(b'"');
}

fn needs_quotes(value: &[u8]) -> bool {
    let special = |byte: &u8| {
        matches!(byte, b'{' | b'}' | b',' | b'"' | b'\\' | b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c')
    };
    value.is_empty() || value.eq_ignore_ascii_case(b"null") || value.iter().any(special)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_quoted_only_where_they_must_be() {
        for (value, quoted) in [
            ("cat", "cat"),
            ("", r#""""#),
            ("null", r#""null""#),
            (" the", r#"" the""#),
            (r#"say "hi""#, r#""say \"hi\"""#),
            (r"\n", r#""\\n""#),
            ("{", r#""{""#),
            ("é", "é"),
        ] {
            let mut out = BytesMut::new();
            put_quoted(value.as_bytes(), &mut out);
            assert_eq!(&out[..], quoted.as_bytes());
        }
    }
}
