//! Our own grammar: the statements that the planner's parser has no word for, reads differently from
//! Postgres, or would hand to parts of the planner that we do not use.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::command::{Call, Command, SettingCommand, TransactionCommand};
use super::dialect::EngineDialect;
use super::{copy_grammar, definition_grammar, errors, parse};
use crate::{Error, ErrorKind, Result};

/// Reads a statement of ours; `None` if it is one of the planner's.
pub(crate) fn read(sql: &str, tokens: &[TokenWithSpan]) -> Result<Option<Command>> {
    let dialect = EngineDialect;
    let mut reader = Reader { parser: Parser::new(&dialect).with_tokens_with_locations(tokens.to_vec()), sql };
    let Some(first) = reader.next_word() else { return Ok(None) };
    let command = match first.as_str() {
        "SET" => reader.set()?,
        "SHOW" => reader.show()?,
        "RESET" => reader.reset()?,
        "DISCARD" => reader.discard()?,
        "BEGIN" => reader.begin(false)?,
        "START" if reader.accept("TRANSACTION") => reader.begin(true)?,
        "COMMIT" | "END" => reader.end(TransactionCommand::Commit),
        "ROLLBACK" => reader.rollback()?,
        "ABORT" => reader.end(TransactionCommand::Rollback),
        "SAVEPOINT" => Command::Transaction(TransactionCommand::Savepoint(reader.name()?)),
        "RELEASE" => {
            let _ = reader.accept("SAVEPOINT");
            Command::Transaction(TransactionCommand::Release(reader.name()?))
        }
        "CALL" => reader.call()?,
        "OPTIMIZE" => reader.optimize()?,
        "VACUUM" => reader.vacuum()?,
        "COPY" => copy_grammar::read(&mut reader)?,
        "DEALLOCATE" => reader.deallocate()?,
        "PREPARE" => return reader.prepare(sql, tokens).map(Some),
        "EXECUTE" => reader.execute()?,
        "LISTEN" | "UNLISTEN" | "NOTIFY" => reader.ignored(&first),
        "GRANT" | "REVOKE" => reader.ignored(&first),
        "ANALYZE" => reader.ignored(&first),
        "CREATE" | "ALTER" | "DROP" => match definition_grammar::read_role(&mut reader, &first)? {
            Some(command) => command,
            None => return Ok(None),
        },
        "COMMENT" => definition_grammar::read_comment(&mut reader)?,
        _ => return Ok(None),
    };
    reader.finish()?;
    Ok(Some(command))
}

/// Sorts a statement that the planner's parser read and that is no query and no change.
pub(crate) fn from_ast(statement: ast::Statement) -> Result<Command> {
    definition_grammar::from_ast(statement)
}

/// Reads words, names and values from tokens.
pub(crate) struct Reader<'a> {
    pub parser: Parser<'a>,
    sql: &'a str,
}

impl Reader<'_> {
    /// An error of the parser, placed in the text.
    pub(crate) fn error(&self, error: ParserError) -> Error {
        errors::from_parser(error, self.sql)
    }

    /// The error of the next token having no place here.
    pub(crate) fn unexpected(&self) -> Error {
        errors::unexpected(&self.parser.peek_token(), self.sql)
    }

    /// Takes an unquoted word, in upper case, if one is next.
    pub(crate) fn next_word(&mut self) -> Option<String> {
        match self.parser.peek_token().token {
            Token::Word(Word { value, quote_style: None, .. }) => {
                self.parser.next_token();
                Some(value.to_uppercase())
            }
            _ => None,
        }
    }

    /// Takes `word` if it is next.
    pub(crate) fn accept(&mut self, word: &str) -> bool {
        let next = self.parser.peek_token().token;
        let is_next =
            matches!(&next, Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(word));
        if is_next {
            self.parser.next_token();
        }
        is_next
    }

    /// Takes all of `words` if they are next, or none.
    pub(crate) fn accept_all(&mut self, words: &[&str]) -> bool {
        let are_next = words.iter().enumerate().all(|(ahead, word)| {
            let token = self.parser.peek_nth_token(ahead).token;
            matches!(&token, Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(word))
        });
        if are_next {
            for _ in words {
                self.parser.next_token();
            }
        }
        are_next
    }

    /// Takes `word`, which must be next.
    pub(crate) fn expect(&mut self, word: &str) -> Result<()> {
        if self.accept(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// Takes `token` if it is next.
    pub(crate) fn accept_token(&mut self, token: &Token) -> bool {
        self.parser.consume_token(token)
    }

    /// Takes a name, folded to lower case unless quoted.
    pub(crate) fn name(&mut self) -> Result<String> {
        let ident = self.parser.parse_identifier().map_err(|error| self.error(error))?;
        Ok(fold(&ident))
    }

    /// Takes a possibly qualified name; answers its last part if the others are ours.
    pub(crate) fn table_name(&mut self) -> Result<String> {
        let name = self.parser.parse_object_name(false).map_err(|error| self.error(error))?;
        table_name(&name)
    }

    /// Takes a name with dots, for a setting.
    fn setting_name(&mut self) -> Result<String> {
        let mut name = self.name()?;
        while self.accept_token(&Token::Period) {
            name.push('.');
            name.push_str(&self.name()?);
        }
        Ok(name)
    }

    pub(crate) fn is_at_end(&self) -> bool {
        matches!(self.parser.peek_token().token, Token::EOF | Token::SemiColon)
    }

    fn finish(&self) -> Result<()> {
        if self.is_at_end() { Ok(()) } else { Err(self.unexpected()) }
    }

    fn skip_rest(&mut self) {
        while !self.is_at_end() {
            self.parser.next_token();
        }
    }

    fn set(&mut self) -> Result<Command> {
        if self.accept_all(&["SESSION", "CHARACTERISTICS", "AS", "TRANSACTION"]) {
            let read_only = self.transaction_modes()?;
            return Ok(Command::Setting(SettingCommand::TransactionMode { read_only, session: true }));
        }
        let local = self.accept("LOCAL");
        let _ = !local && self.accept("SESSION");
        if self.accept("TRANSACTION") {
            let read_only = self.transaction_modes()?;
            return Ok(Command::Setting(SettingCommand::TransactionMode { read_only, session: false }));
        }
        let name = if self.accept_all(&["TIME", "ZONE"]) {
            "TimeZone".to_owned()
        } else if self.accept("NAMES") {
            "client_encoding".to_owned()
        } else if self.accept("ROLE") || self.accept("AUTHORIZATION") {
            return Err(Error::new(ErrorKind::Unsupported, "a session cannot change its user")
                .with_hint("connect as the other user"));
        } else {
            let name = self.setting_name()?;
            if !self.accept("TO") && !self.accept_token(&Token::Eq) {
                return Err(self.unexpected());
            }
            name
        };
        let value = self.setting_value()?;
        Ok(Command::Setting(SettingCommand::Set { name, value, local }))
    }

    /// A value or a list of values; `None` for `DEFAULT`.
    fn setting_value(&mut self) -> Result<Option<String>> {
        if self.accept("DEFAULT") {
            return Ok(None);
        }
        let mut values = vec![self.one_value()?];
        while self.accept_token(&Token::Comma) {
            values.push(self.one_value()?);
        }
        Ok(Some(values.join(", ")))
    }

    fn one_value(&mut self) -> Result<String> {
        let minus = self.accept_token(&Token::Minus);
        let token = self.parser.peek_token();
        let value = match token.token {
            Token::Number(number, _) if minus => format!("-{number}"),
            Token::Number(number, _) => number,
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) if !minus => text,
            Token::DollarQuotedString(text) if !minus => text.value,
            Token::Word(word) if !minus && word.quote_style.is_some() => format!("\"{}\"", word.value),
            Token::Word(word) if !minus && word.keyword == Keyword::INTERVAL => {
                return Err(Error::new(ErrorKind::Unsupported, "SET TIME ZONE INTERVAL is not supported")
                    .with_hint("write the offset as a number of hours"));
            }
            Token::Word(word) if !minus => word.value,
            _ => return Err(self.unexpected()),
        };
        self.parser.next_token();
        Ok(value)
    }

    fn show(&mut self) -> Result<Command> {
        if self.accept("ALL") {
            return Ok(Command::ShowAll);
        }
        if self.accept_all(&["TIME", "ZONE"]) {
            return Ok(Command::Show("TimeZone".to_owned()));
        }
        if self.accept_all(&["TRANSACTION", "ISOLATION", "LEVEL"]) {
            return Ok(Command::Show("transaction_isolation".to_owned()));
        }
        Ok(Command::Show(self.setting_name()?))
    }

    fn reset(&mut self) -> Result<Command> {
        if self.accept("ALL") {
            return Ok(Command::Setting(SettingCommand::ResetAll));
        }
        let name = if self.accept_all(&["TIME", "ZONE"]) { "TimeZone".to_owned() } else { self.setting_name()? };
        Ok(Command::Setting(SettingCommand::Reset(name)))
    }

    fn discard(&mut self) -> Result<Command> {
        match self.next_word().as_deref() {
            Some("ALL") => Ok(Command::Setting(SettingCommand::Discard { all: true })),
            Some("PLANS" | "SEQUENCES" | "TEMP" | "TEMPORARY") => {
                Ok(Command::Setting(SettingCommand::Discard { all: false }))
            }
            _ => Err(self.unexpected()),
        }
    }

    fn begin(&mut self, start: bool) -> Result<Command> {
        let _ = self.accept("WORK") || self.accept("TRANSACTION");
        let read_only = self.transaction_modes()?;
        Ok(Command::Transaction(TransactionCommand::Begin { read_only, start }))
    }

    /// `ISOLATION LEVEL …`, `READ ONLY`, `READ WRITE`, `[NOT] DEFERRABLE`, in any order.
    fn transaction_modes(&mut self) -> Result<Option<bool>> {
        let mut read_only = None;
        while !self.is_at_end() {
            let _ = self.accept_token(&Token::Comma);
            if self.accept_all(&["READ", "ONLY"]) {
                read_only = Some(true);
            } else if self.accept_all(&["READ", "WRITE"]) {
                read_only = Some(false);
            } else if self.accept_all(&["ISOLATION", "LEVEL"]) {
                let known = self.accept("SERIALIZABLE")
                    || self.accept_all(&["REPEATABLE", "READ"])
                    || self.accept_all(&["READ", "COMMITTED"])
                    || self.accept_all(&["READ", "UNCOMMITTED"]);
                if !known {
                    return Err(self.unexpected());
                }
            } else if !self.accept("DEFERRABLE") && !self.accept_all(&["NOT", "DEFERRABLE"]) {
                return Err(self.unexpected());
            }
        }
        Ok(read_only)
    }

    fn end(&mut self, command: TransactionCommand) -> Command {
        let _ = self.accept("WORK") || self.accept("TRANSACTION");
        let _ = self.accept_all(&["AND", "NO", "CHAIN"]);
        Command::Transaction(command)
    }

    fn rollback(&mut self) -> Result<Command> {
        let _ = self.accept("WORK") || self.accept("TRANSACTION");
        if self.accept("TO") {
            let _ = self.accept("SAVEPOINT");
            return Ok(Command::Transaction(TransactionCommand::RollbackTo(self.name()?)));
        }
        Ok(self.end(TransactionCommand::Rollback))
    }

    fn call(&mut self) -> Result<Command> {
        let name = self.parser.parse_object_name(false).map_err(|error| self.error(error))?;
        let procedure = table_name(&name)?;
        let arguments = if self.accept_token(&Token::LParen) {
            self.parser.parse_optional_args().map_err(|error| self.error(error))?
        } else {
            Vec::new()
        };
        let arguments = arguments.into_iter().map(argument).collect::<Result<_>>()?;
        Ok(Command::Call(Call { tag: "CALL", procedure, arguments }))
    }

    fn optimize(&mut self) -> Result<Command> {
        let _ = self.accept("TABLE");
        let table = self.table_name()?;
        Ok(Command::Call(Call {
            tag: "OPTIMIZE",
            procedure: "optimize".to_owned(),
            arguments: vec![(None, text_literal(table))],
        }))
    }

    /// `VACUUM t [RETAIN n HOURS] [DRY RUN]`; Postgres' options are taken and have nothing to do.
    fn vacuum(&mut self) -> Result<Command> {
        if self.accept_token(&Token::LParen) {
            while !self.accept_token(&Token::RParen) {
                if self.is_at_end() {
                    return Err(self.unexpected());
                }
                self.parser.next_token();
            }
        }
        while self.accept("FULL") || self.accept("FREEZE") || self.accept("VERBOSE") || self.accept("ANALYZE") {}
        let mut arguments = Vec::new();
        if !self.is_at_end() {
            arguments.push((None, text_literal(self.table_name()?)));
        }
        if self.accept("RETAIN") {
            let hours = self.parser.parse_value().map_err(|error| self.error(error))?;
            self.expect("HOURS")?;
            arguments.push((Some("retain_hours".to_owned()), ast::Expr::Value(hours)));
        }
        if self.accept_all(&["DRY", "RUN"]) {
            let yes = ast::Expr::Value(ast::Value::Boolean(true).with_empty_span());
            arguments.push((Some("dry_run".to_owned()), yes));
        }
        Ok(Command::Call(Call { tag: "VACUUM", procedure: "vacuum".to_owned(), arguments }))
    }

    fn deallocate(&mut self) -> Result<Command> {
        let _ = self.accept("PREPARE");
        if self.accept("ALL") {
            return Ok(Command::Deallocate(None));
        }
        Ok(Command::Deallocate(Some(self.name()?)))
    }

    fn prepare(&mut self, sql: &str, tokens: &[TokenWithSpan]) -> Result<Command> {
        let name = self.name()?;
        let mut types = Vec::new();
        if self.accept_token(&Token::LParen) {
            types = self.parser.parse_comma_separated(Parser::parse_data_type).map_err(|error| self.error(error))?;
            self.parser.expect_token(&Token::RParen).map_err(|error| self.error(error))?;
        }
        self.expect("AS")?;
        let rest = tokens.get(self.parser.index()..).unwrap_or_default();
        let statement = parse::statement(sql, rest)?;
        Ok(Command::Prepare { name, types, statement })
    }

    fn execute(&mut self) -> Result<Command> {
        let name = self.name()?;
        let mut arguments = Vec::new();
        if self.accept_token(&Token::LParen) && !self.accept_token(&Token::RParen) {
            arguments = self.parser.parse_comma_separated(Parser::parse_expr).map_err(|error| self.error(error))?;
            self.parser.expect_token(&Token::RParen).map_err(|error| self.error(error))?;
        }
        Ok(Command::Execute { name, arguments })
    }

    fn ignored(&mut self, word: &str) -> Command {
        self.skip_rest();
        let (tag, notice) = match word {
            "LISTEN" => ("LISTEN", "there are no notifications here; LISTEN has no effect"),
            "UNLISTEN" => ("UNLISTEN", "there are no notifications here; UNLISTEN has no effect"),
            "NOTIFY" => ("NOTIFY", "there are no notifications here; NOTIFY has no effect"),
            "GRANT" => ("GRANT", "every user may read and write; GRANT has no effect"),
            "REVOKE" => ("REVOKE", "every user may read and write; REVOKE has no effect"),
            _ => ("ANALYZE", "statistics are kept up to date by themselves; ANALYZE has no effect"),
        };
        Command::Ignored { tag, notice: notice.to_owned() }
    }
}

fn argument(argument: ast::FunctionArg) -> Result<(Option<String>, ast::Expr)> {
    let (name, value) = match argument {
        ast::FunctionArg::Named { name, arg, .. } => (Some(fold(&name)), arg),
        ast::FunctionArg::ExprNamed { name: ast::Expr::Identifier(name), arg, .. } => (Some(fold(&name)), arg),
        ast::FunctionArg::ExprNamed { name, .. } => {
            return Err(Error::new(ErrorKind::Syntax, format!("{name} is not the name of an argument")));
        }
        ast::FunctionArg::Unnamed(arg) => (None, arg),
    };
    match value {
        ast::FunctionArgExpr::Expr(expr) => Ok((name, expr)),
        other => Err(Error::new(ErrorKind::Syntax, format!("{other} is not a value"))),
    }
}

/// `text` as a quoted literal.
pub(crate) fn text_literal(text: String) -> ast::Expr {
    ast::Expr::Value(ast::Value::SingleQuotedString(text).with_empty_span())
}

/// A name as it is looked up: in lower case unless it was quoted.
pub(crate) fn fold(ident: &ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// The table's own name in `[latentdb.][public.]table`.
pub(crate) fn table_name(name: &ast::ObjectName) -> Result<String> {
    let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(fold).collect();
    match parts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [table] | ["public" | "pg_catalog", table] | ["latentdb", "public", table] => Ok((*table).to_owned()),
        [schema, _] | [_, schema, _] => {
            Err(Error::new(ErrorKind::UndefinedTable, format!("schema \"{schema}\" does not exist"))
                .with_hint("tables are in schema public"))
        }
        _ => Err(Error::new(ErrorKind::Syntax, format!("\"{name}\" is not the name of a table"))),
    }
}
