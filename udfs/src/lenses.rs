//! The table `lenses`: where the Jacobian lenses of models are.

use std::sync::Arc;

use latentdb_engine::{Engine, Error, ErrorKind, RepeatedQuery, Result, ScalarValue};
use latentdb_runtime::DeviceName;
use latentdb_runtime::lens::JacobianLens;

use crate::add::{execute, require_model};
use crate::failure::from_runtime;
use crate::hub::{Downloads, Hub, Wanted};
use crate::library::text_at;
use crate::location::Location;

/// A lens that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedLens {
    /// Layers that have a Jacobian.
    pub layers: Vec<usize>,
    /// Prompts that it is an average over, if the file says it.
    pub n_prompts: Option<usize>,
}

const OF_MODEL: &str = "SELECT weights_uri FROM lenses WHERE model_id = $1";
const SHAPE: &str = "SELECT 1 FROM models WHERE model_id = $1 AND d_model = $2 AND n_layers > $3";
const UPSERT: &str = "\
ON CONFLICT (model_id) DO UPDATE SET weights_uri = excluded.weights_uri, layers = excluded.layers,
n_prompts = excluded.n_prompts, created_at = excluded.created_at";

/// Adds the Jacobian lens at `location` to a model that is there, in place of the one that it has.
///
/// # Errors
/// If there is no such model, no lens can be read at `location`, or it is another model's.
pub async fn add_lens(
    engine: &Engine,
    model: &str,
    location: &Location,
    downloads: &Arc<dyn Downloads>,
) -> Result<AddedLens> {
    let session = engine.session("latentdb");
    require_model(&session, model).await?;
    let fetched = Hub::default().fetch(location, Wanted::Source, downloads).await?;
    let open = move || DeviceName::Cpu.open().and_then(|device| JacobianLens::open(&fetched.path, &device));
    let opened = tokio::task::spawn_blocking(open).await;
    let lens = opened.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?.map_err(from_runtime)?;
    let layers: Vec<usize> = lens.layers().collect();
    let whole = |number: usize| ScalarValue::from(i32::try_from(number).unwrap_or(i32::MAX));
    let shape = [ScalarValue::from(model), whole(lens.width()), whole(layers.last().copied().unwrap_or_default())];
    if execute(&session, SHAPE, &shape).await? == 0 {
        let message =
            format!("{location} is no lens of {model}: it is for width {} and layers {layers:?}", lens.width());
        return Err(Error::new(ErrorKind::InvalidValue, message).with_hint("it was made for another model"));
    }
    let listed: Vec<String> = layers.iter().map(usize::to_string).collect();
    let insert = format!(
        "INSERT INTO lenses (model_id, weights_uri, layers, n_prompts, created_at) \
         VALUES ($1, $2, ARRAY[{}]::integer[], $3, now()) {UPSERT}",
        listed.join(", ")
    );
    let n_prompts = ScalarValue::Int32(lens.n_prompts().and_then(|count| i32::try_from(count).ok()));
    let values = [ScalarValue::from(model), ScalarValue::from(fetched.location.to_string()), n_prompts];
    execute(&session, &insert, &values).await?;
    Ok(AddedLens { layers, n_prompts: lens.n_prompts() })
}

/// Looks up the lenses of models.
#[derive(Debug)]
pub(crate) struct Lenses {
    of_model: RepeatedQuery,
}

impl Lenses {
    pub(crate) fn new(engine: &Engine) -> Self {
        Self { of_model: RepeatedQuery::new(engine.clone(), "latentdb", OF_MODEL) }
    }

    /// Where the lens of a model is, if it has one.
    pub(crate) async fn find(&self, model: &str) -> Result<Option<String>> {
        let rows = self.of_model.rows(&[ScalarValue::from(model)]).await?;
        if rows.num_rows() > 0 { text_at(&rows, 0, 0) } else { Ok(None) }
    }

    /// Where the lens of a model is.
    pub(crate) async fn location(&self, model: &str) -> Result<String> {
        self.find(model).await?.ok_or_else(|| {
            Error::new(ErrorKind::UndefinedObject, format!("model {model} has no Jacobian lens"))
                .with_hint(format!("latentdb model lens {model} FILE adds one; the logit lens needs none"))
        })
    }
}
