//! One-dimensional Postgres arrays: `{1,2,NULL}` and their binary form.

use bytes::{BufMut, BytesMut};

use super::column::List;
use super::{Style, binary, text, with_length};

/// Appends the array literal of the list at `row`.
pub(super) fn write_text(list: &List, row: usize, style: &Style, out: &mut BytesMut) {
    out.put_u8(b'{');
    for (position, element) in elements(list, row).enumerate() {
        if position > 0 {
            out.put_u8(b',');
        }
        if list.elements.is_null(element) {
            out.put_slice(b"NULL");
            continue;
        }
        let start = out.len();
        text::write(&list.elements, element, style, out);
        if !list.bare {
            quote_from(start, out);
        }
    }
    out.put_u8(b'}');
}

/// Appends the binary form of the list at `row`.
pub(super) fn write_binary(list: &List, row: usize, out: &mut BytesMut) {
    let elements = elements(list, row);
    let has_nulls = elements.clone().any(|element| list.elements.is_null(element));
    let dimensions = i32::from(!elements.is_empty());
    out.put_i32(dimensions);
    out.put_i32(i32::from(has_nulls));
    out.put_u32(list.element_type.oid());
    if dimensions == 0 {
        return;
    }
    out.put_i32(elements.len() as i32);
    out.put_i32(1); // the first index
    for element in elements {
        if list.elements.is_null(element) {
            out.put_i32(-1);
        } else {
            with_length(out, false, |out| binary::write(&list.elements, element, out));
        }
    }
}

fn elements(list: &List, row: usize) -> std::ops::Range<usize> {
    let offsets = list.lists.value_offsets();
    offsets[row] as usize - list.base..offsets[row + 1] as usize - list.base
}

/// Quotes what `out` holds from `start`, if an array literal needs it to be.
fn quote_from(start: usize, out: &mut BytesMut) {
    let value = &out[start..];
    if !needs_quotes(value) {
        return;
    }
    let value = value.to_vec();
    out.truncate(start);
    out.put_u8(b'"');
    for byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(b'\\');
        }
        out.put_u8(byte);
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
            let mut out = BytesMut::from(value);
            quote_from(0, &mut out);
            assert_eq!(&out[..], quoted.as_bytes());
        }
    }
}
