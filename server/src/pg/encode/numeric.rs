//! The binary form of `numeric`: digits in base 10,000.

use bytes::{BufMut, BytesMut};

const NEGATIVE: u16 = 0x4000;
/// Decimal digits in one base-10,000 digit.
const GROUP: usize = 4;

/// Appends the binary form of `text`, a plain decimal number such as `-12.50`.
pub(super) fn write(text: &str, out: &mut BytesMut) {
    let (sign, text) = text.strip_prefix('-').map_or((0, text), |rest| (NEGATIVE, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole = whole.trim_start_matches('0');

    // Groups are aligned at the decimal point: pad the whole part at its front, the fraction at its end.
    let mut decimals = Vec::with_capacity(whole.len() + fraction.len() + 2 * GROUP);
    decimals.resize((GROUP - whole.len() % GROUP) % GROUP, b'0');
    decimals.extend_from_slice(whole.as_bytes());
    let mut weight = (decimals.len() / GROUP) as i16 - 1;
    decimals.extend_from_slice(fraction.as_bytes());
    decimals.resize(decimals.len().next_multiple_of(GROUP), b'0');

    let digit = |group: &[u8]| group.iter().fold(0_u16, |digit, decimal| digit * 10 + u16::from(decimal - b'0'));
    let digits: Vec<u16> = decimals.chunks(GROUP).map(digit).collect();
    let leading = digits.iter().take_while(|digit| **digit == 0).count();
    let trailing = digits[leading..].iter().rev().take_while(|digit| **digit == 0).count();
    let digits = &digits[leading..digits.len() - trailing];
    weight = if digits.is_empty() { 0 } else { weight - leading as i16 };

    out.put_u16(digits.len() as u16);
    out.put_i16(weight);
    out.put_u16(if digits.is_empty() { 0 } else { sign });
    out.put_u16(fraction.len() as u16);
    for digit in digits {
        out.put_u16(*digit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_numeric_send_of_postgres() {
        // As `SELECT numeric_send(x)` prints them: digits, weight, sign, scale, then the digits.
        for (text, words) in [
            ("0", &[0_u16, 0, 0, 0][..]),
            ("0.00", &[0, 0, 0, 2]),
            ("1", &[1, 0, 0, 0, 1]),
            ("-12.50", &[2, 0, NEGATIVE, 2, 12, 5000]),
            ("10000", &[1, 1, 0, 0, 1]),
            ("123456789.0123", &[4, 2, 0, 4, 1, 2345, 6789, 123]),
            ("0.00001", &[1, 0xfffe, 0, 5, 1000]),
            ("18446744073709551615", &[5, 4, 0, 0, 1844, 6744, 737, 955, 1615]),
        ] {
            let mut out = BytesMut::new();
            write(text, &mut out);
            let written: Vec<u16> = out.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            assert_eq!(written, words, "{text}");
        }
    }
}
