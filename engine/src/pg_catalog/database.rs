//! The database, its roles, settings and sessions.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::error::Result;

use super::CatalogFacts;
use super::columns::Columns;
use super::oids::{self, OWNER};

/// Name of the role that owns everything.
pub(crate) const OWNER_NAME: &str = "latentdb";

pub(super) fn pg_database(facts: &dyn CatalogFacts) -> Result<Arc<dyn TableProvider>> {
    let name = facts.database();
    Columns::new(1)
        .oids("oid", "oid", [oids::database(&name)])
        .texts("datname", [name])
        .all_int4("datdba", OWNER)
        .all_int4("encoding", 6)
        .all_texts("datlocprovider", "c")
        .all_bools("datistemplate", false)
        .all_bools("datallowconn", true)
        .all_int4("datconnlimit", -1)
        .all_int4("datlastsysoid", 0)
        .all_int4("datfrozenxid", 0)
        .all_int4("datminmxid", 0)
        .all_int4("dattablespace", 1663)
        .all_texts("datcollate", "C")
        .all_texts("datctype", "C.UTF-8")
        .null_texts("daticulocale")
        .null_texts("daticurules")
        .null_texts("datcollversion")
        .null_lists("datacl")
        .table()
}

/// The roles: the owner, those that were made, and whoever asks.
pub(super) fn role_names(facts: &dyn CatalogFacts) -> Vec<(i32, String)> {
    let names: BTreeSet<String> =
        facts.roles().into_iter().chain([facts.user()]).filter(|name| !name.is_empty() && name != OWNER_NAME).collect();
    let made = names.into_iter().map(|name| (oids::role(&name), name));
    std::iter::once((OWNER, OWNER_NAME.to_owned())).chain(made).collect()
}

/// `pg_roles`, and `pg_authid` without what only the owner may see.
pub(super) fn pg_roles(facts: &dyn CatalogFacts) -> Result<Arc<dyn TableProvider>> {
    let roles = role_names(facts);
    Columns::new(roles.len())
        .oids("oid", "oid", roles.iter().map(|role| role.0))
        .texts("rolname", roles.iter().map(|role| &role.1))
        .bools("rolsuper", roles.iter().map(|role| role.0 == OWNER))
        .all_bools("rolinherit", true)
        .bools("rolcreaterole", roles.iter().map(|role| role.0 == OWNER))
        .bools("rolcreatedb", roles.iter().map(|_| false))
        .all_bools("rolcanlogin", true)
        .all_bools("rolreplication", false)
        .all_bools("rolbypassrls", false)
        .all_int4("rolconnlimit", -1)
        .all_texts("rolpassword", "********")
        .null_times("rolvaliduntil")
        .null_lists("rolconfig")
        .table()
}

pub(super) fn pg_user(facts: &dyn CatalogFacts) -> Result<Arc<dyn TableProvider>> {
    let roles = role_names(facts);
    Columns::new(roles.len())
        .texts("usename", roles.iter().map(|role| &role.1))
        .oids("usesysid", "oid", roles.iter().map(|role| role.0))
        .all_bools("usecreatedb", false)
        .bools("usesuper", roles.iter().map(|role| role.0 == OWNER))
        .all_bools("userepl", false)
        .all_bools("usebypassrls", false)
        .all_texts("passwd", "********")
        .null_times("valuntil")
        .null_lists("useconfig")
        .table()
}

pub(super) fn pg_settings(facts: &dyn CatalogFacts) -> Result<Arc<dyn TableProvider>> {
    let settings = facts.settings();
    let of_planner = |name: &str| name.starts_with("datafusion.");
    Columns::new(settings.len())
        .texts("name", settings.iter().map(|setting| &setting.name))
        .texts("setting", settings.iter().map(|setting| &setting.value))
        .null_texts("unit")
        .texts("category", settings.iter().map(|setting| if of_planner(&setting.name) { "Planner" } else { "Session" }))
        .texts("short_desc", settings.iter().map(|setting| &setting.description))
        .null_texts("extra_desc")
        .all_texts("context", "user")
        .all_texts("vartype", "string")
        .all_texts("source", "session")
        .null_texts("min_val")
        .null_texts("max_val")
        .null_texts("enumvals")
        .null_texts("boot_val")
        .texts("reset_val", settings.iter().map(|setting| &setting.value))
        .null_texts("sourcefile")
        .maybe_texts("sourceline", settings.iter().map(|_| None::<&str>))
        .all_bools("pending_restart", false)
        .table()
}

pub(super) fn pg_stat_activity(facts: &dyn CatalogFacts) -> Result<Arc<dyn TableProvider>> {
    let sessions = facts.activity();
    let database = facts.database();
    Columns::new(sessions.len())
        .all_oids("datid", "oid", oids::database(&database))
        .all_texts("datname", &database)
        .int4("pid", sessions.iter().map(|session| session.process_id))
        .oids(
            "usesysid",
            "oid",
            sessions.iter().map(|session| if session.user == OWNER_NAME { OWNER } else { oids::role(&session.user) }),
        )
        .texts("usename", sessions.iter().map(|session| &session.user))
        .texts("application_name", sessions.iter().map(|session| &session.application_name))
        .null_texts("client_addr")
        .null_texts("client_hostname")
        .null_times("backend_start")
        .null_times("xact_start")
        .null_times("query_start")
        .null_times("state_change")
        .null_texts("wait_event_type")
        .null_texts("wait_event")
        .texts("state", sessions.iter().map(|session| session.state))
        .texts("query", sessions.iter().map(|session| &session.query))
        .all_texts("backend_type", "client backend")
        .table()
}
