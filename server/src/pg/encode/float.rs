//! Floating-point numbers as Postgres writes them: the shortest digits that read back the same, with an
//! exponent outside the range that `%g` would print plainly.

use std::io::{Cursor, Write};

use bytes::{BufMut, BytesMut};

/// Appends a `float4`.
pub(super) fn write_f32(value: f32, out: &mut BytesMut) {
    if value.is_finite() {
        shortest(format_args!("{value:e}"), 6, out);
    } else {
        non_finite(f64::from(value), out);
    }
}

/// Appends a `float8`.
pub(super) fn write_f64(value: f64, out: &mut BytesMut) {
    if value.is_finite() {
        shortest(format_args!("{value:e}"), 15, out);
    } else {
        non_finite(value, out);
    }
}

fn non_finite(value: f64, out: &mut BytesMut) {
    out.put_slice(match value {
        value if value.is_nan() => b"NaN",
        value if value > 0.0 => b"Infinity",
        _ => b"-Infinity",
    });
}

/// Lays out `scientific` (`-1.25e-7`), plainly if its exponent lies in -4 .. `plain_below`.
fn shortest(scientific: std::fmt::Arguments<'_>, plain_below: i32, out: &mut BytesMut) {
    // The longest f64 has 17 digits, a sign, a point and an exponent of four characters.
    let mut buffer = [0; 32];
    let mut cursor = Cursor::new(&mut buffer[..]);
    let written = cursor.write_fmt(scientific).map(|()| cursor.position() as usize).unwrap_or(0);
    let text = std::str::from_utf8(&buffer[..written]).unwrap_or_default();
    let Some((mantissa, exponent)) = text.split_once('e') else { return };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (first, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    out.put_slice(sign.as_bytes());
    if !(-4..plain_below).contains(&exponent) {
        with_exponent(first, rest, exponent, out);
    } else if exponent < 0 {
        out.put_slice(b"0.");
        out.put_bytes(b'0', (-exponent - 1) as usize);
        out.put_slice(first.as_bytes());
        out.put_slice(rest.as_bytes());
    } else {
        plain(first, rest, exponent as usize, out);
    }
}

fn with_exponent(first: &str, rest: &str, exponent: i32, out: &mut BytesMut) {
    out.put_slice(first.as_bytes());
    if !rest.is_empty() {
        out.put_u8(b'.');
        out.put_slice(rest.as_bytes());
    }
    out.put_slice(if exponent < 0 { b"e-" } else { b"e+" });
    super::text::put(out, format_args!("{:02}", exponent.unsigned_abs()));
}

fn plain(first: &str, rest: &str, exponent: usize, out: &mut BytesMut) {
    out.put_slice(first.as_bytes());
    if rest.len() <= exponent {
        out.put_slice(rest.as_bytes());
        out.put_bytes(b'0', exponent - rest.len());
    } else {
        let (whole, fraction) = rest.split_at(exponent);
        out.put_slice(whole.as_bytes());
        out.put_u8(b'.');
        out.put_slice(fraction.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f64_text(value: f64) -> String {
        let mut out = BytesMut::new();
        write_f64(value, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    fn f32_text(value: f32) -> String {
        let mut out = BytesMut::new();
        write_f32(value, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn doubles_look_as_in_postgres() {
        // Each pair as printed by `SELECT x::float8` in Postgres.
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (123456.789, "123456.789"),
            (100_000_000_000_000.0, "100000000000000"),
            (1e15, "1e+15"),
            (1.2345678901234568e17, "1.2345678901234568e+17"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(f64_text(value), text);
        }
    }

    #[test]
    fn floats_turn_to_exponents_at_a_million() {
        for (value, text) in
            [(100_000.0, "100000"), (1e6, "1e+06"), (123_456.7, "123456.7"), (0.1, "0.1"), (1234567.0, "1.234567e+06")]
        {
            assert_eq!(f32_text(value), text);
        }
    }
}
