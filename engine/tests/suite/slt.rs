//! The sqllogictest files in `tests/slt`, run in process. The wire server runs the same files.

use std::path::Path;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use latentdb_engine::arrow;
use latentdb_engine::{Engine, EngineOptions, Error, Outcome, Session};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

/// One connection of a test file.
struct Connection {
    session: Session,
}

#[async_trait]
impl AsyncDB for Connection {
    type Error = Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Error> {
        let mut output = DBOutput::StatementComplete(0);
        for statement in self.session.parse(sql)? {
            output = match self.session.run(&statement).await? {
                Outcome::Rows { rows, .. } => table(rows.collect().await?)?,
                Outcome::Changed { rows, .. } => DBOutput::StatementComplete(rows),
                Outcome::CopyIn(_) | Outcome::CopyOut(_) | Outcome::Done { .. } => DBOutput::StatementComplete(0),
            };
        }
        Ok(output)
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "latentdb"
    }
}

fn table(batches: Vec<arrow::record_batch::RecordBatch>) -> Result<DBOutput<DefaultColumnType>, Error> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    let mut width = batches.first().map_or(0, |batch| batch.num_columns());
    for batch in &batches {
        width = batch.num_columns();
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).expect("a printable column"))
            .collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|column| cell(column.value(row).to_string())).collect());
        }
    }
    Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; width], rows })
}

/// sqllogictest compares words; an empty text needs one too.
fn cell(text: String) -> String {
    if text.is_empty() { "(empty)".to_owned() } else { text.replace('\n', "\\n") }
}

async fn run(path: &Path) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let location = directory.path().join("db").to_string_lossy().into_owned();
    let engine = Engine::open(&location, EngineOptions::default()).await.expect("a new database");
    let mut runner = Runner::new(|| async { Ok(Connection { session: engine.session("ana") }) });
    runner.run_file_async(path).await.unwrap_or_else(|error| panic!("{}", error.display(false)));
}

/// A test for each file, so that they fail one by one.
macro_rules! files {
    ($($name:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            run(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt").join(concat!(stringify!($name), ".slt"))).await;
        }
    )*};
}

files! { community, dml, errors, lateral, select, settings }
