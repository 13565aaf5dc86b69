//! The prompt of `latentdb sql`: statements end with `;`, lines that start with `\` are commands.

use std::path::PathBuf;

use latentdb_engine::{Error, ErrorKind, Result, Session, TransactionStatus};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::format::OutputFormat;
use super::statements::Printer;
use super::{CliResult, Failure, home_directory, print_error};

const HELP: &str = "\
Statements end with a semicolon and may span lines.
  \\d            tables and views
  \\d NAME       columns of a table
  \\dt \\dv       tables, views
  \\df           functions
  \\o FORMAT     print results as table, csv, json or ndjson
  \\i PATH       run the statements of a file
  \\timing       row counts and times on or off
  \\q            leave (or Ctrl-D); Ctrl-C stops the running statement";

/// What a line that is a command asks for.
#[derive(Debug, PartialEq, Eq)]
enum Meta {
    Quit,
    Help,
    Timing,
    Format(String),
    File(String),
    Sql(String),
    Unknown(String),
}

/// Reads and runs statements until the user leaves.
pub(super) async fn run(session: &Session, mut printer: Printer, location: &str) -> CliResult {
    println!("LatentDB {} · {location} · \\? for help", env!("CARGO_PKG_VERSION"));
    let history = home_directory().map(|home| home.join(".latentdb_history"));
    let mut editor = open_editor(history.as_ref())?;
    let mut pending = String::new();
    loop {
        let (returned, line) = read_line(editor, prompt(session, &pending)).await?;
        editor = returned;
        match line {
            Ok(line) if pending.is_empty() && line.trim_start().starts_with('\\') => {
                // A history that cannot be kept must not end the conversation.
                let _ = editor.add_history_entry(line.trim());
                match run_meta(session, &mut printer, parse_meta(line.trim())).await {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(failure) => report(failure)?,
                }
            }
            Ok(line) => {
                pending.push_str(&line);
                pending.push('\n');
                if pending.trim().is_empty() {
                    pending.clear();
                } else if is_complete(&pending) {
                    let statement = std::mem::take(&mut pending);
                    let _ = editor.add_history_entry(statement.trim());
                    if let Err(failure) = printer.run_all(session, &statement).await {
                        report(failure)?;
                    }
                }
            }
            Err(ReadlineError::Interrupted) => pending.clear(),
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(Error::new(ErrorKind::Io, format!("cannot read the terminal: {error}")).into()),
        }
    }
    if let Some(path) = history
        && let Err(error) = editor.save_history(&path)
    {
        tracing::warn!(path = %path.display(), %error, "cannot keep the history");
    }
    Ok(())
}

fn open_editor(history: Option<&PathBuf>) -> Result<DefaultEditor> {
    let mut editor =
        DefaultEditor::new().map_err(|error| Error::new(ErrorKind::Io, format!("cannot use the terminal: {error}")))?;
    if let Some(path) = history {
        // The first time there is none.
        let _ = editor.load_history(path);
    }
    Ok(editor)
}

/// Reads a line on a thread of its own: the terminal blocks.
async fn read_line(
    mut editor: DefaultEditor,
    prompt: &'static str,
) -> Result<(DefaultEditor, rustyline::Result<String>)> {
    tokio::task::spawn_blocking(move || {
        let line = editor.readline(prompt);
        (editor, line)
    })
    .await
    .map_err(|error| Error::new(ErrorKind::Internal, format!("the prompt failed: {error}")))
}

fn prompt(session: &Session, pending: &str) -> &'static str {
    match (pending.is_empty(), session.transaction_status()) {
        (false, _) => "     ...> ",
        (true, TransactionStatus::Idle) => "latentdb=> ",
        (true, TransactionStatus::Open) => "latentdb=*> ",
        (true, TransactionStatus::Failed) => "latentdb=!> ",
    }
}

/// Errors of statements are printed and forgotten; a closed output ends the prompt.
fn report(failure: Failure) -> CliResult {
    match failure {
        Failure::Failed(error) => {
            print_error(&error);
            Ok(())
        }
        Failure::Usage(message) => {
            eprintln!("{message}");
            Ok(())
        }
        Failure::OutputClosed => Err(Failure::OutputClosed),
    }
}

/// Runs a command; answers whether to leave.
async fn run_meta(session: &Session, printer: &mut Printer, meta: Meta) -> CliResult<bool> {
    match meta {
        Meta::Quit => return Ok(true),
        Meta::Help => println!("{HELP}"),
        Meta::Timing => {
            printer.verbose = !printer.verbose;
            println!("row counts and times are {}", if printer.verbose { "on" } else { "off" });
        }
        Meta::Format(name) => {
            printer.format = <OutputFormat as clap::ValueEnum>::from_str(&name, true)
                .map_err(|_| Failure::Usage("the formats are table, csv, json and ndjson".to_owned()))?;
        }
        Meta::File(path) => {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| Error::new(ErrorKind::Io, format!("cannot read {path}: {error}")))?;
            printer.run_all(session, &text).await?;
        }
        Meta::Sql(sql) => printer.run_all(session, &sql).await?,
        Meta::Unknown(command) => {
            return Err(Failure::Usage(format!("there is no command {command}; \\? lists them")));
        }
    }
    Ok(false)
}

fn parse_meta(line: &str) -> Meta {
    let line = line.trim_end_matches(';').trim();
    let (command, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let argument = argument.trim();
    match (command, argument) {
        ("\\q" | "\\quit", _) => Meta::Quit,
        ("\\?" | "\\h" | "\\help", _) => Meta::Help,
        ("\\timing", _) => Meta::Timing,
        ("\\o" | "\\format", name) => Meta::Format(name.to_owned()),
        ("\\i", path) => Meta::File(path.to_owned()),
        ("\\d", "") => Meta::Sql(tables_sql(&["BASE TABLE", "VIEW"])),
        ("\\dt", _) => Meta::Sql(tables_sql(&["BASE TABLE"])),
        ("\\dv", _) => Meta::Sql(tables_sql(&["VIEW"])),
        ("\\d" | "\\d+", table) => Meta::Sql(columns_sql(table)),
        ("\\df", _) => Meta::Sql(
            "SELECT DISTINCT routine_name AS name, function_type AS kind FROM information_schema.routines ORDER BY 1"
                .to_owned(),
        ),
        _ => Meta::Unknown(command.to_owned()),
    }
}

fn tables_sql(kinds: &[&str]) -> String {
    let kinds: Vec<_> = kinds.iter().map(|kind| format!("'{kind}'")).collect();
    format!(
        "SELECT table_name AS name, lower(table_type) AS kind FROM information_schema.tables \
         WHERE table_schema = 'public' AND table_type IN ({}) ORDER BY 1",
        kinds.join(", ")
    )
}

fn columns_sql(table: &str) -> String {
    let table = table.trim_matches('"').replace('\'', "''");
    format!(
        "SELECT column_name AS \"column\", data_type AS type, is_nullable AS nullable \
         FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '{table}' \
         ORDER BY ordinal_position"
    )
}

/// Whether `text` ends with a semicolon that is not within a string, an identifier or a comment.
fn is_complete(text: &str) -> bool {
    let mut rest = text;
    let mut complete = false;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let end = match c {
            '\'' | '"' => after.split_once(c).map(|(_, rest)| rest),
            '-' if after.starts_with('-') => Some(after.split_once('\n').map_or("", |(_, rest)| rest)),
            '/' if after.starts_with('*') => after.split_once("*/").map(|(_, rest)| rest),
            '$' => match dollar_tag(rest) {
                Some(tag) => rest[tag.len()..].split_once(tag).map(|(_, rest)| rest),
                None => Some(after),
            },
            _ => Some(after),
        };
        let Some(end) = end else { return false };
        let is_comment = (c == '-' || c == '/') && end.len() < after.len();
        if !c.is_whitespace() && !is_comment {
            complete = c == ';';
        }
        rest = end;
    }
    complete
}

/// `$$` or `$name$` at the start of `text`; `None` for a parameter such as `$1`.
fn dollar_tag(text: &str) -> Option<&str> {
    let name = text.strip_prefix('$')?;
    let end = name.find('$')?;
    let is_name =
        name[..end].chars().all(|c| c.is_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    is_name.then(|| &text[..end + 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_complete_at_its_own_semicolon() {
        for text in
            ["select 1;", "select ';' ; \n", "select 1; -- done", "select $$;$$;", "/* ; */ select 1;", "select $1;"]
        {
            assert!(is_complete(text), "{text}");
        }
        for text in
            ["select 1", "select ';", "select 1 -- ;", "select \";", "/* ; ", "select $a$ ; $b$;", "select 1; select"]
        {
            assert!(!is_complete(text), "{text}");
        }
    }

    #[test]
    fn commands_are_told_apart() {
        assert_eq!(parse_meta("\\q"), Meta::Quit);
        assert_eq!(parse_meta("\\o csv"), Meta::Format("csv".into()));
        assert!(matches!(parse_meta("\\d features;"), Meta::Sql(sql) if sql.contains("'features'")));
        assert!(matches!(parse_meta("\\d o'brien"), Meta::Sql(sql) if sql.contains("'o''brien'")));
        assert_eq!(parse_meta("\\nope x"), Meta::Unknown("\\nope".into()));
    }
}
