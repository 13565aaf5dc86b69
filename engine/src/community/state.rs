//! What the database remembers of itself: roles with their password verifiers, and user views.

use rusqlite::{OptionalExtension, params};

use super::{Community, blocking};
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS _roles (name TEXT PRIMARY KEY, verifier TEXT, created_at TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS _views (name TEXT PRIMARY KEY, sql TEXT NOT NULL, comment TEXT);
";

/// A view that a user made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredView {
    /// Name in schema `public`.
    pub name: String,
    /// The query it stands for.
    pub sql: String,
    /// Its comment.
    pub comment: Option<String>,
}

impl Community {
    /// Names of all roles, in order.
    pub(crate) fn roles(&self) -> Result<Vec<String>> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT name FROM _roles ORDER BY name")
                .map_err(|error| self.failed(error))?;
            let names = statement.query_map([], |row| row.get(0)).map_err(|error| self.failed(error))?;
            names.collect::<Result<_, _>>().map_err(|error| self.failed(error))
        })
    }

    /// The SCRAM verifier of `role`; `None` if there is no such role or it has no password.
    pub(crate) async fn password_verifier(self: &Arc<Self>, role: &str) -> Result<Option<String>> {
        let (this, role) = (Arc::clone(self), role.to_owned());
        blocking(move || {
            this.read(|connection| {
                let verifier = connection
                    .query_row("SELECT verifier FROM _roles WHERE name = ?1", [role], |row| row.get(0))
                    .optional()
                    .map_err(|error| this.failed(error))?;
                Ok(verifier.flatten())
            })
        })
        .await
    }

    /// Makes `role`, or changes its password; `None` leaves it without one.
    pub(crate) async fn set_password(self: &Arc<Self>, role: &str, verifier: Option<String>) -> Result<()> {
        let (this, role) = (Arc::clone(self), role.to_owned());
        blocking(move || {
            this.write(|transaction| {
                transaction
                    .execute(
                        "INSERT INTO _roles (name, verifier, created_at) VALUES (?1, ?2, ?3)
                         ON CONFLICT (name) DO UPDATE SET verifier = excluded.verifier",
                        params![role, verifier, chrono::Utc::now().to_rfc3339()],
                    )
                    .map_err(|error| this.failed(error))?;
                Ok(())
            })
        })
        .await
    }

    /// Drops `role`; answers whether there was one.
    pub(crate) async fn drop_role(self: &Arc<Self>, role: &str) -> Result<bool> {
        let (this, role) = (Arc::clone(self), role.to_owned());
        blocking(move || {
            this.write(|transaction| {
                let dropped = transaction
                    .execute("DELETE FROM _roles WHERE name = ?1", [role])
                    .map_err(|error| this.failed(error))?;
                Ok(dropped > 0)
            })
        })
        .await
    }

    /// All user views, by name.
    pub(crate) fn views(&self) -> Result<Vec<StoredView>> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT name, sql, comment FROM _views ORDER BY name")
                .map_err(|error| self.failed(error))?;
            let views = statement
                .query_map([], |row| Ok(StoredView { name: row.get(0)?, sql: row.get(1)?, comment: row.get(2)? }))
                .map_err(|error| self.failed(error))?;
            views.collect::<Result<_, _>>().map_err(|error| self.failed(error))
        })
    }

    /// Stores a view. Without `replace` a view of the same name is [`ErrorKind::Duplicate`].
    pub(crate) async fn put_view(self: &Arc<Self>, view: StoredView, replace: bool) -> Result<()> {
        let this = Arc::clone(self);
        blocking(move || {
            this.write(|transaction| {
                let conflict = if replace {
                    "DO UPDATE SET sql = excluded.sql, comment = coalesce(excluded.comment, comment)"
                } else {
                    "DO NOTHING"
                };
                let statement = format!(
                    "INSERT INTO _views (name, sql, comment) VALUES (?1, ?2, ?3) ON CONFLICT (name) {conflict}"
                );
                let stored = transaction
                    .execute(&statement, params![view.name, view.sql, view.comment])
                    .map_err(|error| this.failed(error))?;
                if stored == 0 {
                    return Err(Error::new(ErrorKind::Duplicate, format!("view \"{}\" exists already", view.name))
                        .with_hint("use CREATE OR REPLACE VIEW"));
                }
                Ok(())
            })
        })
        .await
    }

    /// Drops a view; answers whether there was one.
    pub(crate) async fn drop_view(self: &Arc<Self>, name: &str) -> Result<bool> {
        let (this, name) = (Arc::clone(self), name.to_owned());
        blocking(move || {
            this.write(|transaction| {
                let dropped = transaction
                    .execute("DELETE FROM _views WHERE name = ?1", [name])
                    .map_err(|error| this.failed(error))?;
                Ok(dropped > 0)
            })
        })
        .await
    }
}
