//! SQL: from text to a running statement.
//!
//! The way of a statement: [`parse`] cuts text into commands; [`prepared`] plans one over the tables of
//! a transaction ([`catalog`]) and works out its parameters and columns; [`dispatch`] hands it to who
//! carries it out; [`run`] executes plans on the query runtime and streams their rows.

mod answers;
pub(crate) mod base;
mod call;
mod catalog;
mod changes;
mod command;
mod constants;
mod conversation;
mod cooperative;
mod copy;
mod copy_file;
mod copy_grammar;
mod copy_records;
mod definition_grammar;
mod definitions;
mod dialect;
mod dispatch;
mod errors;
mod explain;
mod facts;
pub(crate) mod functions;
mod grammar;
mod indexing;
pub(crate) mod lateral;
mod literal;
mod named;
mod names;
mod notices;
mod operators;
mod parameters;
mod parquet_bytes;
mod parse;
mod pinned;
mod planner;
mod prepared;
mod rebase;
mod repeated;
mod rewrite;
mod run;
mod scram;
mod searching;
mod session;
mod sessions;
mod settings;
mod tables;
mod text_values;
mod time_formats;
mod transaction;
mod types;
mod upkeep;
mod upsert;
mod using;
mod vars;
mod versions;
mod views;

pub(crate) use call::Procedures;
pub use call::{Parameter, Procedure};
pub(crate) use command::Command;
pub use lateral::FunctionParameter;
pub use literal::text_literal;
pub use notices::{Listener, Notices, Reached};
pub use parquet_bytes::ParquetBytes;
pub(crate) use prepared::Cached;
pub use repeated::RepeatedQuery;
pub use session::Session;
pub(crate) use sessions::{Sessions, ViewSchemas};
pub use text_values::parse_list;

use std::sync::Arc;

use crate::engine::{SessionOptions, Shared};

/// Works out the columns of all views, for the catalogues. One that cannot be planned, because a table
/// of it is gone, shows no columns.
pub(crate) async fn plan_views(shared: &Arc<Shared>) -> crate::Result<()> {
    let base = Arc::clone(shared.base.config_options());
    let vars = Arc::new(vars::SessionVars::new(SessionOptions::default(), base));
    let planner = planner::Planner::new(shared, &vars)?;
    let transaction = shared.database.begin();
    let built_in = crate::schema::VIEWS.iter().map(|view| (view.name.to_owned(), view.sql.to_owned()));
    let made = shared.community.views()?.into_iter().map(|view| (view.name, view.sql));
    for (name, sql) in built_in.chain(made) {
        match planner.plan_view(&transaction, &sql).await {
            Ok(plan) => shared.view_schemas.put(&name, prepared::columns(&plan)),
            Err(error) => tracing::warn!(view = name, %error, "a view cannot be planned"),
        }
    }
    Ok(())
}
