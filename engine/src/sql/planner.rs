//! Planning: from a syntax tree to a logical plan over one transaction's tables.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::catalog::{SchemaProvider, TableFunctionArgs};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DFSchema, ResolvedTableReference, TableReference, plan_datafusion_err};
use datafusion::datasource::provider_as_source;
use datafusion::error::Result as PlanResult;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::parser::Statement as PlannerStatement;
use datafusion::sql::planner::{NullOrdering, ParserOptions, PlannerContext, SqlToRel};
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast;

use super::catalog::{CATALOG, PUBLIC, StatementCatalogs};
use super::facts::SessionFacts;
use super::types::PostgresTypes;
use super::vars::SessionVars;
use super::{errors, lateral, parse, searching};
use crate::engine::Shared;
use crate::models::ModelUser;
use crate::pg_catalog::{self, CatalogFacts};
use crate::search::SearchSettings;
use crate::sql::command::Command;
use crate::storage::transaction::Transaction;
use crate::{Error, ErrorKind, Result};

/// Plans statements for one session under its current settings.
#[derive(Debug)]
pub(crate) struct Planner {
    shared: Arc<Shared>,
    /// Functions, rules and settings; no catalogue.
    base: SessionState,
    /// Schema `pg_catalog`.
    system: Arc<dyn SchemaProvider>,
    epoch: u64,
}

/// A plan with the state it was made in, which is also the one to run it in.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub plan: LogicalPlan,
    pub state: Arc<SessionState>,
}

impl Planner {
    /// A planner for the settings as they are now.
    pub(crate) fn new(shared: &Arc<Shared>, vars: &Arc<SessionVars>) -> Result<Arc<Self>> {
        let epoch = vars.epoch();
        let mut base = shared.base.clone();
        vars.apply(base.config_mut().options_mut())?;
        base.config_mut().set_extension(Arc::new(ModelUser(Arc::from(vars.user()))));
        base.config_mut().set_extension(Arc::new(SearchSettings {
            use_indexes: vars.is_on("latentdb.use_indexes"),
            vector_exact: vars.is_on("latentdb.vector_exact"),
            vector_ef: vars.setting("latentdb.vector_ef").and_then(|ef| ef.parse().ok()).filter(|ef| *ef > 0),
        }));
        let facts: Arc<dyn CatalogFacts> = Arc::new(SessionFacts::new(shared, vars));
        for function in pg_catalog::functions(&facts) {
            base.register_udf(Arc::new(function))?;
        }
        let system = pg_catalog::schema(facts)?;
        Ok(Arc::new(Self { shared: Arc::clone(shared), base, system, epoch }))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Schema `pg_catalog`.
    pub(crate) fn system(&self) -> &Arc<dyn SchemaProvider> {
        &self.system
    }

    /// Functions, rules and settings, without a catalogue.
    pub(crate) fn base(&self) -> &SessionState {
        &self.base
    }

    /// Which settings this planner stands for; see [`SessionVars::epoch`].
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The state that statements of `transaction` are planned and run in.
    pub(crate) fn state(
        self: &Arc<Self>,
        transaction: &Arc<Transaction>,
        pinned: HashMap<String, Arc<dyn datafusion::catalog::TableProvider>>,
    ) -> SessionState {
        let mut state = self.base.clone();
        state.register_catalog_list(StatementCatalogs::new(self, transaction, pinned));
        state.mark_start_execution();
        state
    }

    /// Plans `statement`; `hints` are types of `$1`, `$2`, … that are known.
    pub(crate) async fn plan(
        self: &Arc<Self>,
        transaction: &Arc<Transaction>,
        mut statement: ast::Statement,
        hints: &[Option<FieldRef>],
    ) -> Result<Planned> {
        searching::rewrite_statement(&mut statement, &|table| self.shared.primary_key(table))?;
        super::using::name_tables(&mut statement);
        lateral::rewrite_statement(&mut statement, &self.shared.functions)?;
        let pinned = super::versions::pin(self, transaction, &mut statement).await?;
        let state = self.state(transaction, pinned);
        let plan = plan_in(&state, statement, hints).await?;
        Ok(Planned { plan, state: Arc::new(state) })
    }

    /// Plans the query of a view.
    pub(crate) async fn plan_view(
        self: &Arc<Self>,
        transaction: &Arc<Transaction>,
        sql: &str,
    ) -> PlanResult<LogicalPlan> {
        let statement = parse::parse_one(sql)?;
        match statement.command.as_ref() {
            Command::Query(query) => {
                let planned = self.plan(transaction, query.as_ref().clone(), &[]).await;
                // A place in the view's text is none in the text of the statement that uses it.
                Ok(planned.map_err(Error::without_place)?.plan)
            }
            _ => Err(Error::new(ErrorKind::Corrupt, "a view's definition is not a query").into()),
        }
    }
}

/// Plans `statement` in `state`.
pub(crate) async fn plan_in(
    state: &SessionState,
    statement: ast::Statement,
    hints: &[Option<FieldRef>],
) -> Result<LogicalPlan> {
    let statement = PlannerStatement::Statement(Box::new(statement));
    let (references, _) = resolve_table_references(&statement, true)?;
    let mut names = Names { state, tables: HashMap::with_capacity(references.len()) };
    for reference in references {
        let resolved = reference.resolve(CATALOG, PUBLIC);
        if names.tables.contains_key(&resolved) {
            continue;
        }
        if let Ok(schema) = state.schema_for_ref(resolved.clone())
            && let Some(table) = schema.table(&resolved.table).await?
        {
            names.tables.insert(resolved, provider_as_source(table));
        }
    }
    let PlannerStatement::Statement(statement) = statement else {
        return Err(Error::new(ErrorKind::Internal, "a statement changed its kind"));
    };
    let mut context = PlannerContext::new().with_prepare_param_data_types(hints.to_vec());
    let planner = SqlToRel::new_with_options(&names, parser_options(state));
    let plan = planner.sql_statement_to_plan_with_context(*statement, &mut context)?;
    Ok(lateral::flatten(plan)?)
}

/// Plans an expression that has no columns.
pub(crate) fn expression(state: &SessionState, expr: ast::Expr) -> Result<Expr> {
    let names = Names { state, tables: HashMap::new() };
    let planner = SqlToRel::new_with_options(&names, parser_options(state));
    Ok(planner.sql_to_expr(expr, &DFSchema::empty(), &mut PlannerContext::new())?)
}

fn parser_options(state: &SessionState) -> ParserOptions {
    let options = &state.config_options().sql_parser;
    ParserOptions {
        parse_float_as_decimal: options.parse_float_as_decimal,
        enable_ident_normalization: options.enable_ident_normalization,
        enable_options_value_normalization: options.enable_options_value_normalization,
        support_varchar_with_length: options.support_varchar_with_length,
        map_string_types_to_utf8view: options.map_string_types_to_utf8view,
        collect_spans: options.collect_spans,
        default_null_ordering: NullOrdering::from(options.default_null_ordering.as_str()),
    }
}

/// What names in a statement's text stand for.
struct Names<'a> {
    state: &'a SessionState,
    tables: HashMap<ResolvedTableReference, Arc<dyn TableSource>>,
}

impl Names<'_> {
    fn undefined_table(&self, name: &ResolvedTableReference) -> Error {
        let shown =
            if &*name.schema == PUBLIC { name.table.to_string() } else { format!("{}.{}", name.schema, name.table) };
        let error = Error::new(ErrorKind::UndefinedTable, format!("relation \"{shown}\" does not exist"));
        let known = match self.state.schema_for_ref(name.clone()) {
            Ok(schema) => schema.table_names(),
            Err(_) => Vec::new(),
        };
        match errors::closest(&name.table, known.iter().map(String::as_str)) {
            Some(other) => error.with_hint(format!("perhaps you meant \"{other}\"")),
            None => error,
        }
    }
}

impl ContextProvider for Names<'_> {
    fn get_table_source(&self, name: TableReference) -> PlanResult<Arc<dyn TableSource>> {
        let name = name.resolve(CATALOG, PUBLIC);
        match self.tables.get(&name) {
            Some(table) => Ok(Arc::clone(table)),
            None => Err(self.undefined_table(&name).into()),
        }
    }

    fn get_table_function_source(&self, name: &str, args: Vec<Expr>) -> PlanResult<Arc<dyn TableSource>> {
        let Some(function) = self.state.table_functions().get(name) else {
            return Err(Error::new(ErrorKind::UndefinedFunction, format!("function {name}(…) does not exist"))
                .with_hint("\\df lists the functions")
                .into());
        };
        let context = SimplifyContext::builder()
            .with_config_options(Arc::clone(self.state.config_options()))
            .with_query_execution_start_time(self.state.execution_props().query_execution_start_time)
            .build();
        let simplifier = ExprSimplifier::new(context);
        let schema = DFSchema::empty();
        let args = args
            .into_iter()
            .map(|arg| simplifier.coerce(arg, &schema).and_then(|arg| simplifier.simplify(arg)))
            .collect::<PlanResult<Vec<_>>>()?;
        let provider = function.create_table_provider_with_args(TableFunctionArgs::new(&args, self.state))?;
        Ok(provider_as_source(provider))
    }

    fn create_cte_work_table(
        &self,
        name: &str,
        schema: arrow::datatypes::SchemaRef,
    ) -> PlanResult<Arc<dyn TableSource>> {
        let table = datafusion::datasource::cte_worktable::CteWorkTable::new(name, schema);
        Ok(provider_as_source(Arc::new(table)))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        self.state.relation_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        let zone = self.state.config_options().execution.time_zone.clone();
        Some(Arc::new(PostgresTypes { zone }))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        // Functions that were registered after this session began are in the registry only.
        let functions = self.state.config().get_extension::<lateral::Functions>();
        let registered = functions.and_then(|functions| functions.get(name));
        match registered {
            Some(function) => Some(Arc::clone(&function.scalar)),
            None => self.state.scalar_functions().get(name).cloned(),
        }
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }

    fn get_file_type(
        &self,
        extension: &str,
    ) -> PlanResult<Arc<dyn datafusion::common::file_options::file_type::FileType>> {
        Err(plan_datafusion_err!("files of type {extension} are not read or written by the planner"))
    }
}
