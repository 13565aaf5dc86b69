//! The functions of `pg_catalog`: about the session, about objects by their ids, and about privileges.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, ListBuilder, StringArray, StringBuilder,
    UInt32Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type};
use datafusion::catalog::TableFunctionImpl;
use datafusion::error::Result;
use datafusion::logical_expr::{ScalarUDF, Volatility};
use datafusion_pg_catalog::pg_catalog as postgres;

use super::database::role_names;
use super::indexes::{indexes, primary_keys};
use super::oids::{INFORMATION_SCHEMA, PG_CATALOG, PG_CLASS, PUBLIC};
use super::procedures::procedure_oid;
use super::relations::{comments, relation_oid};
use super::{CatalogFacts, Relation};
use crate::sql::functions::Function;
use crate::{Error, ErrorKind};

const TEXT: DataType = DataType::Utf8;

/// Table functions that catalogue queries call.
pub(crate) fn table_functions() -> Result<Vec<(&'static str, Arc<dyn TableFunctionImpl>)>> {
    let keywords = Arc::clone(&super::schema::postgres()?.pg_get_keywords);
    Ok(vec![("pg_get_keywords", keywords)])
}

/// Every function of `pg_catalog`, for one session.
pub(crate) fn functions(facts: &Arc<dyn CatalogFacts>) -> Vec<ScalarUDF> {
    let shared = [
        postgres::format_type::create_format_type_udf(),
        postgres::pg_get_expr_udf::create_pg_get_expr_udf(),
        postgres::create_pg_encoding_to_char_udf(),
        postgres::quote_ident_udf::create_quote_ident_udf(),
        postgres::quote_ident_udf::create_parse_ident_udf(),
        postgres::array_bounds_udf::create_array_upper_udf(),
        postgres::array_bounds_udf::create_array_lower_udf(),
    ];
    let mut functions = Vec::from(shared);
    functions.extend(session_functions(facts));
    functions.extend(object_functions(facts));
    functions.extend(privilege_functions());
    functions.extend(visibility_functions());
    functions
}

/// A function without arguments that gives one text.
fn constant(name: &'static str, value: String) -> ScalarUDF {
    Function::exact(name, &[], TEXT, Volatility::Stable, move |_, rows| {
        Ok(Arc::new(StringArray::from(vec![value.clone(); rows])))
    })
}

fn session_functions(facts: &Arc<dyn CatalogFacts>) -> Vec<ScalarUDF> {
    let process_id = facts.process_id();
    let read = Arc::clone(facts);
    let write = Arc::clone(facts);
    vec![
        constant("current_database", facts.database()),
        constant("current_catalog", facts.database()),
        constant("current_schema", "public".to_owned()),
        constant("current_user", facts.user()),
        constant("session_user", facts.user()),
        constant("user", facts.user()),
        constant("current_role", facts.user()),
        Function::exact("current_schemas", &[DataType::Boolean], text_list(), Volatility::Stable, |arguments, rows| {
            let implicit = argument(arguments, 0)?;
            let implicit = implicit.as_boolean();
            let mut builder = ListBuilder::new(StringBuilder::new());
            for row in 0..rows {
                if implicit.is_valid(row) && implicit.value(row) {
                    builder.values().append_value("pg_catalog");
                }
                builder.values().append_value("public");
                builder.append(true);
            }
            Ok(Arc::new(builder.finish()))
        }),
        Function::exact("pg_backend_pid", &[], DataType::Int32, Volatility::Stable, move |_, rows| {
            Ok(Arc::new(Int32Array::from(vec![process_id; rows])))
        }),
        Function::one_of(
            "current_setting",
            &[&[TEXT], &[TEXT, DataType::Boolean]],
            TEXT,
            Volatility::Stable,
            move |arguments, _| current_setting(read.as_ref(), arguments),
        ),
        Function::exact(
            "set_config",
            &[TEXT, TEXT, DataType::Boolean],
            TEXT,
            Volatility::Volatile,
            move |arguments, rows| set_config(write.as_ref(), arguments, rows),
        ),
        of_session("pg_cancel_backend", facts, |facts, process_id| facts.cancel(process_id)),
        of_session("pg_terminate_backend", facts, |facts, process_id| facts.terminate(process_id)),
        // There are no advisory locks to release; connection pools ask for it on every return.
        Function::exact("pg_advisory_unlock_all", &[], TEXT, Volatility::Volatile, |_, rows| {
            Ok(arrow::array::new_null_array(&TEXT, rows))
        }),
        Function::exact("pg_is_in_recovery", &[], DataType::Boolean, Volatility::Stable, |_, rows| {
            Ok(Arc::new(BooleanArray::from(vec![false; rows])))
        }),
    ]
}

/// A function that does something to the session of a given number, and answers whether there is one.
fn of_session(
    name: &'static str,
    facts: &Arc<dyn CatalogFacts>,
    act: fn(&dyn CatalogFacts, i32) -> crate::Result<bool>,
) -> ScalarUDF {
    let facts = Arc::clone(facts);
    Function::exact(name, &[DataType::Int64], DataType::Boolean, Volatility::Volatile, move |arguments, _| {
        let numbers = oids_of(arguments, 0)?;
        let numbers = numbers.iter();
        let done = numbers.map(|number| number.map(|number| act(facts.as_ref(), number)).transpose());
        Ok(Arc::new(done.collect::<crate::Result<BooleanArray>>()?))
    })
}

fn current_setting(facts: &dyn CatalogFacts, arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let names = argument(arguments, 0)?;
    let missing_ok = arguments.get(1).map(|flags| flags.as_boolean().clone());
    let values = names
        .as_string::<i32>()
        .iter()
        .enumerate()
        .map(|(row, name)| {
            let Some(name) = name else { return Ok(None) };
            match facts.setting(name).or_else(|| fixed_setting(name)) {
                Some(value) => Ok(Some(value)),
                None if missing_ok.as_ref().is_some_and(|flags| flags.is_valid(row) && flags.value(row)) => Ok(None),
                None => Err(Error::new(
                    ErrorKind::UndefinedObject,
                    format!("unrecognized configuration parameter \"{name}\""),
                )
                .into()),
            }
        })
        .collect::<Result<StringArray>>()?;
    Ok(Arc::new(values))
}

/// Settings of Postgres that have one value here.
fn fixed_setting(name: &str) -> Option<String> {
    let value = match name {
        "default_table_access_method" => "heap",
        "jit" => "off",
        "server_encoding" => "UTF8",
        "server_version_num" => "160004",
        "integer_datetimes" => "on",
        "block_size" => "8192",
        _ => return None,
    };
    Some(value.to_owned())
}

fn set_config(facts: &dyn CatalogFacts, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let (names, values) = (argument(arguments, 0)?, argument(arguments, 1)?);
    let (names, values) = (names.as_string::<i32>(), values.as_string::<i32>());
    for row in 0..rows {
        if names.is_valid(row) && values.is_valid(row) {
            facts.set(names.value(row), values.value(row))?;
        }
    }
    argument(arguments, 1)
}

/// Functions that look something up by object id. They ask for the facts when they run: most
/// statements call none of them.
fn object_functions(facts: &Arc<dyn CatalogFacts>) -> Vec<ScalarUDF> {
    let none: Lookup = |_| HashMap::new();
    let mut functions = vec![
        by_oid("pg_get_userbyid", &[1], facts, |facts| role_names(facts).into_iter().collect()),
        by_oid("pg_get_viewdef", &[1, 2], facts, view_definitions),
        index_definition(facts),
        by_name("to_regclass", facts, |facts| {
            facts.relations().iter().map(|relation| (relation.name.clone(), relation_oid(relation))).collect()
        }),
        by_name("to_regtype", facts, |_| super::types::by_internal_name()),
        Function::any("pg_get_serial_sequence", &[2], TEXT, Volatility::Stable, |_, rows| {
            Ok(arrow::array::new_null_array(&TEXT, rows))
        }),
        super::indexes::expand_array(),
        by_oid("pg_get_constraintdef", &[1, 2], facts, |facts| {
            primary_keys(&facts.relations()).iter().map(|key| (key.constraint, key.constraint_definition())).collect()
        }),
        by_oid("pg_get_function_arguments", &[1], facts, function_arguments),
        by_oid("pg_get_function_identity_arguments", &[1], facts, function_arguments),
        by_oid("pg_get_function_result", &[1], facts, |facts| {
            facts
                .functions()
                .iter()
                .map(|function| (procedure_oid(function), function.result.clone().into_owned()))
                .collect()
        }),
        by_oid("shobj_description", &[1, 2], facts, none),
        by_oid("pg_get_ruledef", &[1, 2], facts, none),
        by_oid("pg_get_triggerdef", &[1, 2], facts, none),
        by_oid("pg_get_function_sqlbody", &[1], facts, none),
        by_oid("pg_get_functiondef", &[1], facts, none),
        by_oid("pg_get_partkeydef", &[1], facts, none),
        by_oid("pg_get_statisticsobjdef_columns", &[1], facts, none),
        output("regclassout", facts, relation_names),
        output("regtypeout", facts, |_| super::types::display_names()),
        output("regnamespaceout", facts, |_| namespaces()),
        output("regroleout", facts, |facts| role_names(facts).into_iter().collect()),
        output("regprocout", facts, |facts| {
            facts.functions().iter().map(|function| (procedure_oid(function), function.name().to_owned())).collect()
        }),
        Function::any("pg_partition_ancestors", &[1], DataType::UInt32, Volatility::Stable, |_, rows| {
            Ok(arrow::array::new_null_array(&DataType::UInt32, rows))
        }),
        Function::any("pg_stat_get_numscans", &[1], DataType::Int64, Volatility::Stable, |_, rows| {
            Ok(Arc::new(Int64Array::from(vec![0; rows])))
        }),
        comment_function("obj_description", facts),
        comment_function("col_description", facts),
    ];
    for name in ["pg_table_size", "pg_relation_size", "pg_total_relation_size", "pg_indexes_size"] {
        functions.push(size_function(name, facts));
    }
    let facts = Arc::clone(facts);
    functions.push(Function::any("pg_database_size", &[1], DataType::Int64, Volatility::Stable, move |_, rows| {
        let total: i64 = facts.relations().iter().map(bytes_of).sum();
        Ok(Arc::new(Int64Array::from(vec![total; rows])))
    }));
    functions
}

/// `pg_get_indexdef(index [, column, pretty])`: the statement that made it, or the name of a column.
fn index_definition(facts: &Arc<dyn CatalogFacts>) -> ScalarUDF {
    let facts = Arc::clone(facts);
    Function::any("pg_get_indexdef", &[1, 2, 3], TEXT, Volatility::Stable, move |arguments, rows| {
        let relations = facts.relations();
        let known = indexes(&relations);
        let asked = oids_of(arguments, 0)?;
        let columns = if arguments.len() > 1 { Some(oids_of(arguments, 1)?) } else { None };
        let define = |row: usize| {
            let oid = asked.is_valid(row).then(|| asked.value(row))?;
            let index = known.iter().find(|index| index.oid == oid)?;
            match columns.as_ref().map_or(0, |columns| columns.value(row)) {
                0 => Some(index.definition.clone()),
                column => index.column(usize::try_from(column).ok()?),
            }
        };
        Ok(Arc::new((0..rows).map(define).collect::<StringArray>()))
    })
}

/// A function that gives the object id of a name, null for a name nobody has.
fn by_name(
    name: &'static str,
    facts: &Arc<dyn CatalogFacts>,
    lookup: fn(&dyn CatalogFacts) -> HashMap<String, i32>,
) -> ScalarUDF {
    let facts = Arc::clone(facts);
    Function::exact(name, &[TEXT], DataType::UInt32, Volatility::Stable, move |arguments, _| {
        let oids = lookup(facts.as_ref());
        let names = argument(arguments, 0)?;
        let bare = |name: &str| name.rsplit('.').next().unwrap_or(name).trim_matches('"').to_owned();
        let found = names.as_string::<i32>().iter().map(|name| oids.get(&bare(name?)).map(|oid| oid.unsigned_abs()));
        Ok(Arc::new(found.collect::<UInt32Array>()))
    })
}

/// Texts by object id.
type Lookup = fn(&dyn CatalogFacts) -> HashMap<i32, String>;

fn view_definitions(facts: &dyn CatalogFacts) -> HashMap<i32, String> {
    let relations = facts.relations();
    relations.iter().filter_map(|relation| Some((relation_oid(relation), relation.definition.clone()?))).collect()
}

fn function_arguments(facts: &dyn CatalogFacts) -> HashMap<i32, String> {
    facts.functions().iter().map(|function| (procedure_oid(function), function.arguments())).collect()
}

fn bytes_of(relation: &Relation) -> i64 {
    i64::try_from(relation.bytes).unwrap_or(i64::MAX)
}

fn size_function(name: &'static str, facts: &Arc<dyn CatalogFacts>) -> ScalarUDF {
    let facts = Arc::clone(facts);
    Function::any(name, &[1, 2], DataType::Int64, Volatility::Stable, move |arguments, _| {
        let sizes: HashMap<i32, i64> =
            facts.relations().iter().map(|relation| (relation_oid(relation), bytes_of(relation))).collect();
        let oids = oids_of(arguments, 0)?;
        let found: Int64Array = oids.iter().map(|oid| sizes.get(&oid?).copied().or(Some(0))).collect();
        Ok(Arc::new(found))
    })
}

/// A function that gives a text for the object id in its first argument, null for others.
fn by_oid(name: &'static str, counts: &[usize], facts: &Arc<dyn CatalogFacts>, lookup: Lookup) -> ScalarUDF {
    let facts = Arc::clone(facts);
    Function::any(name, counts, TEXT, Volatility::Stable, move |arguments, _| {
        let texts = lookup(facts.as_ref());
        let found: StringArray = oids_of(arguments, 0)?.iter().map(|oid| texts.get(&oid?).cloned()).collect();
        Ok(Arc::new(found))
    })
}

/// The output function of an alias type of `oid`: the object's name, the number where it has none, `-` for zero.
fn output(name: &'static str, facts: &Arc<dyn CatalogFacts>, lookup: Lookup) -> ScalarUDF {
    let facts = Arc::clone(facts);
    Function::any(name, &[1], TEXT, Volatility::Stable, move |arguments, _| {
        let names = lookup(facts.as_ref());
        let shown = |oid: i32| match oid {
            0 => "-".to_owned(),
            oid => names.get(&oid).cloned().unwrap_or_else(|| oid.to_string()),
        };
        let found: StringArray = oids_of(arguments, 0)?.iter().map(|oid| oid.map(shown)).collect();
        Ok(Arc::new(found))
    })
}

fn relation_names(facts: &dyn CatalogFacts) -> HashMap<i32, String> {
    super::relations::class_names(&facts.relations()).into_iter().collect()
}

fn namespaces() -> HashMap<i32, String> {
    let names = [(PG_CATALOG, "pg_catalog"), (PUBLIC, "public"), (INFORMATION_SCHEMA, "information_schema")];
    names.into_iter().map(|(oid, name)| (oid, name.to_owned())).collect()
}

/// `obj_description(oid [, catalogue])` and `col_description(table, column)`.
fn comment_function(name: &'static str, facts: &Arc<dyn CatalogFacts>) -> ScalarUDF {
    let by_column = name == "col_description";
    let facts = Arc::clone(facts);
    Function::any(name, &[1, 2], TEXT, Volatility::Stable, move |arguments, rows| {
        let found: HashMap<(i32, i32), String> = comments(facts.as_ref())
            .into_iter()
            .filter(|comment| !by_column || comment.1 == PG_CLASS)
            .map(|(object, _, column, text)| ((object, column), text))
            .collect();
        let objects = oids_of(arguments, 0)?;
        let columns = if by_column { Some(oids_of(arguments, 1)?) } else { None };
        let texts = (0..rows).map(|row| {
            let column = columns.as_ref().map_or(0, |columns| columns.value(row));
            objects.is_valid(row).then(|| found.get(&(objects.value(row), column)).cloned()).flatten()
        });
        Ok(Arc::new(texts.collect::<StringArray>()))
    })
}

/// Whoever is let in may read and write; what is refused is refused when it is tried.
fn privilege_functions() -> Vec<ScalarUDF> {
    [
        "has_table_privilege",
        "has_schema_privilege",
        "has_database_privilege",
        "has_column_privilege",
        "has_any_column_privilege",
        "has_function_privilege",
        "has_sequence_privilege",
        "has_tablespace_privilege",
        "pg_has_role",
    ]
    .into_iter()
    .map(|name| {
        Function::any(name, &[2, 3, 4], DataType::Boolean, Volatility::Stable, |_, rows| {
            Ok(Arc::new(BooleanArray::from(vec![true; rows])))
        })
    })
    .collect()
}

/// With one schema on the path, everything is visible.
fn visibility_functions() -> Vec<ScalarUDF> {
    [
        "pg_table_is_visible",
        "pg_function_is_visible",
        "pg_type_is_visible",
        "pg_operator_is_visible",
        "pg_opclass_is_visible",
        "pg_collation_is_visible",
        "pg_relation_is_publishable",
    ]
    .into_iter()
    .map(|name| {
        Function::any(name, &[1], DataType::Boolean, Volatility::Stable, |_, rows| {
            Ok(Arc::new(BooleanArray::from(vec![true; rows])))
        })
    })
    .chain([Function::exact("pg_my_temp_schema", &[], DataType::UInt32, Volatility::Stable, |_, rows| {
        Ok(Arc::new(UInt32Array::from(vec![0; rows])))
    })])
    .collect()
}

fn text_list() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

fn argument(arguments: &[ArrayRef], index: usize) -> Result<ArrayRef> {
    arguments
        .get(index)
        .cloned()
        .ok_or_else(|| Error::new(ErrorKind::UndefinedFunction, format!("argument {} is missing", index + 1)).into())
}

/// An argument that is an object id, given as any kind of number or as its digits.
fn oids_of(arguments: &[ArrayRef], index: usize) -> Result<Int32Array> {
    // A name where an id should be (`pg_database_size('latentdb')`) is no id: null, not an error.
    Ok(cast(&argument(arguments, index)?, &DataType::Int32)?.as_primitive::<Int32Type>().clone())
}
