//! Planning ahead: parameter types, result columns, and a plan that is used again as long as it holds.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::Poll;

use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{self, Value, ValueWithSpan, Visit, Visitor};

use super::command::{Command, Copy};
use super::conversation::Conversation;
use super::planner::Planned;
use super::{answers, changes, explain, names, parameters, rebase};
use crate::lookup::{self, Lookup};
use crate::storage::transaction::Transaction;
use crate::{Error, ErrorKind, Prepared, Result, Statement};

/// The plan of a prepared statement. Another takes its place when settings or tables are no longer those that it was made for.
#[derive(Debug)]
pub(crate) struct Cached(RwLock<Arc<OpenPlan>>);

/// A plan whose parameters have no values yet.
#[derive(Debug)]
struct OpenPlan {
    plan: LogicalPlan,
    /// The look-up that it comes to, if it is one.
    lookup: Option<Lookup>,
    /// Settings it was made under.
    epoch: u64,
}

impl Cached {
    fn new(plan: OpenPlan) -> Self {
        Self(RwLock::new(Arc::new(plan)))
    }

    /// The plan, if it was made under the settings `epoch`.
    fn made_under(&self, epoch: u64) -> Option<Arc<OpenPlan>> {
        let plan = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        (plan.epoch == epoch).then_some(plan)
    }

    fn replace(&self, plan: OpenPlan) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
    }
}

/// Plans `statement` in `session`.
pub(crate) async fn prepare(
    session: &Arc<Conversation>,
    statement: &Statement,
    hints: &[Option<DataType>],
) -> Result<Prepared> {
    let transaction = session.current().transaction;
    let mut prepared = Prepared { statement: statement.clone(), plan: None, parameters: Vec::new(), schema: None };
    match statement.command.as_ref() {
        Command::Query(query) => {
            let inferred = infer(session, &transaction, query, hints).await?;
            prepared.schema = Some(names::visible(inferred.plan.schema().inner()));
            prepared.parameters = inferred.parameters;
            let lookup = recognize(session, &transaction, &inferred.plan).await?;
            let plan = OpenPlan { plan: inferred.plan, lookup, epoch: inferred.epoch };
            prepared.plan = Some(Arc::new(Cached::new(plan)).into());
        }
        Command::Change(change) => {
            let statement = changes::for_planner(session, &transaction, &change.statement).await?;
            prepared.parameters = infer(session, &transaction, &statement, hints).await?.parameters;
        }
        Command::Copy(Copy::ToFile { query, .. }) => {
            infer(session, &transaction, query, &[]).await?;
        }
        Command::Explain(_) => prepared.schema = Some(explain::schema()),
        Command::Show(name) => prepared.schema = Some(answers::setting_schema(name)),
        Command::ShowAll => prepared.schema = Some(answers::settings_schema()),
        Command::Call(call) => prepared.schema = super::call::schema(session, call)?,
        Command::Execute { name, .. } => {
            let named = session.named().get(name).cloned();
            prepared.schema = named.and_then(|named| named.schema);
        }
        _ => {}
    }
    Ok(prepared)
}

/// The look-up that `plan` comes to, if it is one.
async fn recognize(
    session: &Arc<Conversation>,
    transaction: &Arc<Transaction>,
    plan: &LogicalPlan,
) -> Result<Option<Lookup>> {
    if !lookup::is_promising(plan) {
        return Ok(None);
    }
    let state = session.planner()?.state(transaction, Default::default());
    let plan = plan.clone();
    session.shared().runtime.run(async move { Ok(lookup::recognize(&plan, &state)) }).await
}

/// The rows of a statement that is a look-up; `None` if it has to be planned.
pub(crate) async fn look_up(
    session: &Arc<Conversation>,
    prepared: &Prepared,
    transaction: &Arc<Transaction>,
    parameters: &[ScalarValue],
) -> Result<Option<RecordBatch>> {
    let planner = session.planner()?;
    let cached = prepared.plan.as_ref().and_then(|cached| cached.made_under(planner.epoch()));
    let Some(cached) = cached.filter(|cached| cached.lookup.is_some()) else { return Ok(None) };
    if !session.vars().is_on("latentdb.lookups") {
        return Ok(None);
    }
    let values = cast_parameters(prepared, parameters.to_vec())?;
    let transaction = Arc::clone(transaction);
    let mut run = Box::pin(async move {
        match &cached.lookup {
            Some(lookup) => lookup.run(&transaction, planner.base(), &values).await,
            None => Ok(None),
        }
    });
    // What lies in memory is answered here: it takes less time than to wake a thread. What has to be read, and
    // decoded, is not.
    match futures::poll!(&mut run) {
        Poll::Ready(found) => found,
        Poll::Pending => session.shared().runtime.run(run).await,
    }
}

struct Inferred {
    plan: LogicalPlan,
    parameters: Vec<DataType>,
    epoch: u64,
}

/// Plans `statement` and works out the types of its parameters: what the client declared, else what
/// the place of the parameter asks for, else text.
async fn infer(
    session: &Arc<Conversation>,
    transaction: &Arc<Transaction>,
    statement: &ast::Statement,
    hints: &[Option<DataType>],
) -> Result<Inferred> {
    let count = count_parameters(statement)?;
    let mut declared: Vec<Option<DataType>> =
        (0..count).map(|index| hints.get(index).cloned().flatten().filter(|hint| *hint != DataType::Null)).collect();
    if declared.iter().any(Option::is_none) {
        declare_arrays(session, transaction, statement, &mut declared).await;
    }
    let first = plan(session, transaction, statement, &declared).await;
    let (plan_made, types) = match first {
        Ok((plan_made, epoch)) => {
            let found = plan_made.get_parameter_types()?;
            let cast = parameters::cast_types(&plan_made)?;
            let types: Vec<Option<DataType>> = declared
                .iter()
                .enumerate()
                .map(|(index, declared)| {
                    let name = format!("${}", index + 1);
                    declared
                        .clone()
                        .or_else(|| found.get(&name).cloned().flatten())
                        .or_else(|| cast.get(&name).cloned())
                })
                .collect();
            if types.iter().all(Option::is_some) || count == 0 {
                let parameters = types.into_iter().flatten().collect();
                return Ok(Inferred { plan: plan_made, parameters, epoch });
            }
            (None, types)
        }
        Err(error) if count == 0 || declared.iter().all(Option::is_some) => return Err(error),
        Err(error) => (Some(error), declared),
    };
    let parameters: Vec<DataType> = types.into_iter().map(|data_type| data_type.unwrap_or(DataType::Utf8)).collect();
    let known: Vec<Option<DataType>> = parameters.iter().cloned().map(Some).collect();
    match (plan(session, transaction, statement, &known).await, plan_made) {
        (Ok((plan, epoch)), _) => Ok(Inferred { plan, parameters, epoch }),
        (Err(_), Some(first)) => Err(first),
        (Err(error), None) => Err(error),
    }
}

/// Fills in the types of parameters that stand for arrays and that the client did not declare.
async fn declare_arrays(
    session: &Arc<Conversation>,
    transaction: &Arc<Transaction>,
    statement: &ast::Statement,
    declared: &mut [Option<DataType>],
) {
    let Some((probe, arrays)) = parameters::with_elements_for_arrays(statement) else { return };
    // What is wrong with the statement is told when it is planned itself.
    let Ok((probe, _)) = plan(session, transaction, &probe, declared).await else { return };
    let Ok(elements) = probe.get_parameter_types() else { return };
    for (index, slot) in declared.iter_mut().enumerate().filter(|(_, slot)| slot.is_none()) {
        let name = format!("${}", index + 1);
        if arrays.contains(&name)
            && let Some(element) = elements.get(&name).cloned().flatten()
        {
            *slot = Some(DataType::new_list(element, true));
        }
    }
}

async fn plan(
    session: &Arc<Conversation>,
    transaction: &Arc<Transaction>,
    statement: &ast::Statement,
    types: &[Option<DataType>],
) -> Result<(LogicalPlan, u64)> {
    let planner = session.planner()?;
    let Planned { plan, .. } = on_query_threads(session, transaction, statement.clone(), fields(types)).await?;
    Ok((plan, planner.epoch()))
}

/// Plans away from the caller's threads: catalogue tables are read, and views planned, on the way.
pub(crate) async fn on_query_threads(
    session: &Arc<Conversation>,
    transaction: &Arc<Transaction>,
    statement: ast::Statement,
    fields: Vec<Option<FieldRef>>,
) -> Result<Planned> {
    let planner = session.planner()?;
    let transaction = Arc::clone(transaction);
    // The planner's future is of some 40 kB, which every future that waits for it would hold.
    let planning = Box::pin(async move { planner.plan(&transaction, statement, &fields).await });
    session.shared().runtime.run(planning).await
}

fn fields(types: &[Option<DataType>]) -> Vec<Option<FieldRef>> {
    types
        .iter()
        .enumerate()
        .map(|(index, data_type)| {
            let data_type = data_type.clone()?;
            Some(Arc::new(Field::new(format!("${}", index + 1), data_type, true)))
        })
        .collect()
}

/// The highest `$n` in `statement`.
pub(crate) fn count_parameters(statement: &ast::Statement) -> Result<usize> {
    let mut finder = Parameters::default();
    let _ = Visit::visit(statement, &mut finder);
    if let Some(other) = finder.other {
        return Err(Error::new(ErrorKind::Syntax, format!("parameter {other} is not of the form $1")));
    }
    Ok(finder.numbers.last().copied().unwrap_or(0))
}

#[derive(Default)]
struct Parameters {
    numbers: BTreeSet<usize>,
    other: Option<String>,
}

impl Visitor for Parameters {
    type Break = ();

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<()> {
        if let Value::Placeholder(name) = &value.value {
            match name.strip_prefix('$').and_then(|number| number.parse().ok()) {
                Some(number) if (1..=65_535).contains(&number) => {
                    self.numbers.insert(number);
                }
                _ => self.other = Some(name.clone()),
            }
        }
        ControlFlow::Continue(())
    }
}

/// How many parameters `plan` has.
pub(crate) fn count_parameters_in(plan: &LogicalPlan) -> Result<usize> {
    Ok(plan.get_parameter_names()?.len())
}

/// A plan over `transaction`'s tables with `parameters` in it, and the state to run it in.
pub(crate) async fn bind(
    session: &Arc<Conversation>,
    prepared: &Prepared,
    query: &ast::Statement,
    transaction: &Arc<Transaction>,
    parameters: Vec<ScalarValue>,
) -> Result<(LogicalPlan, Arc<SessionState>)> {
    let values = cast_parameters(prepared, parameters)?.into_iter().map(ScalarAndMetadata::from).collect();
    let planner = session.planner()?;
    let reusable = match prepared.plan.as_ref().and_then(|cached| cached.made_under(planner.epoch())) {
        Some(cached) => rebase::rebase(&cached.plan, transaction)?,
        None => None,
    };
    let (plan, state) = match reusable {
        Some(plan) => (plan, Arc::new(planner.state(transaction, Default::default()))),
        None => {
            let types: Vec<Option<DataType>> = prepared.parameters.iter().cloned().map(Some).collect();
            let planned = on_query_threads(session, transaction, query.clone(), fields(&types)).await?;
            if let Some(cached) = &prepared.plan {
                let lookup = recognize(session, transaction, &planned.plan).await?;
                cached.replace(OpenPlan { plan: planned.plan.clone(), lookup, epoch: planner.epoch() });
            }
            (planned.plan, planned.state)
        }
    };
    if prepared.parameters.is_empty() {
        return Ok((plan, state));
    }
    Ok((plan.with_param_values(ParamValues::List(values))?, state))
}

/// `parameters` brought to the types that were announced for them.
fn cast_parameters(prepared: &Prepared, parameters: Vec<ScalarValue>) -> Result<Vec<ScalarValue>> {
    if parameters.len() != prepared.parameters.len() {
        return Err(Error::new(
            ErrorKind::InvalidValue,
            format!("the statement takes {} parameters, {} were given", prepared.parameters.len(), parameters.len()),
        ));
    }
    parameters
        .into_iter()
        .zip(&prepared.parameters)
        .map(
            |(value, data_type)| {
                if value.data_type() == *data_type { Ok(value) } else { Ok(value.cast_to(data_type)?) }
            },
        )
        .collect()
}

/// Columns of `plan` as clients see them.
pub(crate) fn columns(plan: &LogicalPlan) -> SchemaRef {
    names::visible(plan.schema().inner())
}
