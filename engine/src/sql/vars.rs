//! A session's own facts: who it is for and what its settings are. SQL functions and catalogue tables
//! may ask them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use datafusion::config::ConfigOptions;

use super::settings::{self, SETTINGS};
use crate::engine::SessionOptions;
use crate::{Error, ErrorKind, Result};

/// A setting as `SHOW ALL` and `pg_settings` list it.
#[derive(Debug, Clone)]
pub(crate) struct SettingRow {
    pub name: String,
    pub value: String,
    pub description: String,
}

/// Who a session is for, and its settings.
#[derive(Debug)]
pub(crate) struct SessionVars {
    user: String,
    process_id: i32,
    /// The planner's settings before this session changes any.
    base: Arc<ConfigOptions>,
    values: RwLock<Values>,
}

/// Settings that differ from their default.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values {
    set: BTreeMap<&'static str, String>,
    /// `datafusion.*`.
    planner: BTreeMap<String, String>,
    /// Values at the start of the session, which `RESET` goes back to.
    initial: BTreeMap<&'static str, String>,
    /// What `SET LOCAL` covered up, to be put back when the transaction ends.
    covered: BTreeMap<&'static str, Option<String>>,
    changed: Vec<&'static str>,
    /// Goes up whenever a plan made before may be wrong now.
    epoch: u64,
}

impl SessionVars {
    pub(crate) fn new(options: SessionOptions, base: Arc<ConfigOptions>) -> Self {
        let mut values = Values::default();
        values.initial.insert("session_authorization", options.user.clone());
        if !options.application_name.is_empty() {
            values.initial.insert("application_name", options.application_name);
        }
        values.set = values.initial.clone();
        Self { user: options.user, process_id: options.process_id, base, values: RwLock::new(values) }
    }

    /// Name of the user.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// What `pg_backend_pid()` answers.
    pub(crate) fn process_id(&self) -> i32 {
        self.process_id
    }

    /// Current value of a setting, as `SHOW` prints it.
    pub(crate) fn setting(&self, name: &str) -> Option<String> {
        let values = self.read();
        match settings::find(name) {
            Some(setting) => Some(match values.set.get(setting.name) {
                Some(value) => value.clone(),
                None => setting.default.to_owned(),
            }),
            None => match values.planner.get(&name.to_lowercase()) {
                Some(value) => Some(value.clone()),
                None => self.planner_default(&name.to_lowercase()),
            },
        }
    }

    /// Sets a setting for the session.
    pub(crate) fn set(&self, name: &str, value: &str) -> Result<()> {
        self.assign(name, Some(value), false)
    }

    /// Sets a setting, or puts it back with no value; with `local`, until the transaction ends.
    pub(crate) fn assign(&self, name: &str, value: Option<&str>, local: bool) -> Result<()> {
        let Some(setting) = settings::find(name) else { return self.assign_planner(name, value) };
        let mut values = self.write();
        let new = match value {
            Some(value) => Some(setting.accept(value).map_err(|why| Error::new(ErrorKind::InvalidValue, why))?),
            None => values.initial.get(setting.name).cloned(),
        };
        if local {
            let before = values.set.get(setting.name).cloned();
            values.covered.entry(setting.name).or_insert(before);
        }
        values.put(setting.name, new);
        Ok(())
    }

    fn assign_planner(&self, name: &str, value: Option<&str>) -> Result<()> {
        let name = name.to_lowercase();
        if self.planner_default(&name).is_none() {
            return Err(Error::new(
                ErrorKind::UndefinedObject,
                format!("unrecognized configuration parameter \"{name}\""),
            )
            .with_hint("SHOW ALL lists the settings"));
        }
        let mut values = self.write();
        match value {
            Some(value) => {
                let refused = |error: datafusion::error::DataFusionError| {
                    Error::new(ErrorKind::InvalidValue, format!("invalid value for parameter \"{name}\": \"{value}\""))
                        .with_detail(error.strip_backtrace())
                };
                ConfigOptions::new().set(&name, value).map_err(refused)?;
                values.planner.insert(name, value.to_owned());
            }
            None => {
                values.planner.remove(&name);
            }
        }
        values.epoch += 1;
        Ok(())
    }

    /// Puts every setting back.
    pub(crate) fn reset_all(&self) {
        let mut values = self.write();
        let names: Vec<&'static str> = values.set.keys().copied().collect();
        for name in names {
            let initial = values.initial.get(name).cloned();
            values.put(name, initial);
        }
        values.planner.clear();
        values.epoch += 1;
    }

    /// All settings.
    pub(crate) fn all_settings(&self) -> Vec<SettingRow> {
        let values = self.read();
        let ours = SETTINGS.iter().map(|setting| SettingRow {
            name: setting.name.to_owned(),
            value: values.set.get(setting.name).cloned().unwrap_or_else(|| setting.default.to_owned()),
            description: setting.description.to_owned(),
        });
        let planner = self.base.entries().into_iter().map(|entry| SettingRow {
            value: values.planner.get(&entry.key).cloned().or(entry.value).unwrap_or_default(),
            name: entry.key,
            description: entry.description.to_owned(),
        });
        ours.chain(planner).collect()
    }

    /// Settings that clients are to be told of and that changed since the last call.
    pub(crate) fn take_reports(&self) -> Vec<(String, String)> {
        let names = std::mem::take(&mut self.write().changed);
        names.into_iter().map(|name| (name.to_owned(), self.setting(name).unwrap_or_default())).collect()
    }

    /// How long a statement may run.
    pub(crate) fn statement_timeout(&self) -> Option<Duration> {
        let shown = self.setting("statement_timeout")?;
        settings::milliseconds(&shown).filter(|ms| *ms > 0).map(Duration::from_millis)
    }

    /// Whether a switch is on.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.setting(name).as_deref() == Some("on")
    }

    /// Changes whenever plans made before may be wrong now.
    pub(crate) fn epoch(&self) -> u64 {
        self.read().epoch
    }

    /// The planner's settings of this session, put onto `options`.
    pub(crate) fn apply(&self, options: &mut ConfigOptions) -> Result<()> {
        let zone = self.setting("TimeZone").unwrap_or_default();
        options.set("datafusion.execution.time_zone", &zone)?;
        for (name, value) in &self.read().planner {
            options.set(name, value)?;
        }
        Ok(())
    }

    /// The settings as they stand, to come back to if the transaction fails.
    pub(crate) fn save(&self) -> Values {
        self.read().clone()
    }

    /// Goes back to what [`SessionVars::save`] gave.
    pub(crate) fn restore(&self, saved: Values) {
        let mut values = self.write();
        let names: Vec<&'static str> = values.set.keys().chain(saved.set.keys()).copied().collect();
        for name in names {
            values.put(name, saved.set.get(name).cloned());
        }
        values.planner = saved.planner;
        values.covered.clear();
        values.epoch += 1;
    }

    /// The transaction is over: what `SET LOCAL` covered comes back.
    pub(crate) fn end_transaction(&self) {
        let mut values = self.write();
        for (name, before) in std::mem::take(&mut values.covered) {
            values.put(name, before);
        }
    }

    /// Value of a planner setting before anybody sets it; `None` if there is no such setting.
    fn planner_default(&self, name: &str) -> Option<String> {
        if !name.starts_with("datafusion.") {
            return None;
        }
        let entry = self.base.entries().into_iter().find(|entry| entry.key == name)?;
        Some(entry.value.unwrap_or_default())
    }

    fn read(&self) -> RwLockReadGuard<'_, Values> {
        self.values.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Values> {
        self.values.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Values {
    fn put(&mut self, name: &'static str, value: Option<String>) {
        let before = match value {
            Some(value) if self.set.get(name) == Some(&value) => return,
            Some(value) => self.set.insert(name, value),
            None => match self.set.remove(name) {
                Some(before) => Some(before),
                None => return,
            },
        };
        drop(before);
        let is_planned_by = matches!(name, "TimeZone" | "search_path") || name.starts_with("latentdb.");
        self.epoch += u64::from(is_planned_by);
        let reported = settings::find(name).is_some_and(|setting| setting.reported);
        if reported && !self.changed.contains(&name) {
            self.changed.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn vars() -> SessionVars {
        SessionVars::new(
            SessionOptions { user: "ana".into(), ..SessionOptions::default() },
            Arc::new(ConfigOptions::new()),
        )
    }

    #[test]
    fn changes_are_reported_once() {
        let vars = vars();
        vars.set("timezone", "Europe/Berlin").unwrap();
        vars.set("work_mem", "1GB").unwrap();
        assert_eq!(vars.take_reports(), [("TimeZone".to_owned(), "Europe/Berlin".to_owned())]);
        assert!(vars.take_reports().is_empty());
    }

    #[test]
    fn local_settings_end_with_the_transaction() {
        let vars = vars();
        vars.set("statement_timeout", "5s").unwrap();
        vars.assign("statement_timeout", Some("1s"), true).unwrap();
        assert_eq!(vars.statement_timeout(), Some(Duration::from_secs(1)));
        vars.end_transaction();
        assert_eq!(vars.statement_timeout(), Some(Duration::from_secs(5)));
    }

    #[test]
    fn unknown_settings_are_refused() {
        let error = vars().set("no_such_thing", "1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UndefinedObject);
    }
}
