//! Settings of a session: their names, defaults and what values they take.
//!
//! Three families. Postgres' usual ones, so that drivers find what they ask for; most only remember
//! their value. LatentDB's own, `latentdb.*`. And the planner's, `datafusion.*`, passed on as they are.

/// What values a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// `on` or `off`.
    Switch,
    /// A whole number in a range.
    Integer(i64, i64),
    /// A time: a number of milliseconds, or with a unit.
    Duration,
    /// One of a few words.
    OneOf(&'static [&'static str]),
    /// Cannot be set.
    Fixed,
}

/// A setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// Name, spelt as Postgres shows it.
    pub name: &'static str,
    /// Value of a fresh session.
    pub default: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Whether clients are told when it changes.
    pub reported: bool,
    /// What it does.
    pub description: &'static str,
}

const fn setting(name: &'static str, default: &'static str, kind: Kind, description: &'static str) -> Setting {
    Setting { name, default, kind, reported: false, description }
}

const fn reported(name: &'static str, default: &'static str, kind: Kind, description: &'static str) -> Setting {
    Setting { name, default, kind, reported: true, description }
}

use Kind::{Duration, Fixed, Integer, OneOf, Switch, Text};

/// Version of Postgres whose behaviour clients may expect.
pub(crate) const SERVER_VERSION: &str = "16.4";

const LEVELS: &[&str] =
    &["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error", "info"];
const ISOLATION: &[&str] = &["serializable", "repeatable read", "read committed", "read uncommitted"];

/// All settings by name, `datafusion.*` apart.
pub(crate) const SETTINGS: &[Setting] = &[
    reported("application_name", "", Text, "Name the client gives itself"),
    setting("bytea_output", "hex", OneOf(&["hex", "escape"]), "How bytea is written as text"),
    setting("check_function_bodies", "on", Switch, "Kept for clients that set it"),
    reported("client_encoding", "UTF8", Text, "Encoding of text on the wire; always UTF8"),
    setting("client_min_messages", "notice", OneOf(LEVELS), "Least weight of messages sent to the client"),
    reported("DateStyle", "ISO, MDY", Text, "How dates are written; always ISO"),
    setting("default_tablespace", "", Text, "Kept for clients that set it"),
    setting("default_table_access_method", "heap", Text, "Kept for clients that set it"),
    setting("default_transaction_isolation", "repeatable read", OneOf(ISOLATION), "Isolation of new transactions"),
    reported("default_transaction_read_only", "off", Switch, "Whether new transactions refuse writes"),
    setting("extra_float_digits", "1", Integer(-15, 3), "Digits of floating-point text; values always round-trip"),
    setting("idle_in_transaction_session_timeout", "0", Duration, "Kept for clients that set it"),
    setting("idle_session_timeout", "0", Duration, "How long a session may wait for its client"),
    reported("in_hot_standby", "off", Fixed, "Whether this is a standby"),
    reported("integer_datetimes", "on", Fixed, "Times are 64-bit integers"),
    reported(
        "IntervalStyle",
        "postgres",
        OneOf(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]),
        "How intervals are written",
    ),
    reported("is_superuser", "on", Fixed, "Whether the user may do everything"),
    setting("jit", "off", Switch, "Kept for clients that set it"),
    setting("lc_collate", "C", Fixed, "Order of text: by code point"),
    setting("lc_ctype", "C.UTF-8", Fixed, "Classes of characters"),
    setting("lc_messages", "C", Text, "Language of messages; always English"),
    setting("lc_monetary", "C", Text, "Kept for clients that set it"),
    setting("lc_numeric", "C", Text, "Kept for clients that set it"),
    setting("lc_time", "C", Text, "Kept for clients that set it"),
    setting("lock_timeout", "0", Duration, "Kept for clients that set it"),
    setting("max_connections", "100", Fixed, "Most connections at a time"),
    setting("max_identifier_length", "63", Fixed, "Longest name, in bytes"),
    setting("max_index_keys", "32", Fixed, "Most columns of a key"),
    setting("row_security", "on", Switch, "Kept for clients that set it"),
    setting("search_path", "\"$user\", public", Text, "Schemas that unqualified names are looked up in"),
    reported("server_encoding", "UTF8", Fixed, "Encoding of stored text"),
    reported("server_version", SERVER_VERSION, Fixed, "Version of Postgres that is spoken"),
    setting("server_version_num", "160004", Fixed, "The same as a number"),
    reported("session_authorization", "", Fixed, "Name of the user"),
    setting("ssl", "off", Fixed, "Whether the server takes encrypted connections"),
    reported("standard_conforming_strings", "on", OneOf(&["on"]), "Backslashes in quotes mean themselves"),
    setting("statement_timeout", "0", Duration, "How long a statement may run; 0 for ever"),
    setting("synchronous_commit", "on", Text, "Kept for clients that set it; commits are always synchronous"),
    reported("TimeZone", "UTC", Text, "Time zone of times without one"),
    setting("transaction_isolation", "repeatable read", OneOf(ISOLATION), "Isolation of this transaction"),
    setting("transaction_read_only", "off", Switch, "Whether this transaction refuses writes"),
    setting("work_mem", "4MB", Text, "Kept for clients that set it; see datafusion.runtime.memory_limit"),
    setting("xmloption", "content", OneOf(&["content", "document"]), "Kept for clients that set it"),
    setting("latentdb.lookups", "on", Switch, "Whether queries for rows by key are answered without a plan"),
    setting("latentdb.use_indexes", "on", Switch, "Whether searches use indexes; off reads everything"),
    setting(
        "latentdb.vector_ef",
        "0",
        Integer(0, 100_000),
        "Candidates kept by a walk through a vector index; 0 for its own",
    ),
    setting("latentdb.vector_exact", "off", Switch, "Whether nearest vectors are found by comparing all"),
    setting("latentdb.version", env!("CARGO_PKG_VERSION"), Fixed, "Version of LatentDB"),
];

/// The setting called `name`, whatever its case.
pub(crate) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name.eq_ignore_ascii_case(name))
}

impl Setting {
    /// `value` as this setting keeps it, or why it does not take it.
    pub(crate) fn accept(&self, value: &str) -> Result<String, String> {
        let value = value.trim();
        match self.kind {
            Fixed if value == self.default => Ok(value.to_owned()),
            Fixed => Err(format!("parameter \"{}\" cannot be changed", self.name)),
            Text => self.accept_text(value),
            Switch => match value.to_ascii_lowercase().as_str() {
                "on" | "true" | "yes" | "1" | "t" | "y" => Ok("on".to_owned()),
                "off" | "false" | "no" | "0" | "f" | "n" => Ok("off".to_owned()),
                _ => Err(format!("parameter \"{}\" requires a Boolean value", self.name)),
            },
            Integer(least, most) => match value.parse::<i64>() {
                Ok(number) if (least..=most).contains(&number) => Ok(number.to_string()),
                Ok(number) => Err(format!(
                    "{number} is outside the valid range for parameter \"{}\" ({least} .. {most})",
                    self.name
                )),
                Err(_) => Err(self.invalid(value)),
            },
            Duration => milliseconds(value).map(show_milliseconds).ok_or_else(|| self.invalid(value)),
            OneOf(words) => {
                let wanted = value.to_ascii_lowercase();
                match words.iter().find(|word| **word == wanted) {
                    Some(word) => Ok((*word).to_owned()),
                    None if words.contains(&"on") && wanted == "true" => Ok("on".to_owned()),
                    None => Err(self.invalid(value)),
                }
            }
        }
    }

    fn accept_text(&self, value: &str) -> Result<String, String> {
        match self.name {
            "client_encoding" => match value.to_ascii_uppercase().replace(['-', '_'], "").as_str() {
                "UTF8" | "UNICODE" => Ok("UTF8".to_owned()),
                _ => Err(format!("conversion between {value} and UTF8 is not supported")),
            },
            "DateStyle" => match value.to_ascii_uppercase().split(',').next().map(str::trim) {
                Some("ISO" | "MDY" | "DMY" | "YMD" | "DEFAULT") => Ok("ISO, MDY".to_owned()),
                _ => Err(self.invalid(value)),
            },
            "TimeZone" => zone(value.trim_matches('"')).ok_or_else(|| self.invalid(value)),
            _ => Ok(value.to_owned()),
        }
    }

    fn invalid(&self, value: &str) -> String {
        format!("invalid value for parameter \"{}\": \"{value}\"", self.name)
    }
}

/// A time zone in the form the executor reads, if it is one.
fn zone(value: &str) -> Option<String> {
    let name = match value.to_ascii_uppercase().as_str() {
        "UTC" | "GMT" | "Z" | "ZULU" | "DEFAULT" | "LOCAL" | "ETC/UTC" => return Some("UTC".to_owned()),
        _ => value,
    };
    if let Ok(hours) = name.parse::<i32>() {
        return (-15..=15).contains(&hours).then(|| format!("{hours:+03}:00"));
    }
    name.parse::<arrow::array::timezone::Tz>().ok().map(|_| name.to_owned())
}

/// `5s`, `100 ms`, `1min`, or a bare number of milliseconds.
pub(crate) fn milliseconds(value: &str) -> Option<u64> {
    let value = value.trim();
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let factor = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

fn show_milliseconds(total: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")];
    match units.iter().find(|(size, _)| total > 0 && total.is_multiple_of(*size)) {
        Some((size, unit)) => format!("{}{unit}", total / size),
        None if total == 0 => "0".to_owned(),
        None => format!("{total}ms"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn durations_are_read_and_shown_as_postgres_does() {
        let timeout = find("STATEMENT_TIMEOUT").unwrap();
        for (given, shown) in [("1500", "1500ms"), ("2s", "2s"), ("60000", "1min"), ("0", "0")] {
            assert_eq!(timeout.accept(given).unwrap(), shown);
        }
        assert!(timeout.accept("soon").is_err());
    }

    #[test]
    fn zones_that_do_not_exist_are_refused() {
        let zone = find("timezone").unwrap();
        assert_eq!(zone.accept("Europe/Berlin").unwrap(), "Europe/Berlin");
        assert_eq!(zone.accept("-5").unwrap(), "-05:00");
        assert!(zone.accept("Middle/Earth").is_err());
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<String> = SETTINGS.iter().map(|setting| setting.name.to_lowercase()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), SETTINGS.len());
    }
}
