//! What stands for a model function in an expression until [`super::hoist`] takes the call out.
//!
//! To the planner a marker is volatile, whatever the function itself is: a volatile call is neither folded, nor
//! copied, nor pushed into scans.

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::service::ModelFunction;
use crate::sql::FunctionParameter;
use crate::{Error, ErrorKind};

/// A model function within an expression.
#[derive(Debug)]
pub(crate) struct Marker {
    function: ModelFunction,
    types: Vec<DataType>,
    signature: Signature,
}

impl Marker {
    /// The marker of `function`, as a scalar function.
    pub(crate) fn scalar(function: ModelFunction) -> crate::Result<Arc<ScalarUDF>> {
        let types = function.parameters.iter().map(data_type).collect::<crate::Result<Vec<_>>>()?;
        let signature = match types.is_empty() {
            true => Signature::nullary(Volatility::Volatile),
            false => Signature::user_defined(Volatility::Volatile),
        };
        Ok(Arc::new(ScalarUDF::new_from_impl(Self { function, types, signature })))
    }

    /// The marker that `call` calls, if it calls one.
    pub(crate) fn of(call: &ScalarFunction) -> Option<&Self> {
        let function: &dyn Any = call.func.inner().as_ref();
        function.downcast_ref()
    }

    pub(crate) fn function(&self) -> &ModelFunction {
        &self.function
    }

    /// Types of the parameters.
    pub(crate) fn types(&self) -> &[DataType] {
        &self.types
    }

    /// Whether equal calls have equal answers.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.function.volatility != Volatility::Volatile
    }
}

/// Whether a model is called anywhere in `expr`, subqueries aside.
pub(crate) fn holds_call(expr: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    expr.exists(|node| Ok(matches!(node, Expr::ScalarFunction(call) if Marker::of(call).is_some()))).unwrap_or(false)
}

fn data_type(parameter: &FunctionParameter) -> crate::Result<DataType> {
    parameter.data_type().ok_or_else(|| {
        Error::new(
            ErrorKind::Internal,
            format!("parameter {} is of unknown type {}", parameter.name, parameter.sql_type),
        )
    })
}

/// Whether Postgres would take a value of type `given` for a `wanted` without being told to. Constants come as the
/// widest type of their kind, so widths do not count.
fn is_taken(given: &DataType, wanted: &DataType) -> bool {
    use DataType::{FixedSizeList, LargeList, LargeUtf8, List, Null, Utf8, Utf8View};
    match (given, wanted) {
        (Null, _) => true,
        (Utf8 | LargeUtf8 | Utf8View, Utf8) => true,
        (List(given) | LargeList(given) | FixedSizeList(given, _), List(wanted)) => {
            is_taken(given.data_type(), wanted.data_type())
        }
        (given, wanted) if wanted.is_integer() => given.is_integer(),
        (given, wanted) if wanted.is_floating() => given.is_numeric(),
        (given, wanted) => given == wanted,
    }
}

impl PartialEq for Marker {
    fn eq(&self, other: &Self) -> bool {
        self.function == other.function
    }
}

impl Eq for Marker {}

impl Hash for Marker {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
        self.types.hash(state);
    }
}

impl ScalarUDFImpl for Marker {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.function.result.clone())
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let name = self.function.name;
        let parameters: Vec<String> = self.function.parameters.iter().map(ToString::to_string).collect();
        let hint = || format!("call it as {name}({})", parameters.join(", "));
        if given.len() != self.types.len() {
            let problem = format!("function {name} takes {} arguments, {} were given", self.types.len(), given.len());
            return Err(Error::new(ErrorKind::UndefinedFunction, problem).with_hint(hint()).into());
        }
        for ((given, wanted), parameter) in given.iter().zip(&self.types).zip(&self.function.parameters) {
            if !is_taken(given, wanted) {
                let problem = format!("function {name}: \"{}\" is {}, not {given}", parameter.name, parameter.sql_type);
                return Err(Error::new(ErrorKind::UndefinedFunction, problem).with_hint(hint()).into());
            }
        }
        Ok(self.types.clone())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let message = format!("{} was called where no model can be asked", self.function.name);
        Err(Error::new(ErrorKind::Internal, message).with_hint("put the call into a subquery of its own").into())
    }
}
