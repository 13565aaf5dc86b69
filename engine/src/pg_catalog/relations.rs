//! Tables, views and their columns: `pg_class`, `pg_attribute`, `pg_description`, `pg_tables`, `pg_views`.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::error::Result;

use super::columns::Columns;
use super::indexes::{ShownIndex, indexes};
use super::oids::{self, BTREE, HEAP, OWNER, PG_CATALOG, PG_CLASS, PG_PROC, PUBLIC, oid};
use super::procedures::procedure_oid;
use super::types::{dimensions, pg_type};
use super::{CatalogFacts, Relation};

/// Size of a page, by which Postgres counts a table's pages.
const PAGE_BYTES: u64 = 8192;

/// The object id of a table or view.
pub(super) fn relation_oid(relation: &Relation) -> i32 {
    oid("relation", &relation.id)
}

/// The catalogue tables that have object ids of their own in every Postgres and that clients join with.
const SYSTEM_RELATIONS: [(&str, i32); 13] = [
    ("pg_type", 1247),
    ("pg_attribute", 1249),
    ("pg_proc", 1255),
    ("pg_class", 1259),
    ("pg_attrdef", 2604),
    ("pg_constraint", 2606),
    ("pg_index", 2610),
    ("pg_namespace", 2615),
    ("pg_description", 2609),
    ("pg_database", 1262),
    ("pg_authid", 1260),
    ("pg_enum", 3501),
    ("pg_extension", 3079),
];

/// A row of `pg_class`.
struct ClassRow {
    oid: i32,
    name: String,
    namespace: i32,
    kind: &'static str,
    access_method: i32,
    pages: i32,
    tuples: f32,
    columns: i16,
    has_index: bool,
}

fn class_rows(relations: &[Relation]) -> Vec<ClassRow> {
    let own = relations.iter().map(|relation| ClassRow {
        oid: relation_oid(relation),
        name: relation.name.clone(),
        namespace: PUBLIC,
        kind: if relation.definition.is_some() { "v" } else { "r" },
        access_method: if relation.definition.is_some() { 0 } else { HEAP },
        pages: i32::try_from(relation.bytes.div_ceil(PAGE_BYTES)).unwrap_or(i32::MAX),
        tuples: relation.rows.map_or(-1.0, |rows| rows as f32),
        columns: relation.schema.fields().len() as i16,
        has_index: !relation.primary_key.is_empty() || !relation.indexes.is_empty(),
    });
    let keys = indexes(relations).into_iter().map(|index| ClassRow {
        oid: index.oid,
        name: index.name,
        namespace: PUBLIC,
        kind: "i",
        access_method: BTREE,
        pages: 0,
        tuples: 0.0,
        columns: index.columns.len() as i16,
        has_index: false,
    });
    let system = SYSTEM_RELATIONS.iter().map(|(name, oid)| ClassRow {
        oid: *oid,
        name: (*name).to_owned(),
        namespace: PG_CATALOG,
        kind: "r",
        access_method: HEAP,
        pages: 0,
        tuples: -1.0,
        columns: 0,
        has_index: false,
    });
    own.chain(keys).chain(system).collect()
}

/// Object ids and names of everything in `pg_class`, as they are shown with `public` on the search path.
pub(super) fn class_names(relations: &[Relation]) -> Vec<(i32, String)> {
    class_rows(relations).into_iter().map(|row| (row.oid, row.name)).collect()
}

pub(super) fn pg_class(facts: &dyn CatalogFacts) -> Result<Arc<dyn TableProvider>> {
    let rows = class_rows(&facts.relations());
    Columns::new(rows.len())
        .oids("oid", "oid", rows.iter().map(|row| row.oid))
        .texts("relname", rows.iter().map(|row| &row.name))
        .oids("relnamespace", "regnamespace", rows.iter().map(|row| row.namespace))
        .all_oids("reltype", "regtype", 0)
        .all_oids("reloftype", "regtype", 0)
        .all_int4("relowner", OWNER)
        .int4("relam", rows.iter().map(|row| row.access_method))
        .int4("relfilenode", rows.iter().map(|row| row.oid))
        .all_int4("reltablespace", 0)
        .int4("relpages", rows.iter().map(|row| row.pages))
        .float4("reltuples", rows.iter().map(|row| row.tuples))
        .all_int4("relallvisible", 0)
        .all_oids("reltoastrelid", "regclass", 0)
        .bools("relhasindex", rows.iter().map(|row| row.has_index))
        .all_bools("relisshared", false)
        .all_texts("relpersistence", "p")
        .texts("relkind", rows.iter().map(|row| row.kind))
        .int2("relnatts", rows.iter().map(|row| row.columns))
        .all_int2("relchecks", 0)
        .all_bools("relhasrules", false)
        .all_bools("relhastriggers", false)
        .all_bools("relhassubclass", false)
        .all_bools("relrowsecurity", false)
        .all_bools("relforcerowsecurity", false)
        .all_bools("relispopulated", true)
        .all_texts("relreplident", "d")
        .all_bools("relispartition", false)
        .all_oids("relrewrite", "regclass", 0)
        .all_int4("relfrozenxid", 0)
        .all_int4("relminmxid", 0)
        .null_lists("relacl")
        .null_lists("reloptions")
        .null_texts("relpartbound")
        .table()
}

/// A row of `pg_attribute`.
struct AttributeRow {
    relation: i32,
    name: String,
    number: i16,
    type_oid: i32,
    length: i16,
    align: &'static str,
    dimensions: i32,
    not_null: bool,
}

fn attribute_rows(relations: &[Relation]) -> Vec<AttributeRow> {
    let row = |relation: i32, number: i16, field: &arrow::datatypes::Field, not_null: bool| {
        let pg_type = pg_type(field.data_type());
        AttributeRow {
            relation,
            name: field.name().clone(),
            number,
            type_oid: pg_type.oid,
            length: pg_type.length,
            align: pg_type.align,
            dimensions: dimensions(field.data_type()),
            not_null,
        }
    };
    let mut rows = Vec::new();
    for relation in relations {
        let oid = relation_oid(relation);
        let is_view = relation.definition.is_some();
        for (number, field) in (1i16..).zip(relation.schema.fields()) {
            rows.push(row(oid, number, field, !is_view && !field.is_nullable()));
        }
    }
    for ShownIndex { oid, columns, relation, is_key, .. } in indexes(relations) {
        for (number, column) in (1i16..).zip(columns) {
            let position = usize::try_from(column - 1).unwrap_or(0);
            if let Some(field) = relation.schema.fields().get(position) {
                rows.push(row(oid, number, field, is_key));
            }
        }
    }
    rows
}

pub(super) fn pg_attribute(facts: &dyn CatalogFacts) -> Result<Arc<dyn TableProvider>> {
    let rows = attribute_rows(&facts.relations());
    Columns::new(rows.len())
        .oids("attrelid", "regclass", rows.iter().map(|row| row.relation))
        .texts("attname", rows.iter().map(|row| &row.name))
        .oids("atttypid", "regtype", rows.iter().map(|row| row.type_oid))
        .all_int4("attstattarget", -1)
        .int2("attlen", rows.iter().map(|row| row.length))
        .int2("attnum", rows.iter().map(|row| row.number))
        .int4("attndims", rows.iter().map(|row| row.dimensions))
        .all_int4("attcacheoff", -1)
        .all_int4("atttypmod", -1)
        .bools("attbyval", rows.iter().map(|row| (1..=8).contains(&row.length)))
        .texts("attalign", rows.iter().map(|row| row.align))
        .texts("attstorage", rows.iter().map(|row| if row.length < 0 { "x" } else { "p" }))
        .all_texts("attcompression", "")
        .bools("attnotnull", rows.iter().map(|row| row.not_null))
        .all_bools("atthasdef", false)
        .all_bools("atthasmissing", false)
        .all_texts("attidentity", "")
        .all_texts("attgenerated", "")
        .all_bools("attisdropped", false)
        .all_bools("attislocal", true)
        .all_int4("attinhcount", 0)
        .int4("attcollation", rows.iter().map(|row| if row.type_oid == 25 { 100 } else { 0 }))
        .null_lists("attacl")
        .null_lists("attoptions")
        .null_lists("attfdwoptions")
        .null_texts("attmissingval")
        .table()
}

pub(super) fn pg_namespace() -> Result<Arc<dyn TableProvider>> {
    let rows = [(PG_CATALOG, "pg_catalog"), (PUBLIC, "public"), (oids::INFORMATION_SCHEMA, "information_schema")];
    Columns::new(rows.len())
        .oids("oid", "oid", rows.iter().map(|row| row.0))
        .texts("nspname", rows.iter().map(|row| row.1))
        .all_int4("nspowner", OWNER)
        .null_lists("nspacl")
        .table()
}

/// A comment: on what (object, catalogue, column number), and the text.
pub(super) type Comment = (i32, i32, i32, String);

/// Comments on tables, views, columns and functions.
pub(super) fn comments(facts: &dyn CatalogFacts) -> Vec<Comment> {
    let mut comments = Vec::new();
    for relation in facts.relations() {
        let oid = relation_oid(&relation);
        if let Some(comment) = &relation.comment {
            comments.push((oid, PG_CLASS, 0, comment.clone()));
        }
        for (number, field) in (1i32..).zip(relation.schema.fields()) {
            if let Some(comment) = field.metadata().get("comment") {
                comments.push((oid, PG_CLASS, number, comment.clone()));
            }
        }
    }
    for function in facts.functions() {
        comments.push((procedure_oid(&function), PG_PROC, 0, function.summary.to_owned()));
    }
    comments
}

pub(super) fn pg_description(facts: &dyn CatalogFacts) -> Result<Arc<dyn TableProvider>> {
    let rows = comments(facts);
    Columns::new(rows.len())
        .oids("objoid", "oid", rows.iter().map(|row| row.0))
        .oids("classoid", "oid", rows.iter().map(|row| row.1))
        .int4("objsubid", rows.iter().map(|row| row.2))
        .texts("description", rows.iter().map(|row| &row.3))
        .table()
}

pub(super) fn pg_tables(facts: &dyn CatalogFacts) -> Result<Arc<dyn TableProvider>> {
    let relations = facts.relations();
    let rows: Vec<&Relation> = relations.iter().filter(|relation| relation.definition.is_none()).collect();
    Columns::new(rows.len())
        .all_texts("schemaname", "public")
        .texts("tablename", rows.iter().map(|row| &row.name))
        .all_texts("tableowner", super::database::OWNER_NAME)
        .null_texts("tablespace")
        .bools("hasindexes", rows.iter().map(|row| !row.primary_key.is_empty()))
        .all_bools("hasrules", false)
        .all_bools("hastriggers", false)
        .all_bools("rowsecurity", false)
        .table()
}

pub(super) fn pg_views(facts: &dyn CatalogFacts) -> Result<Arc<dyn TableProvider>> {
    let relations = facts.relations();
    let rows: Vec<&Relation> = relations.iter().filter(|relation| relation.definition.is_some()).collect();
    Columns::new(rows.len())
        .all_texts("schemaname", "public")
        .texts("viewname", rows.iter().map(|row| &row.name))
        .all_texts("viewowner", super::database::OWNER_NAME)
        .maybe_texts("definition", rows.iter().map(|row| row.definition.as_deref()))
        .table()
}

pub(super) fn pg_stat_user_tables(facts: &dyn CatalogFacts) -> Result<Arc<dyn TableProvider>> {
    let relations = facts.relations();
    let rows: Vec<&Relation> = relations.iter().filter(|relation| relation.definition.is_none()).collect();
    let zeros = || std::iter::repeat_n(0i64, rows.len());
    Columns::new(rows.len())
        .oids("relid", "regclass", rows.iter().map(|row| relation_oid(row)))
        .all_texts("schemaname", "public")
        .texts("relname", rows.iter().map(|row| &row.name))
        .int8("seq_scan", zeros())
        .int8("seq_tup_read", zeros())
        .int8("idx_scan", zeros())
        .int8("idx_tup_fetch", zeros())
        .int8("n_tup_ins", zeros())
        .int8("n_tup_upd", zeros())
        .int8("n_tup_del", zeros())
        .int8("n_live_tup", rows.iter().map(|row| row.rows.map_or(0, |rows| rows as i64)))
        .int8("n_dead_tup", zeros())
        .null_times("last_vacuum")
        .null_times("last_autovacuum")
        .null_times("last_analyze")
        .null_times("last_autoanalyze")
        .table()
}
