//! Plans a call in `FROM` as a pipeline over one row: project the list, unnest it, name its columns.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, NullHandling, UnnestOptions};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::core::expr_fn::get_field;
use datafusion::functions_nested::expr_fn::make_array;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col};
use datafusion::sql::sqlparser::ast::{
    self, FunctionArg, FunctionArgExpr, Ident, ObjectName, TableAlias, TableAliasColumnDef, TableFactor,
};

use super::arguments::{bind, function_name};
use super::ordinality::ordinals;
use super::registry::{FunctionDefinition, Functions};
use crate::{Error, ErrorKind};

/// The planner for calls in `FROM` to the functions of `functions`, and to `unnest`.
pub(crate) fn planner(functions: Arc<Functions>) -> Arc<dyn RelationPlanner> {
    Arc::new(CallPlanner { functions })
}

#[derive(Debug)]
struct CallPlanner {
    functions: Arc<Functions>,
}

/// A call in `FROM`, whichever way the parser wrote it down.
struct Call {
    name: String,
    arguments: Vec<FunctionArg>,
    with_ordinality: bool,
    alias: Option<TableAlias>,
}

impl Call {
    fn read(factor: &TableFactor) -> Option<Self> {
        match factor {
            TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_ordinality, .. } => Some(Self {
                name: "unnest".to_owned(),
                arguments: array_exprs.iter().cloned().map(unnamed).collect(),
                with_ordinality: *with_ordinality,
                alias: alias.clone(),
            }),
            TableFactor::Function { name, args, with_ordinality, alias, .. } => {
                Self::named(name, args, *with_ordinality, alias)
            }
            TableFactor::Table { name, args: Some(arguments), with_ordinality, alias, .. } => {
                Self::named(name, &arguments.args, *with_ordinality, alias)
            }
            _ => None,
        }
    }

    fn named(
        name: &ObjectName,
        arguments: &[FunctionArg],
        with_ordinality: bool,
        alias: &Option<TableAlias>,
    ) -> Option<Self> {
        let name = function_name(name)?;
        Some(Self { name, arguments: arguments.to_vec(), with_ordinality, alias: alias.clone() })
    }
}

impl RelationPlanner for CallPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let Some(call) = Call::read(&relation) else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        if call.name == "unnest" {
            let lists = plan_positional(&call.arguments, context)?;
            return planned(call, lists);
        }
        if let Some(function) = self.functions.get(&call.name).filter(|function| gives_record(function)) {
            let arguments = plan_arguments(&function, call.arguments.clone(), context)?;
            return planned(call, vec![make_array(vec![function.scalar.call(arguments)])]);
        }
        if let Some(function) = self.functions.get(&call.name).filter(|function| function.gives_rows) {
            let arguments = plan_arguments(&function, call.arguments.clone(), context)?;
            if is_streamed_series(&call.name, &arguments) {
                return streamed_series(call, arguments, context);
            }
            let list = function.scalar.call(arguments);
            return planned(call, vec![list]);
        }
        plan_scalar_in_from(call, relation, context)
    }
}

/// Whether a function gives one record, whose fields are columns in `FROM`: a list of one row.
fn gives_record(function: &FunctionDefinition) -> bool {
    !function.gives_rows && function.result == "record"
}

/// A function that is no table function gives one row, as in Postgres: `SELECT * FROM version()`.
fn plan_scalar_in_from(
    call: Call,
    relation: TableFactor,
    context: &mut dyn RelationPlannerContext,
) -> Result<RelationPlanning> {
    let Some(function) = context.context_provider().get_function_meta(&call.name) else {
        return Ok(RelationPlanning::Original(Box::new(relation)));
    };
    let arguments = plan_positional(&call.arguments, context)?;
    if context.context_provider().get_table_function_source(&call.name, arguments.clone()).is_ok() {
        return Ok(RelationPlanning::Original(Box::new(relation)));
    }
    let plan =
        LogicalPlanBuilder::empty(true).project([function.call(arguments).alias(call.name.as_str())])?.build()?;
    let alias = alias_of(&call, &plan, true);
    Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, Some(alias)))))
}

fn unnamed(argument: ast::Expr) -> FunctionArg {
    FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))
}

fn plan_positional(arguments: &[FunctionArg], context: &mut dyn RelationPlannerContext) -> Result<Vec<Expr>> {
    let schema = DFSchema::empty();
    arguments
        .iter()
        .map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => context.sql_to_expr(expr.clone(), &schema),
            other => Err(Error::new(ErrorKind::UndefinedFunction, format!("there is no option {other} here")).into()),
        })
        .collect()
}

/// Plans the arguments of a known function; parameters (`$1`) get the type that the function declares.
fn plan_arguments(
    function: &FunctionDefinition,
    arguments: Vec<FunctionArg>,
    context: &mut dyn RelationPlannerContext,
) -> Result<Vec<Expr>> {
    let schema = DFSchema::empty();
    let bound = bind(function, arguments)?;
    bound
        .into_iter()
        .zip(function.parameters.iter())
        .map(|(argument, parameter)| {
            let expr = context.sql_to_expr(argument, &schema)?;
            Ok(match expr {
                Expr::Placeholder(Placeholder { id, field: None }) => {
                    let field = parameter
                        .data_type()
                        .map(|data_type| Arc::new(arrow::datatypes::Field::new("", data_type, true)));
                    Expr::Placeholder(Placeholder { id, field })
                }
                other => other,
            })
        })
        .collect()
}

/// A series between integer constants is left to DataFusion, which streams it however long it is.
fn is_streamed_series(name: &str, arguments: &[Expr]) -> bool {
    name == "generate_series"
        && arguments
            .iter()
            .all(|argument| matches!(argument, Expr::Literal(value, _) if value.data_type().is_integer()))
}

fn streamed_series(
    call: Call,
    arguments: Vec<Expr>,
    context: &mut dyn RelationPlannerContext,
) -> Result<RelationPlanning> {
    let source = context.context_provider().get_table_function_source(&call.name, arguments)?;
    let scan = LogicalPlanBuilder::scan(call.name.as_str(), source, None)?;
    let value = scan.schema().columns().into_iter().map(Expr::Column).next().ok_or_else(no_columns)?;
    let mut outputs = vec![value.alias(call.name.as_str())];
    if call.with_ordinality {
        let first = Expr::WindowFunction(Box::new(datafusion::logical_expr::expr::WindowFunction::new(
            datafusion::functions_window::row_number::row_number_udwf(),
            vec![],
        )));
        let name = first.schema_name().to_string();
        let plan =
            scan.window([first])?.project([outputs.remove(0), col(Column::from_name(name)).alias("ordinality")])?;
        let plan = plan.build()?;
        let alias = alias_of(&call, &plan, true);
        return Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, Some(alias)))));
    }
    let plan = scan.project(outputs)?.build()?;
    let alias = alias_of(&call, &plan, true);
    Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, Some(alias)))))
}

fn no_columns() -> DataFusionError {
    Error::new(ErrorKind::Internal, "a series without a column").into()
}

fn planned(call: Call, lists: Vec<Expr>) -> Result<RelationPlanning> {
    let (plan, is_single) = unnest_lists(&call, lists)?;
    let alias = alias_of(&call, &plan, is_single);
    Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, Some(alias)))))
}

/// The rows of `lists` side by side, and whether they come to one plain column.
fn unnest_lists(call: &Call, lists: Vec<Expr>) -> Result<(LogicalPlan, bool)> {
    if lists.is_empty() {
        return Err(Error::new(ErrorKind::UndefinedFunction, format!("{} needs an argument", call.name)).into());
    }
    let mut columns: Vec<Expr> = Vec::new();
    if call.with_ordinality {
        columns.push(ordinals().call(lists.clone()));
    }
    let names: Vec<String> = (0..lists.len() + columns.len()).map(|index| format!("__list_{index}")).collect();
    // The ordinality list goes last: its column follows the function's own.
    let ordered = lists.into_iter().chain(columns);
    let projected = LogicalPlanBuilder::empty(true)
        .project(ordered.zip(&names).map(|(list, name)| list.alias(name.as_str())))?
        .build()?;
    for field in projected.schema().fields() {
        require_list(call, field.data_type())?;
    }
    let options = UnnestOptions::new().with_null_handling(NullHandling::Drop);
    let unnested = LogicalPlanBuilder::from(projected)
        .unnest_columns_with_options(names.iter().map(Column::from_name).collect(), options)?
        .build()?;
    let mut outputs = output_columns(call, &unnested);
    let is_plain =
        unnested.schema().fields().first().is_some_and(|field| !matches!(field.data_type(), DataType::Struct(_)));
    let is_single = is_plain && outputs.len() == 1 + usize::from(call.with_ordinality);
    make_distinct(&mut outputs);
    let outputs = outputs.into_iter().map(|(expr, name)| expr.alias(name));
    Ok((LogicalPlanBuilder::from(unnested).project(outputs)?.build()?, is_single))
}

fn require_list(call: &Call, data_type: &DataType) -> Result<()> {
    match data_type {
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) | DataType::ListView(_) => Ok(()),
        other => Err(Error::new(ErrorKind::TypeMismatch, format!("{} in FROM needs an array, not {other}", call.name))
            .with_hint("cast the argument, as in $1::integer[]")
            .into()),
    }
}

/// A column for each field of a struct, one for any other value.
fn output_columns(call: &Call, unnested: &LogicalPlan) -> Vec<(Expr, String)> {
    let fields = unnested.schema().fields();
    let ordinality = call.with_ordinality.then(|| fields.len().saturating_sub(1));
    let mut outputs = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        let column = col(Column::from_name(field.name()));
        match field.data_type() {
            _ if ordinality == Some(index) => outputs.push((column, "ordinality".to_owned())),
            DataType::Struct(members) => outputs.extend(
                members.iter().map(|member| (get_field(column.clone(), member.name().as_str()), member.name().clone())),
            ),
            _ => outputs.push((column, call.name.clone())),
        }
    }
    outputs
}

/// `unnest(a, b)` has two columns of one name in Postgres; a plan cannot have that.
fn make_distinct(outputs: &mut [(Expr, String)]) {
    let names: Vec<String> = outputs.iter().map(|(_, name)| name.clone()).collect();
    for (index, (_, name)) in outputs.iter_mut().enumerate() {
        let before = names.iter().take(index).filter(|other| *other == name).count();
        if before > 0 {
            *name = format!("{name}_{}", before + 1);
        }
    }
}

/// The alias of the relation, with a name for every column. As in Postgres, the only column of a
/// function that gives plain values is called as the relation is: `generate_series(1, 3) AS i`.
fn alias_of(call: &Call, plan: &LogicalPlan, is_single: bool) -> TableAlias {
    let given = call.alias.clone().unwrap_or_else(|| TableAlias {
        explicit: true,
        name: Ident::with_quote('"', &call.name),
        columns: Vec::new(),
        at: None,
    });
    let mut columns = given.columns;
    if columns.is_empty() && is_single {
        columns.push(TableAliasColumnDef { name: given.name.clone(), data_type: None });
    }
    let rest = plan.schema().fields().iter().skip(columns.len());
    columns
        .extend(rest.map(|field| TableAliasColumnDef { name: Ident::with_quote('"', field.name()), data_type: None }));
    TableAlias { columns, ..given }
}
