//! Primary keys, as Postgres shows them: an index and a constraint each; and indexes of words and vectors.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int16Builder, Int32Builder, ListArray, StructArray, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Int16Type};
use datafusion::catalog::TableProvider;
use datafusion::error::Result;
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::columns::Columns;
use super::oids::{self, PUBLIC, oid};
use super::relations::relation_oid;
use super::{Build, CatalogFacts, Relation};
use crate::sql::functions::Function;

/// A primary key.
pub(super) struct PrimaryKey<'a> {
    pub(super) relation: &'a Relation,
    /// Object id of the index.
    pub(super) index: i32,
    /// Object id of the constraint.
    pub(super) constraint: i32,
    /// Name of both.
    pub(super) name: String,
    /// Numbers of the columns, from 1.
    pub(super) columns: Vec<i16>,
}

impl PrimaryKey<'_> {
    /// `PRIMARY KEY (a, b)`.
    pub(super) fn constraint_definition(&self) -> String {
        format!("PRIMARY KEY ({})", self.relation.primary_key.join(", "))
    }

    /// `CREATE UNIQUE INDEX …`.
    pub(super) fn index_definition(&self) -> String {
        let columns = self.relation.primary_key.join(", ");
        format!("CREATE UNIQUE INDEX {} ON public.{} USING btree ({columns})", self.name, self.relation.name)
    }
}

pub(super) fn primary_keys(relations: &[Relation]) -> Vec<PrimaryKey<'_>> {
    relations
        .iter()
        .filter(|relation| !relation.primary_key.is_empty())
        .map(|relation| PrimaryKey {
            index: oid("primary key index", &relation.id),
            constraint: oid("primary key", &relation.id),
            name: format!("{}_pkey", relation.name),
            columns: relation
                .primary_key
                .iter()
                .filter_map(|name| relation.schema.index_of(name).ok())
                .map(|position| position as i16 + 1)
                .collect(),
            relation,
        })
        .collect()
}

/// An index, of a key or of a column.
pub(super) struct ShownIndex<'a> {
    pub(super) relation: &'a Relation,
    pub(super) oid: i32,
    pub(super) name: String,
    /// Numbers of the columns, from 1.
    pub(super) columns: Vec<i16>,
    pub(super) is_key: bool,
    pub(super) is_ready: bool,
    /// How far its build is, while it is built.
    pub(super) build: Option<Build>,
    /// `CREATE INDEX …`.
    pub(super) definition: String,
}

impl ShownIndex<'_> {
    /// Name of a column, counted from 1.
    pub(super) fn column(&self, number: usize) -> Option<String> {
        let position = usize::try_from(*self.columns.get(number.checked_sub(1)?)?).ok()?.checked_sub(1)?;
        self.relation.schema.fields().get(position).map(|field| field.name().clone())
    }
}

/// All indexes.
pub(super) fn indexes(relations: &[Relation]) -> Vec<ShownIndex<'_>> {
    let keys = primary_keys(relations).into_iter().map(|key| ShownIndex {
        oid: key.index,
        definition: key.index_definition(),
        relation: key.relation,
        name: key.name,
        columns: key.columns,
        is_key: true,
        is_ready: true,
        build: None,
    });
    let others = relations.iter().flat_map(|relation| {
        relation.indexes.iter().map(move |index| ShownIndex {
            relation,
            oid: oid("index", &format!("{}/{}", relation.id, index.name)),
            name: index.name.clone(),
            columns: relation.schema.index_of(&index.column).map(|position| position as i16 + 1).into_iter().collect(),
            is_key: false,
            is_ready: index.is_ready,
            build: index.build,
            definition: index.definition.clone(),
        })
    });
    keys.chain(others).collect()
}

pub(super) fn pg_index(facts: &dyn CatalogFacts) -> Result<Arc<dyn TableProvider>> {
    let relations = facts.relations();
    let all = indexes(&relations);
    Columns::new(all.len())
        .oids("indexrelid", "regclass", all.iter().map(|index| index.oid))
        .oids("indrelid", "regclass", all.iter().map(|index| relation_oid(index.relation)))
        .int2("indnatts", all.iter().map(|index| index.columns.len() as i16))
        .int2("indnkeyatts", all.iter().map(|index| index.columns.len() as i16))
        .bools("indisunique", all.iter().map(|index| index.is_key))
        .all_bools("indnullsnotdistinct", false)
        .bools("indisprimary", all.iter().map(|index| index.is_key))
        .all_bools("indisexclusion", false)
        .all_bools("indimmediate", true)
        .all_bools("indisclustered", false)
        .bools("indisvalid", all.iter().map(|index| index.is_ready))
        .all_bools("indcheckxmin", false)
        .all_bools("indisready", true)
        .all_bools("indislive", true)
        .all_bools("indisreplident", false)
        .numbers("indkey", all.iter().map(|index| index.columns.clone()))
        .numbers("indcollation", all.iter().map(|index| vec![0; index.columns.len()]))
        .numbers("indclass", all.iter().map(|index| vec![0; index.columns.len()]))
        .numbers("indoption", all.iter().map(|index| vec![0; index.columns.len()]))
        .null_texts("indexprs")
        .null_texts("indpred")
        .table()
}

/// Builds under way, as `CREATE INDEX` and the upkeep go on with them.
pub(super) fn pg_stat_progress_create_index(facts: &dyn CatalogFacts) -> Result<Arc<dyn TableProvider>> {
    let relations = facts.relations();
    let database = facts.database();
    let built: Vec<_> = indexes(&relations).into_iter().filter_map(|index| Some((index.build?, index))).collect();
    Columns::new(built.len())
        .all_int4("pid", facts.process_id())
        .all_oids("datid", "oid", oids::database(&database))
        .all_texts("datname", &database)
        .oids("relid", "regclass", built.iter().map(|(_, index)| relation_oid(index.relation)))
        .oids("index_relid", "regclass", built.iter().map(|(_, index)| index.oid))
        .texts("index_name", built.iter().map(|(_, index)| &index.name))
        .all_texts("command", "CREATE INDEX")
        .all_texts("phase", "building index")
        .int8("tuples_total", built.iter().map(|(build, _)| i64::try_from(build.total).unwrap_or(i64::MAX)))
        .int8("tuples_done", built.iter().map(|(build, _)| i64::try_from(build.done).unwrap_or(i64::MAX)))
        .table()
}

pub(super) fn pg_constraint(facts: &dyn CatalogFacts) -> Result<Arc<dyn TableProvider>> {
    let relations = facts.relations();
    let keys = primary_keys(&relations);
    Columns::new(keys.len())
        .oids("oid", "oid", keys.iter().map(|key| key.constraint))
        .texts("conname", keys.iter().map(|key| &key.name))
        .all_oids("connamespace", "regnamespace", PUBLIC)
        .all_texts("contype", "p")
        .all_bools("condeferrable", false)
        .all_bools("condeferred", false)
        .all_bools("convalidated", true)
        .oids("conrelid", "regclass", keys.iter().map(|key| relation_oid(key.relation)))
        .all_oids("contypid", "regtype", 0)
        .oids("conindid", "regclass", keys.iter().map(|key| key.index))
        .all_int4("conparentid", 0)
        .all_oids("confrelid", "regclass", 0)
        .all_texts("confupdtype", " ")
        .all_texts("confdeltype", " ")
        .all_texts("confmatchtype", " ")
        .all_bools("conislocal", true)
        .all_int2("coninhcount", 0)
        .all_bools("connoinherit", true)
        .numbers("conkey", keys.iter().map(|key| key.columns.clone()))
        .numbers("confkey", keys.iter().map(|_| Vec::new()))
        .null_texts("conpfeqop")
        .null_texts("conppeqop")
        .null_texts("conffeqop")
        .null_texts("confdelsetcols")
        .null_texts("conexclop")
        .null_texts("conbin")
        .table()
}

/// `_pg_expandarray`, by which drivers read `indkey`: the elements `x` with their numbers `n` from 1.
pub(super) fn expand_array() -> ScalarUDF {
    let fields = Fields::from(vec![Field::new("x", DataType::Int16, true), Field::new("n", DataType::Int32, true)]);
    let element = Arc::new(Field::new_list_field(DataType::Struct(fields.clone()), true));
    let returns = DataType::List(Arc::clone(&element));
    Function::any("pg_expandarray", &[1], returns, Volatility::Immutable, move |arguments, rows| {
        let lists = DataType::List(Arc::new(Field::new_list_field(DataType::Int16, true)));
        let lists = match arguments.first() {
            Some(argument) => cast(argument, &lists)?,
            None => new_null_array(&lists, rows),
        };
        let lists = lists.as_list::<i32>();
        let (mut items, mut numbers, mut lengths) = (Int16Builder::new(), Int32Builder::new(), Vec::new());
        for list in lists.iter() {
            let list = list.unwrap_or_else(|| new_null_array(&DataType::Int16, 0));
            lengths.push(list.len());
            for (number, item) in (1i32..).zip(list.as_primitive::<Int16Type>()) {
                items.append_option(item);
                numbers.append_value(number);
            }
        }
        let columns: Vec<ArrayRef> = vec![Arc::new(items.finish()), Arc::new(numbers.finish())];
        let structs = StructArray::try_new(fields.clone(), columns, None)?;
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(Arc::new(ListArray::try_new(Arc::clone(&element), offsets, Arc::new(structs), None)?))
    })
}
