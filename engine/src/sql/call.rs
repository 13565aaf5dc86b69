//! `CALL procedure(arguments)`: what a procedure is, which there are, and how arguments find their
//! parameters.
//!
//! A procedure does work that is no query, outside any transaction, and answers a small table of what
//! it did. The engine brings those for its own upkeep; other crates register more.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::common::ScalarValue;

use super::answers;
use super::command::Call;
use super::constants;
use super::conversation::Conversation;
use super::errors::closest;
use super::notices::Notices;
use crate::{Engine, Error, ErrorKind, Outcome, Result, TransactionStatus};

/// A parameter of a procedure.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Name, for `name => value`.
    pub name: &'static str,
    /// Type that values are brought to.
    pub data_type: DataType,
    /// Value if none is given; `None` for a parameter that must be given.
    pub default: Option<ScalarValue>,
    /// What it means.
    pub description: &'static str,
}

/// What `CALL name(…)` runs.
#[async_trait]
pub trait Procedure: fmt::Debug + Send + Sync {
    /// Name.
    fn name(&self) -> &'static str;

    /// What it does.
    fn description(&self) -> &'static str;

    /// Its parameters in order.
    fn parameters(&self) -> Vec<Parameter>;

    /// Columns of the table it answers.
    fn columns(&self) -> SchemaRef;

    /// Does the work. `arguments` has a value for each parameter, in order and of its type; long work tells `notices` how far
    /// it is. Dropping the future stops the work.
    async fn call(&self, engine: &Engine, arguments: Vec<ScalarValue>, notices: &Notices) -> Result<Vec<RecordBatch>>;
}

/// The procedures of an engine.
#[derive(Debug, Default)]
pub(crate) struct Procedures {
    by_name: RwLock<BTreeMap<&'static str, Arc<dyn Procedure>>>,
}

impl Procedures {
    /// Those for the engine's own upkeep.
    pub(crate) fn built_in() -> Self {
        let procedures = Self::default();
        procedures.register(Arc::new(super::upkeep::Optimize));
        procedures.register(Arc::new(super::upkeep::Vacuum));
        procedures
    }

    /// Adds a procedure; one of the name is replaced.
    pub(crate) fn register(&self, procedure: Arc<dyn Procedure>) {
        self.by_name.write().unwrap_or_else(PoisonError::into_inner).insert(procedure.name(), procedure);
    }

    fn find(&self, name: &str) -> Result<Arc<dyn Procedure>> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(procedure) = by_name.get(name) {
            return Ok(Arc::clone(procedure));
        }
        let error = Error::new(ErrorKind::UndefinedFunction, format!("procedure {name} does not exist"));
        Err(match closest(name, by_name.keys().copied()) {
            Some(other) => error.with_hint(format!("perhaps you meant {other}")),
            None => {
                let names: Vec<&str> = by_name.keys().copied().collect();
                error.with_hint(format!("there are {}", names.join(", ")))
            }
        })
    }
}

/// Columns that `call` will answer.
pub(crate) fn schema(session: &Arc<Conversation>, call: &Call) -> Result<Option<SchemaRef>> {
    let procedure = session.shared().procedures.find(&call.procedure)?;
    Ok((call.tag == "CALL").then(|| procedure.columns()))
}

/// Runs `call`.
pub(crate) async fn execute(session: &Arc<Conversation>, call: &Call) -> Result<Outcome> {
    if session.transaction_status() != TransactionStatus::Idle {
        return Err(Error::new(ErrorKind::Unsupported, format!("{} cannot run inside a transaction block", call.tag))
            .with_hint("COMMIT first"));
    }
    super::changes::refuse_if_read_only(session, call.tag)?;
    let procedure = session.shared().procedures.find(&call.procedure)?;
    let arguments = arguments(session, procedure.as_ref(), call)?;
    let engine = Engine::from_shared(session.shared());
    let schema = procedure.columns();
    let notices = session.notices().clone();
    let work = session.shared().runtime.run(async move { procedure.call(&engine, arguments, &notices).await });
    let batches = session.stop().race(work).await?;
    if call.tag != "CALL" {
        return Ok(Outcome::Done { command: call.tag, notice: summary(&batches) });
    }
    Ok(Outcome::Rows { command: "CALL", rows: answers::stream(schema, batches) })
}

/// The values of `call` in the order of the procedure's parameters.
fn arguments(session: &Arc<Conversation>, procedure: &dyn Procedure, call: &Call) -> Result<Vec<ScalarValue>> {
    let parameters = procedure.parameters();
    let mut values: Vec<Option<ScalarValue>> = vec![None; parameters.len()];
    for (position, (name, expr)) in call.arguments.iter().enumerate() {
        let index = match name {
            Some(name) => parameters.iter().position(|parameter| parameter.name == name),
            None => (position < parameters.len()).then_some(position),
        };
        let (Some(index), Some(parameter)) = (index, index.and_then(|index| parameters.get(index))) else {
            return Err(no_such_parameter(procedure, &parameters, name.as_deref()));
        };
        let value = constants::value(session, expr)?;
        let value = value.cast_to(&parameter.data_type).map_err(|_| {
            Error::new(
                ErrorKind::TypeMismatch,
                format!("{} => {expr} is not of type {}", parameter.name, parameter.data_type),
            )
        })?;
        match values.get_mut(index) {
            Some(slot) if slot.is_none() => *slot = Some(value),
            _ => {
                return Err(Error::new(ErrorKind::Syntax, format!("{} is given twice", parameter.name)));
            }
        }
    }
    values
        .into_iter()
        .zip(parameters)
        .map(|(value, parameter)| {
            value.or(parameter.default).ok_or_else(|| {
                Error::new(ErrorKind::InvalidValue, format!("{} needs {}", procedure.name(), parameter.name))
                    .with_hint(parameter.description)
            })
        })
        .collect()
}

fn no_such_parameter(procedure: &dyn Procedure, parameters: &[Parameter], name: Option<&str>) -> Error {
    let message = match name {
        Some(name) => format!("{} has no parameter {name}", procedure.name()),
        None => format!("{} takes at most {} arguments", procedure.name(), parameters.len()),
    };
    let names: Vec<&str> = parameters.iter().map(|parameter| parameter.name).collect();
    Error::new(ErrorKind::UndefinedFunction, message).with_hint(format!("its parameters are {}", names.join(", ")))
}

/// The answer of a command that gives no rows, as a remark.
fn summary(batches: &[RecordBatch]) -> Option<String> {
    let batch = batches.first().filter(|batch| batch.num_rows() > 0)?;
    let schema = batch.schema();
    let parts: Vec<String> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .filter_map(|(field, column)| {
            let value = ScalarValue::try_from_array(column, 0).ok()?;
            Some(format!("{} {value}", field.name().replace('_', " ")))
        })
        .collect();
    Some(parts.join(", "))
}
