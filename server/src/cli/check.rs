//! `latentdb check`: every file of every table is read to its last page and compared with what the table's
//! log promises of it; then rows are looked for that refer to rows that are not there.

use clap::Args;
use latentdb_engine::arrow::array::AsArray;
use latentdb_engine::arrow::datatypes::Int64Type;
use latentdb_engine::{CheckReport, Engine, Error, ErrorKind, Result, Session};

use super::database::{self, Purpose};
use super::progress::Steps;
use super::{CliResult, Global};

/// Read every table and file and verify them.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  latentdb check --data ./mydb\n  latentdb check --data s3://bucket/db && echo sound"
)]
pub(super) struct CheckArgs {}

/// Rows that refer to rows of another table: what is wrong if there are any, and the query that counts them.
const REFERENCES: &[(&str, &str)] = &[
    (
        "contexts that activations refer to are not there",
        "SELECT count(*) FROM (SELECT DISTINCT model_id, context_id FROM activations) a \
         WHERE NOT EXISTS (SELECT 1 FROM contexts c WHERE c.context_id = a.context_id)",
    ),
    (
        "features with activations have no row of their own",
        "SELECT count(*) FROM (SELECT DISTINCT model_id, source_id, index FROM activations) a WHERE NOT EXISTS \
         (SELECT 1 FROM features f WHERE f.model_id = a.model_id AND f.source_id = a.source_id AND f.index = a.index)",
    ),
    (
        "scores refer to explanations that are not there",
        "SELECT count(*) FROM explanation_scores s \
         WHERE NOT EXISTS (SELECT 1 FROM explanations e WHERE e.explanation_id = s.explanation_id)",
    ),
];

pub(super) async fn run(global: &Global, _args: CheckArgs) -> CliResult {
    let engine = database::open(global, Purpose::Read).await?;
    let outcome = check(&engine).await;
    engine.close().await?;
    let (report, dangling) = outcome?;
    for damage in &report.damages {
        let file = damage.file.as_ref().map_or_else(String::new, |file| format!(", file {file}"));
        println!("damaged: table {}{file}: {}", damage.table, damage.problem);
    }
    for problem in &dangling {
        println!("damaged: {problem}");
    }
    let CheckReport { tables, files, rows, .. } = report;
    println!("{tables} tables, {files} files, {rows} rows read");
    match report.damages.len() + dangling.len() {
        0 => Ok(()),
        faults => Err(Error::new(ErrorKind::Corrupt, format!("the check found {faults} faults"))
            .with_hint("an older state may be whole: SELECT … FROM table VERSION AS OF n")
            .into()),
    }
}

/// What is wrong with the files, and with what rows refer to.
async fn check(engine: &Engine) -> Result<(CheckReport, Vec<String>)> {
    let steps = Steps::new();
    let report = engine.check(&|file, done, total| steps.step(file, done, total)).await?;
    steps.finish();
    // Rows that cannot be read refer to nothing.
    if !report.damages.is_empty() {
        return Ok((report, Vec::new()));
    }
    let session = engine.session("latentdb");
    let mut dangling = Vec::new();
    for (problem, sql) in REFERENCES {
        let found = count(&session, sql).await?;
        if found > 0 {
            dangling.push(format!("{found} {problem}"));
        }
    }
    Ok((report, dangling))
}

async fn count(session: &Session, sql: &str) -> Result<u64> {
    let batches = session.query(sql).await?.collect().await?;
    let first = batches.iter().find(|batch| batch.num_rows() > 0);
    let value = first.and_then(|batch| batch.columns().first()?.as_primitive_opt::<Int64Type>().map(|n| n.value(0)));
    let value = value.and_then(|value| u64::try_from(value).ok());
    value.ok_or_else(|| Error::new(ErrorKind::Internal, "a count gave no number"))
}
