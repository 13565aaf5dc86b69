//! What a statement asks for, before planning.

use datafusion::sql::parser::ExplainStatement;
use datafusion::sql::sqlparser::ast;

use crate::outcome::CopyOptions;

/// One statement, sorted by who carries it out.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// `SELECT`, `VALUES`, `TABLE`, `WITH`.
    Query(Box<ast::Statement>),
    /// `INSERT`, `UPDATE`, `DELETE`, `MERGE`, `TRUNCATE`.
    Change(Change),
    /// `EXPLAIN` of a query or a change.
    Explain(Box<ExplainStatement>),
    /// `SET`, `RESET`, `DISCARD`: settings.
    Setting(SettingCommand),
    /// `SHOW name`.
    Show(String),
    /// `SHOW ALL`.
    ShowAll,
    /// `BEGIN`, `COMMIT`, `ROLLBACK`.
    Transaction(TransactionCommand),
    /// `CREATE TABLE`, `DROP VIEW`, `COMMENT ON`: what changes definitions.
    Definition(Definition),
    /// `COPY`.
    Copy(Copy),
    /// `CALL`, `OPTIMIZE`, `VACUUM`: a procedure with its arguments.
    Call(Call),
    /// `PREPARE name AS …`.
    Prepare {
        /// Name to run it by.
        name: String,
        /// Declared parameter types.
        types: Vec<ast::DataType>,
        /// The statement.
        statement: crate::Statement,
    },
    /// `EXECUTE name(…)`.
    Execute {
        /// Name of the prepared statement.
        name: String,
        /// Values of its parameters.
        arguments: Vec<ast::Expr>,
    },
    /// `DEALLOCATE name`, or of all without one.
    Deallocate(Option<String>),
    /// Taken and ignored, with a remark: `LISTEN`, `GRANT`.
    Ignored {
        /// Command tag.
        tag: &'static str,
        /// What to tell the user.
        notice: String,
    },
}

/// A statement that changes rows.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// First word of the command tag.
    pub tag: &'static str,
    /// The statement, already in the form the planner takes.
    pub statement: Box<ast::Statement>,
}

/// A statement about settings.
#[derive(Debug, Clone)]
pub(crate) enum SettingCommand {
    /// `SET [LOCAL] name = value`; no value for `DEFAULT`.
    Set {
        /// Name of the setting.
        name: String,
        /// New value.
        value: Option<String>,
        /// Until the end of the transaction only.
        local: bool,
    },
    /// `SET TRANSACTION …` and `SET SESSION CHARACTERISTICS AS TRANSACTION …`.
    TransactionMode {
        /// `READ ONLY` or `READ WRITE`, if named.
        read_only: Option<bool>,
        /// For all transactions to come, or for this one.
        session: bool,
    },
    /// `RESET name`.
    Reset(String),
    /// `RESET ALL`.
    ResetAll,
    /// `DISCARD ALL` and its parts.
    Discard {
        /// Whether everything goes, or only plans or temporary things, of which there are none.
        all: bool,
    },
}

/// A statement that begins or ends a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TransactionCommand {
    /// `BEGIN` with its access mode.
    Begin {
        /// `READ ONLY` or `READ WRITE`, if named.
        read_only: Option<bool>,
        /// `START TRANSACTION` has a tag of its own.
        start: bool,
    },
    /// `COMMIT`, `END`.
    Commit,
    /// `ROLLBACK`, `ABORT`.
    Rollback,
    /// `SAVEPOINT name`.
    Savepoint(String),
    /// `RELEASE name`.
    Release(String),
    /// `ROLLBACK TO name`.
    RollbackTo(String),
}

/// A statement that changes definitions.
#[derive(Debug, Clone)]
pub(crate) enum Definition {
    /// `CREATE TABLE`, with or without `AS`.
    CreateTable(Box<ast::CreateTable>),
    /// `DROP TABLE a, b`.
    DropTable {
        /// Names.
        names: Vec<ast::ObjectName>,
        /// Whether a missing one is fine.
        if_exists: bool,
    },
    /// `CREATE VIEW`.
    CreateView {
        /// Name.
        name: ast::ObjectName,
        /// Names of its columns, if other than the query's.
        columns: Vec<ast::Ident>,
        /// Whether one of the name may be replaced.
        or_replace: bool,
        /// Whether one of the name makes this a no-op.
        if_not_exists: bool,
    },
    /// `DROP VIEW a, b`.
    DropView {
        /// Names.
        names: Vec<ast::ObjectName>,
        /// Whether a missing one is fine.
        if_exists: bool,
    },
    /// `CREATE INDEX`.
    CreateIndex(Box<ast::CreateIndex>),
    /// `DROP INDEX a, b`.
    DropIndex {
        /// Names.
        names: Vec<ast::ObjectName>,
        /// Whether a missing one is fine.
        if_exists: bool,
    },
    /// `COMMENT ON TABLE t` or `ON COLUMN t.c`.
    Comment {
        /// Table or view.
        table: String,
        /// Column, if the comment is on one.
        column: Option<String>,
        /// The comment; none to remove it.
        comment: Option<String>,
    },
    /// `CREATE USER` or `ALTER USER`.
    PutUser {
        /// Name.
        name: String,
        /// New password, if one is given.
        password: Option<String>,
        /// Whether the user must not exist yet.
        create: bool,
    },
    /// `DROP USER`.
    DropUser {
        /// Names.
        names: Vec<String>,
        /// Whether a missing one is fine.
        if_exists: bool,
    },
}

/// A `COPY`.
#[derive(Debug, Clone)]
pub(crate) enum Copy {
    /// `COPY t (…) FROM STDIN`.
    In {
        /// Table.
        table: String,
        /// Columns given; all if empty.
        columns: Vec<String>,
        /// Layout of the input.
        options: CopyOptions,
    },
    /// `COPY … TO STDOUT`.
    Out {
        /// The query, or `SELECT` of the table's columns.
        query: Box<ast::Statement>,
        /// Layout of the output.
        options: CopyOptions,
    },
    /// `COPY … TO 'file'`.
    ToFile {
        /// The query.
        query: Box<ast::Statement>,
        /// Where to.
        path: String,
        /// Named format: `parquet`, `csv`, `json`, `text`; by the file's ending if none.
        format: Option<String>,
        /// Layout, for text and CSV.
        options: CopyOptions,
    },
}

/// A procedure call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// First word of the command tag.
    pub tag: &'static str,
    /// Name of the procedure.
    pub procedure: String,
    /// Arguments in order; a name where `name => value` was written.
    pub arguments: Vec<(Option<String>, ast::Expr)>,
}
