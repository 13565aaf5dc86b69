//! Who answers the model functions of an open database. Sessions carry it among the extensions of their settings, so
//! that a plan holds names only and finds its service when it runs.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::service::ModelService;
use crate::{Error, ErrorKind, Result};

/// The services of an engine, by the functions they answer.
#[derive(Debug, Default)]
pub(crate) struct Models {
    by_function: RwLock<HashMap<&'static str, Arc<dyn ModelService>>>,
}

impl Models {
    /// Lets `service` answer its functions; one that another service answered goes over to it.
    pub(crate) fn attach(&self, service: &Arc<dyn ModelService>) {
        let mut by_function = self.by_function.write().unwrap_or_else(PoisonError::into_inner);
        for function in service.functions() {
            by_function.insert(function.name, Arc::clone(service));
        }
    }

    /// Lets every service go: one that asks the engine questions of its own would keep it open.
    pub(crate) fn detach_all(&self) {
        self.by_function.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Who answers `function`.
    pub(crate) fn service(&self, function: &str) -> Result<Arc<dyn ModelService>> {
        let by_function = self.by_function.read().unwrap_or_else(PoisonError::into_inner);
        by_function
            .get(function)
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::UndefinedFunction, format!("no model service answers {function}")))
    }
}

/// The user that a plan runs for.
#[derive(Debug, Clone)]
pub(crate) struct ModelUser(pub Arc<str>);
