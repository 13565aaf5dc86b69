//! The plan node that asks models: the rows of its input with a column for the answers to each call.
//!
//! It holds names, expressions and types only, so a codec needs nothing but those to send it elsewhere; who answers
//! is found where it runs.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

use super::lost;

/// A call whose answers become a column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ModelCall {
    /// Name of the function.
    pub function: Arc<str>,
    /// One for each parameter, of its type; no calls in them.
    pub arguments: Vec<Expr>,
    /// Types of the parameters.
    pub types: Vec<DataType>,
    /// Which of the arguments make the answer null when they are.
    pub required: Vec<bool>,
    /// Rows for which this is not true are not sent: their answer is null.
    pub guard: Option<Expr>,
    /// Type of the answers.
    pub result: DataType,
    /// Whether equal arguments have equal answers.
    pub is_repeatable: bool,
    /// Name of the column of answers.
    pub column: String,
}

impl fmt::Display for ModelCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments: Vec<String> = self.arguments.iter().map(ToString::to_string).collect();
        write!(f, "{}({}) AS {}", self.function, arguments.join(", "), self.column)?;
        match &self.guard {
            Some(guard) => write!(f, " WHERE {guard}"),
            None => Ok(()),
        }
    }
}

/// Asks models about the rows of its input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ModelCallNode {
    input: LogicalPlan,
    calls: Vec<ModelCall>,
    schema: DFSchemaRef,
}

impl ModelCallNode {
    pub(crate) fn try_new(input: LogicalPlan, calls: Vec<ModelCall>) -> Result<Self> {
        let below = input.schema();
        let own = below.iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)));
        let answers = calls.iter().map(|call| (None, Arc::new(Field::new(&call.column, call.result.clone(), true))));
        let schema = DFSchema::new_with_metadata(own.chain(answers).collect(), below.metadata().clone())?
            .with_functional_dependencies(below.functional_dependencies().clone())?;
        Ok(Self { input, calls, schema: Arc::new(schema) })
    }

    pub(crate) fn calls(&self) -> &[ModelCall] {
        &self.calls
    }
}

impl PartialOrd for ModelCallNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for ModelCallNode {
    fn name(&self) -> &str {
        "ModelCall"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.calls.iter().flat_map(|call| call.arguments.iter().chain(&call.guard)).cloned().collect()
    }

    /// Conditions on answers stay above; conditions on anything else go below, so that fewer rows are sent.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        self.calls.iter().map(|call| call.column.clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls: Vec<String> = self.calls.iter().map(ToString::to_string).collect();
        write!(f, "ModelCall: {}", calls.join(", "))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut exprs = exprs.into_iter();
        let mut next = || exprs.next().ok_or_else(|| lost("an expression"));
        let mut calls = self.calls.clone();
        for call in &mut calls {
            for argument in &mut call.arguments {
                *argument = next()?;
            }
            if let Some(guard) = &mut call.guard {
                *guard = next()?;
            }
        }
        Self::try_new(inputs.pop().ok_or_else(|| lost("its input"))?, calls)
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let below = self.input.schema();
        let mut needed: Vec<usize> =
            output_columns.iter().copied().filter(|index| *index < below.fields().len()).collect();
        for expr in self.expressions() {
            needed.extend(expr.column_refs().into_iter().filter_map(|column| below.maybe_index_of_column(column)));
        }
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }
}
