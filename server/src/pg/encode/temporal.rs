//! Dates, times and intervals: Postgres' ISO text form, and its epoch of 2000-01-01 for the binary form.

use arrow::array::timezone::Tz;
use bytes::{BufMut, BytesMut};
use chrono::{DateTime, Datelike, NaiveDate, Offset, TimeZone};

use super::text::put;

/// Days from 1970-01-01 to 2000-01-01.
pub(in crate::pg) const EPOCH_DAYS: i32 = 10_957;
/// Microseconds from 1970-01-01 to 2000-01-01.
pub(in crate::pg) const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * DAY_MICROS;
/// Days from 0001-01-01 (day 1) to 1970-01-01.
const COMMON_ERA_DAYS: i32 = 719_163;
const DAY_MICROS: i64 = 86_400_000_000;

/// Appends a date, given in days since 1970.
pub(super) fn date(days: i32, out: &mut BytesMut) {
    match calendar(i64::from(days)) {
        Some(day) => {
            year_month_day(day, out);
            era(day, out);
        }
        None => infinite(i64::from(days), out),
    }
}

/// Appends a time of day, given in microseconds.
pub(super) fn time(micros: i64, out: &mut BytesMut) {
    let seconds = micros / 1_000_000;
    two_digits(seconds / 3600, out);
    out.put_u8(b':');
    two_digits(seconds / 60 % 60, out);
    out.put_u8(b':');
    two_digits(seconds % 60, out);
    fraction(micros % 1_000_000, out);
}

/// Appends a timestamp, given in microseconds since 1970.
pub(super) fn timestamp(micros: i64, out: &mut BytesMut) {
    match calendar(micros.div_euclid(DAY_MICROS)) {
        Some(day) => {
            date_and_time(day, micros, out);
            era(day, out);
        }
        None => infinite(micros, out),
    }
}

/// Appends a timestamp as a clock in `zone` (UTC if `None`) shows it.
pub(super) fn timestamp_in_zone(micros: i64, zone: Option<&Tz>, out: &mut BytesMut) {
    let offset = zone.and_then(|zone| offset_seconds(micros, zone)).unwrap_or(0);
    let local = micros.saturating_add(i64::from(offset) * 1_000_000);
    match calendar(local.div_euclid(DAY_MICROS)) {
        Some(day) => {
            date_and_time(day, local, out);
            zone_offset(offset, out);
            era(day, out);
        }
        None => infinite(micros, out),
    }
}

fn offset_seconds(micros: i64, zone: &Tz) -> Option<i32> {
    let utc = DateTime::from_timestamp_micros(micros)?.naive_utc();
    Some(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())
}

fn zone_offset(seconds: i32, out: &mut BytesMut) {
    out.put_u8(if seconds < 0 { b'-' } else { b'+' });
    let seconds = i64::from(seconds.unsigned_abs());
    two_digits(seconds / 3600, out);
    if seconds % 3600 != 0 {
        out.put_u8(b':');
        two_digits(seconds / 60 % 60, out);
    }
    if seconds % 60 != 0 {
        out.put_u8(b':');
        two_digits(seconds % 60, out);
    }
}

fn calendar(days: i64) -> Option<NaiveDate> {
    NaiveDate::from_num_days_from_ce_opt(i32::try_from(days).ok()?.checked_add(COMMON_ERA_DAYS)?)
}

fn year_month_day(day: NaiveDate, out: &mut BytesMut) {
    // There is no year 0: 1 BC comes before 1 AD.
    let year = if day.year() <= 0 { 1 - day.year() } else { day.year() };
    put(out, format_args!("{year:04}"));
    out.put_u8(b'-');
    two_digits(i64::from(day.month()), out);
    out.put_u8(b'-');
    two_digits(i64::from(day.day()), out);
}

fn date_and_time(day: NaiveDate, micros: i64, out: &mut BytesMut) {
    year_month_day(day, out);
    out.put_u8(b' ');
    time(micros.rem_euclid(DAY_MICROS), out);
}

fn era(day: NaiveDate, out: &mut BytesMut) {
    if day.year() <= 0 {
        out.put_slice(b" BC");
    }
}

/// Moments beyond the calendar can only be the ends of the range.
fn infinite(value: i64, out: &mut BytesMut) {
    out.put_slice(if value < 0 { b"-infinity" } else { b"infinity" });
}

fn two_digits(value: i64, out: &mut BytesMut) {
    out.put_u8(b'0' + (value / 10 % 10) as u8);
    out.put_u8(b'0' + (value % 10) as u8);
}

/// Appends `.123` for microseconds, without trailing zeros.
fn fraction(micros: i64, out: &mut BytesMut) {
    if micros == 0 {
        return;
    }
    out.put_u8(b'.');
    let (mut rest, mut unit) = (micros, 100_000);
    while rest > 0 {
        out.put_u8(b'0' + (rest / unit) as u8);
        rest %= unit;
        unit /= 10;
    }
}

/// Appends an interval in Postgres' own style: `1 year 2 mons -3 days +04:05:06.789`.
pub(super) fn interval(months: i32, days: i32, micros: i64, out: &mut BytesMut) {
    let start = out.len();
    let mut after_negative = false;
    for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if value == 0 {
            continue;
        }
        let space = if out.len() == start { "" } else { " " };
        let plus = if after_negative && value > 0 { "+" } else { "" };
        let plural = if value == 1 { "" } else { "s" };
        put(out, format_args!("{space}{plus}{value} {unit}{plural}"));
        after_negative = value < 0;
    }
    if micros == 0 && out.len() > start {
        return;
    }
    if out.len() > start {
        out.put_u8(b' ');
    }
    if micros < 0 {
        out.put_u8(b'-');
    } else if after_negative {
        out.put_u8(b'+');
    }
    clock(micros.unsigned_abs(), out);
}

/// Appends `hh:mm:ss.ffffff`, with as many hours as there are.
fn clock(micros: u64, out: &mut BytesMut) {
    let seconds = micros / 1_000_000;
    put(out, format_args!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60));
    fraction((micros % 1_000_000) as i64, out);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn text(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn dates_and_times_look_as_in_postgres() {
        assert_eq!(text(|out| date(EPOCH_DAYS, out)), "2000-01-01");
        assert_eq!(text(|out| date(-COMMON_ERA_DAYS, out)), "0001-12-31 BC");
        assert_eq!(text(|out| date(-COMMON_ERA_DAYS + 1, out)), "0001-01-01");
        assert_eq!(text(|out| time(3_723_000_100, out)), "01:02:03.0001");
        assert_eq!(text(|out| timestamp(EPOCH_MICROS + 1_500_000, out)), "2000-01-01 00:00:01.5");
        assert_eq!(text(|out| timestamp(-1, out)), "1969-12-31 23:59:59.999999");
        assert_eq!(text(|out| timestamp(i64::MAX, out)), "infinity");
    }

    #[test]
    fn zones_shift_the_clock_and_name_their_offset() {
        let shown = |zone: &str| text(|out| timestamp_in_zone(EPOCH_MICROS, Some(&zone.parse().unwrap()), out));
        assert_eq!(text(|out| timestamp_in_zone(EPOCH_MICROS, None, out)), "2000-01-01 00:00:00+00");
        assert_eq!(shown("Europe/Paris"), "2000-01-01 01:00:00+01");
        assert_eq!(shown("Asia/Kolkata"), "2000-01-01 05:30:00+05:30");
        assert_eq!(shown("-08:00"), "1999-12-31 16:00:00-08");
    }

    #[test]
    fn intervals_look_as_in_postgres() {
        assert_eq!(text(|out| interval(0, 0, 0, out)), "00:00:00");
        assert_eq!(text(|out| interval(14, 3, 14_706_789_000, out)), "1 year 2 mons 3 days 04:05:06.789");
        assert_eq!(text(|out| interval(0, -1, 3_600_000_000, out)), "-1 days +01:00:00");
        assert_eq!(text(|out| interval(-1, 0, -1_000_000, out)), "-1 mons -00:00:01");
        assert_eq!(text(|out| interval(1, 0, 0, out)), "1 mon");
        assert_eq!(text(|out| interval(0, 0, 360_000_000_000, out)), "100:00:00");
    }
}
