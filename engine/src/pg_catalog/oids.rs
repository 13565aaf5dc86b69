//! Object ids: hashes of what an object is, so that they are the same tomorrow and on another machine.

use xxhash_rust::xxh3::xxh3_64;

/// Schema `pg_catalog`, as in every Postgres.
pub(super) const PG_CATALOG: i32 = 11;
/// Schema `public`, as in every Postgres since 15.
pub(super) const PUBLIC: i32 = 2200;
/// Schema `information_schema`.
pub(super) const INFORMATION_SCHEMA: i32 = 13_000;
/// The first role, who owns everything.
pub(super) const OWNER: i32 = 10;
/// `pg_class` itself, which comments on tables and columns point to.
pub(super) const PG_CLASS: i32 = 1259;
/// `pg_proc`, which comments on functions point to.
pub(super) const PG_PROC: i32 = 1255;
/// Table access method `heap`.
pub(super) const HEAP: i32 = 2;
/// Index access method `btree`, which is what clients know a primary key to be.
pub(super) const BTREE: i32 = 403;
/// Object ids below this belong to Postgres itself.
const FIRST_OWN: u64 = 1 << 20;

/// The id of the object that `kind` and `key` name.
pub(super) fn oid(kind: &str, key: &str) -> i32 {
    let range = i32::MAX as u64 - FIRST_OWN;
    let hash = xxh3_64(format!("{kind}/{key}").as_bytes()) % range + FIRST_OWN;
    i32::try_from(hash).unwrap_or(i32::MAX)
}

/// The id of the database called `name`.
pub(super) fn database(name: &str) -> i32 {
    oid("database", name)
}

/// The id of the role called `name`.
pub(super) fn role(name: &str) -> i32 {
    oid("role", name)
}
