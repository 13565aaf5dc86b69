//! Values as SQL writes them, for statements that are put together outside the engine.

/// `text` as an SQL string literal.
pub fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
