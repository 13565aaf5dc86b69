//! `to_timestamp`, `to_date` and `to_char` with Postgres' patterns (`YYYY-MM-DD HH24:MI:SS`), which the
//! planner's functions take as chrono's (`%Y-%m-%d %H:%M:%S`).

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Statement,
    TimezoneInfo, Value, VisitMut, VisitorMut,
};

/// Postgres' fields and chrono's. Where one begins like another, the longer comes first.
const FIELDS: &[(&str, &str)] = &[
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("HH", "%I"),
    ("MI", "%M"),
    ("SS", "%S"),
    // With their point, so that fewer digits can be read too.
    (".MS", "%.3f"),
    (".US", "%.6f"),
    ("MS", "%3f"),
    ("US", "%6f"),
    ("YYYY", "%Y"),
    ("IYYY", "%G"),
    ("YY", "%y"),
    ("Month", "%B"),
    ("Mon", "%b"),
    ("MM", "%m"),
    ("DDD", "%j"),
    ("DD", "%d"),
    ("Day", "%A"),
    ("Dy", "%a"),
    ("ID", "%u"),
    ("IW", "%V"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("am", "%P"),
    ("pm", "%P"),
    ("Q", "%q"),
    ("OF", "%:z"),
    ("TZ", "%Z"),
];

/// Fields that Postgres takes in lower case as well.
fn starts_with_field(pattern: &str, field: &str) -> bool {
    let has_case = ["Month", "Mon", "Day", "Dy", "AM", "PM", "am", "pm"].contains(&field);
    match pattern.get(..field.len()) {
        Some(start) if has_case => start == field,
        Some(start) => start.eq_ignore_ascii_case(field),
        None => false,
    }
}

/// `pattern` in chrono's words; it is one already if it has a `%`.
fn chrono_pattern(pattern: &str) -> String {
    if pattern.contains('%') {
        return pattern.to_owned();
    }
    let mut translated = String::with_capacity(pattern.len() * 2);
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        let modifier = ["FM", "TM"].iter().find(|modifier| rest.starts_with(**modifier));
        let field = FIELDS.iter().find(|(field, _)| starts_with_field(rest, field));
        let quoted = rest.strip_prefix('"').and_then(|text| text.split_once('"'));
        rest = match (modifier, field, quoted) {
            (Some(modifier), ..) => rest.get(modifier.len()..).unwrap_or_default(),
            (None, Some((field, chrono)), _) => {
                translated.push_str(chrono);
                rest.get(field.len()..).unwrap_or_default()
            }
            (None, None, Some((text, after))) => {
                translated.push_str(text);
                after
            }
            (None, None, None) => {
                translated.push(letter);
                rest.get(letter.len_utf8()..).unwrap_or_default()
            }
        };
    }
    translated
}

/// Rewrites every such call in `statement`.
pub(crate) fn rewrite(statement: &mut Statement) {
    let _ = statement.visit(&mut Calls);
}

struct Calls;

impl VisitorMut for Calls {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(call) = expr else { return ControlFlow::Continue(()) };
        let Some(name) = call.name.0.last().and_then(|part| part.as_ident()) else { return ControlFlow::Continue(()) };
        let name = name.value.to_lowercase();
        if !["to_timestamp", "to_date", "to_char"].contains(&name.as_str()) {
            return ControlFlow::Continue(());
        }
        let has_pattern = translate_pattern(call, name == "to_char");
        if name == "to_timestamp" {
            if has_pattern {
                // Nanoseconds, the other way to keep it, end in the year 2262.
                call.name = ObjectName::from(vec![Ident::new("to_timestamp_micros")]);
            }
            *expr = Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(expr.clone()),
                data_type: DataType::Timestamp(None, TimezoneInfo::WithTimeZone),
                array: false,
                format: None,
            };
        }
        ControlFlow::Continue(())
    }
}

/// Translates the pattern in the second argument, to write or to read by; whether there is one.
fn translate_pattern(call: &mut Function, writes: bool) -> bool {
    let FunctionArguments::List(list) = &mut call.args else { return false };
    match list.args.get_mut(1) {
        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))) => match &mut value.value {
            Value::SingleQuotedString(pattern) => {
                *pattern = chrono_pattern(pattern);
                if !writes {
                    // However many digits there are.
                    *pattern = pattern.replace("%.6f", "%.f").replace("%.3f", "%.f");
                }
                true
            }
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_translated_field_by_field() {
        for (postgres, chrono) in [
            ("YYYY-MM-DD HH24:MI:SS.US", "%Y-%m-%d %H:%M:%S%.6f"),
            ("yyyy-mm-dd\"T\"hh24:mi:ss", "%Y-%m-%dT%H:%M:%S"),
            ("Dy, DD Mon YYYY HH12:MI AM", "%a, %d %b %Y %I:%M %p"),
            ("FMDDD IYYY-IW", "%j %G-%V"),
            ("%Y", "%Y"),
        ] {
            assert_eq!(chrono_pattern(postgres), chrono, "{postgres}");
        }
    }
}
