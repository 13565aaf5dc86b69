//! The functions that may be called with named options, and those of them that may stand in `FROM`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, RwLock};

use arrow::datatypes::DataType;
use datafusion::logical_expr::ScalarUDF;

/// A parameter of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionParameter {
    /// Name, as in `name => value`.
    pub name: &'static str,
    /// Type, by its Postgres name.
    pub sql_type: &'static str,
    /// Value where none is given, as an SQL expression; `None` if one must be given.
    pub default: Option<&'static str>,
    /// What it means, with units and shape.
    pub doc: &'static str,
}

impl FunctionParameter {
    /// A parameter that must be given.
    pub const fn required(name: &'static str, sql_type: &'static str, doc: &'static str) -> Self {
        Self { name, sql_type, default: None, doc }
    }

    /// A parameter that may be left out.
    pub const fn optional(
        name: &'static str,
        sql_type: &'static str,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self { name, sql_type, default: Some(default), doc }
    }

    /// Its Arrow type, for the types whose name says all.
    pub fn data_type(&self) -> Option<DataType> {
        let element = |data_type| Some(DataType::new_list(data_type, true));
        match self.sql_type {
            "text" => Some(DataType::Utf8),
            "integer" => Some(DataType::Int32),
            "bigint" => Some(DataType::Int64),
            "real" => Some(DataType::Float32),
            "double precision" => Some(DataType::Float64),
            "boolean" => Some(DataType::Boolean),
            "text[]" => element(DataType::Utf8),
            "integer[]" => element(DataType::Int32),
            "bigint[]" => element(DataType::Int64),
            "real[]" => element(DataType::Float32),
            "double precision[]" => element(DataType::Float64),
            "boolean[]" => element(DataType::Boolean),
            _ => None,
        }
    }
}

/// As messages and `\df` show it: `k integer DEFAULT 10`.
impl fmt::Display for FunctionParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.sql_type)?;
        match self.default {
            Some(default) => write!(f, " DEFAULT {default}"),
            None => Ok(()),
        }
    }
}

/// A function with named parameters.
#[derive(Debug, Clone)]
pub(crate) struct FunctionDefinition {
    /// The function itself. One that gives rows returns a list: of structs, one field a column, or of
    /// plain values, for a single column.
    pub scalar: Arc<ScalarUDF>,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Parameters in order.
    pub parameters: Cow<'static, [FunctionParameter]>,
    /// Whether it gives rows when it stands in `FROM`.
    pub gives_rows: bool,
    /// Type of the result, by its Postgres name.
    pub result: Cow<'static, str>,
}

impl FunctionDefinition {
    /// Name of the function.
    pub(crate) fn name(&self) -> &str {
        self.scalar.name()
    }

    /// The call's form, as messages and `\df` show it: `top_logits(tokens text[], k integer DEFAULT 10)`.
    pub(crate) fn arguments(&self) -> String {
        let parameters: Vec<String> = self.parameters.iter().map(ToString::to_string).collect();
        parameters.join(", ")
    }
}

/// All functions with named parameters, by name. Shared by the sessions of an engine; functions may be
/// added while sessions run.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    by_name: RwLock<BTreeMap<String, Arc<FunctionDefinition>>>,
}

impl Functions {
    /// Adds a function, or replaces the one of the same name.
    pub(crate) fn register(&self, function: FunctionDefinition) {
        let mut by_name = self.by_name.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        by_name.insert(function.name().to_owned(), Arc::new(function));
    }

    /// The function called `name`.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<FunctionDefinition>> {
        let by_name = self.by_name.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        by_name.get(name).cloned()
    }

    /// Every function, by name.
    pub(crate) fn all(&self) -> Vec<Arc<FunctionDefinition>> {
        let by_name = self.by_name.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        by_name.values().cloned().collect()
    }
}
