//! From text to statements: cut at semicolons, each read by our own grammar or the planner's.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::parser::{DFParserBuilder, Statement as PlannerStatement};
use datafusion::sql::sqlparser::ast::{self, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use super::command::{Change, Command};
use super::dialect::EngineDialect;
use super::{errors, grammar, names, rewrite, time_formats};
use crate::{Error, ErrorKind, Result, Statement};

/// How deep expressions and queries may nest.
const RECURSION_LIMIT: usize = 128;

/// Reads `sql` as statements.
pub(crate) fn parse(sql: &str) -> Result<Vec<Statement>> {
    let dialect = EngineDialect;
    let tokens = Tokenizer::new(&dialect, sql)
        .tokenize_with_location()
        .map_err(|error| errors::from_parser(error.into(), sql))?;
    let offsets = Offsets::new(sql);
    let source: Arc<str> = sql.into();
    tokens
        .split(|token| token.token == Token::SemiColon)
        .filter(|tokens| tokens.iter().any(|token| !matches!(token.token, Token::Whitespace(_))))
        .map(|tokens| one(&source, tokens, &offsets))
        .collect()
}

/// Reads one statement that is known to be alone in `sql`.
pub(crate) fn parse_one(sql: &str) -> Result<Statement> {
    let mut statements = parse(sql)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        _ => Err(Error::new(ErrorKind::Syntax, "expected exactly one statement")),
    }
}

/// Reads `tokens` of `sql`, which are one statement or a part of one.
pub(crate) fn statement(sql: &str, tokens: &[TokenWithSpan]) -> Result<Statement> {
    one(&sql.into(), tokens, &Offsets::new(sql))
}

fn one(sql: &Arc<str>, tokens: &[TokenWithSpan], offsets: &Offsets) -> Result<Statement> {
    let mut significant = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
    let first = significant.next();
    let start = first.map_or(0, |token| offsets.byte(sql, token.span.start));
    let end = significant.next_back().or(first).map_or(sql.len(), |token| offsets.byte(sql, token.span.end));
    let text = sql.get(start..end).unwrap_or(sql).trim();
    let command = command(sql, tokens, text)?;
    Ok(Statement { command: Arc::new(command).into(), text: text.into(), source: Arc::clone(sql) })
}

fn command(sql: &str, tokens: &[TokenWithSpan], text: &str) -> Result<Command> {
    if let Some(command) = grammar::read(sql, tokens)? {
        return Ok(command);
    }
    let statement = planner_statement(sql, tokens, text)?;
    from_planner(statement)
}

/// Reads `tokens` by the planner's grammar.
fn planner_statement(sql: &str, tokens: &[TokenWithSpan], text: &str) -> Result<PlannerStatement> {
    if rewrite::asks_the_catalogs(text)
        // A fault is told by our own parser, which knows where it lies.
        && let Ok(Some(mut statement @ ast::Statement::Query(_))) = rewrite::catalog_query(text)
    {
        // It was read apart from the text around it, so its places would mislead.
        let _ = VisitMut::visit(&mut statement, &mut Displaced);
        names::assign(&mut statement);
        time_formats::rewrite(&mut statement);
        return Ok(PlannerStatement::Statement(Box::new(statement)));
    }
    match read_statement(&EngineDialect, sql, tokens)? {
        PlannerStatement::Statement(mut statement) => {
            names::assign(&mut statement);
            time_formats::rewrite(&mut statement);
            Ok(PlannerStatement::Statement(Box::new(rewrite::general(*statement))))
        }
        other => Ok(other),
    }
}

/// Takes the places in the text off every name.
struct Displaced;

impl VisitorMut for Displaced {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
        match expr {
            ast::Expr::Identifier(name) => name.span = Span::empty(),
            ast::Expr::CompoundIdentifier(names) => names.iter_mut().for_each(|name| name.span = Span::empty()),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn read_statement(dialect: &EngineDialect, sql: &str, tokens: &[TokenWithSpan]) -> Result<PlannerStatement> {
    let mut parser = DFParserBuilder::new(tokens.to_vec())
        .with_dialect(dialect)
        .with_recursion_limit(RECURSION_LIMIT)
        .build()
        .map_err(|error| errors::from_planner_at(error, sql))?;
    let statement = parser.parse_statement().map_err(|error| errors::from_planner_at(error, sql))?;
    let next = parser.parser.peek_token();
    if next.token == Token::EOF { Ok(statement) } else { Err(errors::unexpected(&next, sql)) }
}

/// Sorts a statement of the planner's grammar.
pub(crate) fn from_planner(statement: PlannerStatement) -> Result<Command> {
    match statement {
        PlannerStatement::Statement(statement) => from_ast(*statement),
        PlannerStatement::Explain(mut explain) => {
            if let PlannerStatement::Statement(statement) = *explain.statement {
                let inner = match from_ast(rewrite::general(*statement))? {
                    Command::Query(statement) => statement,
                    Command::Change(change) => change.statement,
                    _ => return Err(Error::new(ErrorKind::Unsupported, "cannot explain this kind of statement")),
                };
                explain.statement = Box::new(PlannerStatement::Statement(inner));
                Ok(Command::Explain(Box::new(explain)))
            } else {
                Err(Error::new(ErrorKind::Unsupported, "cannot explain this kind of statement"))
            }
        }
        PlannerStatement::CreateExternalTable(_) => {
            Err(Error::new(ErrorKind::Unsupported, "CREATE EXTERNAL TABLE is not supported")
                .with_hint("load the file with COPY … FROM STDIN"))
        }
        PlannerStatement::CopyTo(_) | PlannerStatement::Reset(_) => {
            Err(Error::new(ErrorKind::Internal, "a statement was read by the wrong grammar"))
        }
    }
}

fn from_ast(statement: ast::Statement) -> Result<Command> {
    use ast::Statement as S;
    let change = |tag, statement| Ok(Command::Change(Change { tag, statement: Box::new(statement) }));
    match statement {
        S::Query(query) => match with_change(query)? {
            Ok(change) => from_ast(change),
            Err(query) => Ok(Command::Query(Box::new(S::Query(query)))),
        },
        S::Insert(_) => change("INSERT", statement),
        S::Update(_) => change("UPDATE", statement),
        S::Delete(_) => change("DELETE", statement),
        S::Merge(_) => change("MERGE", statement),
        S::Truncate(_) => change("TRUNCATE TABLE", statement),
        other => grammar::from_ast(other),
    }
}

/// `WITH … INSERT` as an `INSERT` whose query has the `WITH`; the query itself if it is none.
fn with_change(mut query: Box<ast::Query>) -> Result<Result<ast::Statement, Box<ast::Query>>> {
    let with = query.with.take();
    match (*query.body, with) {
        (ast::SetExpr::Insert(ast::Statement::Insert(mut insert)), Some(with)) => {
            match insert.source.as_mut() {
                Some(source) if source.with.is_none() => source.with = Some(with),
                _ => return Err(Error::new(ErrorKind::Unsupported, "WITH around this INSERT is not supported")),
            }
            Ok(Ok(ast::Statement::Insert(insert)))
        }
        (ast::SetExpr::Update(_) | ast::SetExpr::Delete(_) | ast::SetExpr::Merge(_), _) => {
            Err(Error::new(ErrorKind::Unsupported, "WITH before UPDATE, DELETE or MERGE is not supported")
                .with_hint("use a subquery in its condition"))
        }
        (body, with) => {
            query.body = Box::new(body);
            query.with = with;
            Ok(Err(query))
        }
    }
}

/// Where the lines of a text begin, to find the byte of a line and column.
pub(crate) struct Offsets {
    lines: Vec<usize>,
}

impl Offsets {
    pub(crate) fn new(text: &str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { lines }
    }

    /// Byte offset in `text` of `location`; columns count characters.
    pub(crate) fn byte(&self, text: &str, location: Location) -> usize {
        let line = usize::try_from(location.line).unwrap_or(1).saturating_sub(1);
        let column = usize::try_from(location.column).unwrap_or(1).saturating_sub(1);
        let Some(&start) = self.lines.get(line) else { return text.len() };
        let rest = text.get(start..).unwrap_or_default();
        rest.char_indices().nth(column).map_or(text.len(), |(at, _)| start + at)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn texts(sql: &str) -> Vec<String> {
        parse(sql).unwrap().iter().map(|statement| statement.text().to_owned()).collect()
    }

    #[test]
    fn statements_are_cut_at_semicolons_outside_quotes() {
        assert_eq!(texts("select ';' ; -- a;b\n select $$x;y$$;;"), ["select ';'", "select $$x;y$$"]);
        assert!(texts("  ; -- nothing\n /* here */ ").is_empty());
    }

    #[test]
    fn text_survives_lines_and_wide_characters() {
        assert_eq!(texts("select 'é\nß';\n  select\n 2"), ["select 'é\nß'", "select\n 2"]);
    }

    #[test]
    fn syntax_errors_say_where() {
        let error = parse("select 1;\nselect * fro t").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Syntax);
        assert_eq!(error.position(), Some(24), "{error:?}");
    }
}
