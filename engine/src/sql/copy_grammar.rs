//! `COPY`, as Postgres writes it, with `COPY … TO 'file.parquet'` of ours.

use datafusion::sql::sqlparser::ast::{
    self, CopyLegacyCsvOption, CopyLegacyOption, CopyOption, CopySource, CopyTarget,
};

use super::command::{Command, Copy};
use super::grammar::{Reader, fold, table_name};
use super::{names, parse, rewrite};
use crate::outcome::{CopyFormat, CopyOptions};
use crate::{Error, ErrorKind, Result};

/// Reads a `COPY` after its first word.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Command> {
    let statement = reader.parser.parse_copy().map_err(|error| reader.error(error))?;
    let ast::Statement::Copy { source, to, target, options, legacy_options, .. } = statement else {
        return Err(reader.unexpected());
    };
    let layout = layout(&options, &legacy_options)?;
    let copy = match (target, to) {
        (CopyTarget::Stdin, false) => {
            let (table, columns) = table_and_columns(source)?;
            Copy::In { table, columns, options: layout.incoming()? }
        }
        (CopyTarget::Stdout, true) => Copy::Out { query: query(source)?, options: layout.options()? },
        (CopyTarget::File { filename }, true) => Copy::ToFile {
            query: query(source)?,
            path: filename,
            format: layout.format.clone(),
            options: layout.text_or_default(),
        },
        (CopyTarget::File { .. }, false) => {
            return Err(Error::new(ErrorKind::Unsupported, "COPY … FROM a file on the server is not supported")
                .with_hint("\\copy in psql, or COPY … FROM STDIN"));
        }
        _ => return Err(Error::new(ErrorKind::Unsupported, "COPY from or to a program is not supported")),
    };
    Ok(Command::Copy(copy))
}

fn table_and_columns(source: CopySource) -> Result<(String, Vec<String>)> {
    match source {
        CopySource::Table { table_name: name, columns } => Ok((table_name(&name)?, columns.iter().map(fold).collect())),
        CopySource::Query(_) => Err(Error::new(ErrorKind::Syntax, "COPY … FROM needs the name of a table")),
    }
}

/// The query whose rows are copied; of a table, all of it.
fn query(source: CopySource) -> Result<Box<ast::Statement>> {
    if let CopySource::Query(query) = source {
        let mut statement = ast::Statement::Query(query);
        names::assign(&mut statement);
        return Ok(Box::new(rewrite::general(statement)));
    }
    let (table, columns) = table_and_columns(source)?;
    let quoted = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
    let columns: Vec<String> = columns.iter().map(quoted).collect();
    let columns = if columns.is_empty() { "*".to_owned() } else { columns.join(", ") };
    let statement = parse::parse_one(&format!("SELECT {columns} FROM {}", quoted(&table)))?;
    match statement.command.as_ref() {
        Command::Query(query) => Ok(query.clone()),
        _ => Err(Error::new(ErrorKind::Internal, "a table could not be read as a query")),
    }
}

/// What the options of a `COPY` say.
#[derive(Debug, Default)]
struct Layout {
    format: Option<String>,
    header: Option<bool>,
    delimiter: Option<char>,
    null: Option<String>,
    quote: Option<char>,
    escape: Option<char>,
}

impl Layout {
    /// The layout of input.
    fn incoming(&self) -> Result<CopyOptions> {
        let options = self.options()?;
        match options.format {
            CopyFormat::Text | CopyFormat::Csv => Ok(options),
            CopyFormat::Binary => {
                Err(Error::new(ErrorKind::Unsupported, "COPY … FROM in binary format is not supported")
                    .with_hint("FORMAT csv, or FORMAT text"))
            }
        }
    }

    /// The layout of a file: CSV's with a header unless told otherwise.
    fn text_or_default(&self) -> CopyOptions {
        let mut layout = self.options().unwrap_or_else(|_| CopyOptions::new(CopyFormat::Csv));
        layout.format = CopyFormat::Csv;
        layout.header = self.header.unwrap_or(true);
        layout.delimiter = self.delimiter.and_then(|letter| u8::try_from(letter).ok()).unwrap_or(b',');
        layout.null = self.null.clone().unwrap_or_default();
        layout
    }

    fn options(&self) -> Result<CopyOptions> {
        let format = match self.format.as_deref() {
            None | Some("text") => CopyFormat::Text,
            Some("csv") => CopyFormat::Csv,
            Some("binary") => CopyFormat::Binary,
            Some(other) => {
                return Err(Error::new(ErrorKind::InvalidValue, format!("COPY format \"{other}\" not recognized"))
                    .with_hint("FORMAT text, csv or binary"));
            }
        };
        let mut options = CopyOptions::new(format);
        options.header = self.header.unwrap_or(false);
        if let Some(null) = &self.null {
            options.null.clone_from(null);
        }
        options.delimiter = byte(self.delimiter, options.delimiter, "delimiter")?;
        options.quote = byte(self.quote, options.quote, "quote")?;
        options.escape = byte(self.escape.or(self.quote), options.escape, "escape")?;
        Ok(options)
    }
}

fn byte(given: Option<char>, default: u8, what: &str) -> Result<u8> {
    match given {
        None => Ok(default),
        Some(letter) if letter.is_ascii() && letter != '\n' && letter != '\r' => Ok(letter as u8),
        Some(_) => Err(Error::new(ErrorKind::InvalidValue, format!("COPY {what} must be a single one-byte character"))),
    }
}

fn layout(options: &[CopyOption], legacy: &[CopyLegacyOption]) -> Result<Layout> {
    let mut layout = Layout::default();
    for option in options {
        match option {
            CopyOption::Format(name) => layout.format = Some(name.value.to_lowercase()),
            CopyOption::Delimiter(letter) => layout.delimiter = Some(*letter),
            CopyOption::Null(text) => layout.null = Some(text.clone()),
            CopyOption::Header(header) => layout.header = Some(*header),
            CopyOption::Quote(letter) => layout.quote = Some(*letter),
            CopyOption::Escape(letter) => layout.escape = Some(*letter),
            CopyOption::Encoding(name) if name.to_uppercase().replace('-', "") == "UTF8" => {}
            CopyOption::Freeze(_) => {}
            other => return Err(Error::new(ErrorKind::Unsupported, format!("COPY option {other} is not supported"))),
        }
    }
    for option in legacy {
        match option {
            CopyLegacyOption::Binary => layout.format = Some("binary".to_owned()),
            CopyLegacyOption::Delimiter(letter) => layout.delimiter = Some(*letter),
            CopyLegacyOption::Null(text) => layout.null = Some(text.clone()),
            CopyLegacyOption::Csv(options) => {
                layout.format = Some("csv".to_owned());
                for option in options {
                    match option {
                        CopyLegacyCsvOption::Header => layout.header = Some(true),
                        CopyLegacyCsvOption::Quote(letter) => layout.quote = Some(*letter),
                        CopyLegacyCsvOption::Escape(letter) => layout.escape = Some(*letter),
                        other => {
                            return Err(Error::new(
                                ErrorKind::Unsupported,
                                format!("COPY option {other} is not supported"),
                            ));
                        }
                    }
                }
            }
            other => return Err(Error::new(ErrorKind::Unsupported, format!("COPY option {other} is not supported"))),
        }
    }
    Ok(layout)
}
