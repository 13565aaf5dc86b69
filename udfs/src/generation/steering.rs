//! What is turned up or down: JSON, as people write it, to interventions.
//!
//! An item names a feature (`{"source": "10-res-jb", "index": 16899, "strength": 40}`; Neuronpedia's `layer` is the same as
//! `source`), a row of the table `vectors` (`{"vector": "truth", "strength": 4}`), or brings a direction
//! (`{"vector": [0.1, …], "point": "blocks.3.hook_resid_post", "strength": 4}`). Items apply in their order.

use std::sync::Arc;

use futures::future::BoxFuture;
use latentdb_engine::{Error, ErrorKind, Result, ScalarValue};
use latentdb_runtime::Point;
use latentdb_runtime::service::Worker;
use latentdb_runtime::steer::{Change, Feature, Intervention, Positions, Which};
use serde::Deserialize;

use crate::failure::from_runtime;
use crate::library::{Models, Reading};

/// How a direction changes the model's activations `h`. `v` is a feature's decoder vector or a user's vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// `h += strength · v`.
    #[default]
    #[serde(alias = "SIMPLE_ADDITIVE", alias = "add")]
    Additive,
    /// The component of `h` along `v`, times the strength: 0 takes it out.
    #[serde(alias = "ORTHOGONAL_DECOMP")]
    Orthogonal,
    /// The component of `h` along `v` is at most the strength.
    #[serde(alias = "PROJECTION_CAP")]
    Cap,
    /// The feature's activation becomes the strength.
    Set,
    /// The feature's activation is multiplied by the strength.
    Scale,
    /// The feature's activation becomes 0.
    Ablate,
}

impl std::str::FromStr for Method {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        serde_json::from_value(serde_json::Value::from(text)).map_err(|_| {
            Error::new(ErrorKind::InvalidValue, format!("there is no steering method {text}"))
                .with_hint("there are additive, orthogonal, cap, set, scale and ablate")
        })
    }
}

/// What is turned up or down, and how.
#[derive(Debug, Clone)]
pub struct Steering {
    items: Vec<Item>,
    /// How, where an item does not say it.
    pub method: Method,
    /// Multiplies every strength.
    pub multiplier: f32,
    /// Whether the prompt's special tokens, BOS among them, are left as they are, where an item does not say it.
    pub skip_special: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    #[serde(alias = "layer", alias = "source_id", alias = "sourceId")]
    source: Option<String>,
    index: Option<Index>,
    vector: Option<Vector>,
    #[serde(alias = "hook_point")]
    point: Option<String>,
    strength: Option<f32>,
    times_max: Option<f32>,
    method: Option<Method>,
    positions: Option<At>,
    skip_special: Option<bool>,
    #[serde(alias = "modelId")]
    model: Option<String>,
}

/// A feature's number, which Neuronpedia's clients send as text too.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Index {
    Number(usize),
    Text(String),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Vector {
    Id(String),
    Components(Vec<f32>),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum At {
    Named(Named),
    Chosen(Vec<usize>),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Named {
    All,
    Prompt,
    Generated,
}

impl Steering {
    /// Reads a JSON list of items, or one item.
    ///
    /// # Errors
    /// `InvalidValue` if it is none.
    pub fn parse(json: &str) -> Result<Self> {
        let value = serde_json::from_str(json).map_err(|error| malformed(&error))?;
        Self::from_json(value)
    }

    /// The same of JSON that was read already.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn from_json(json: serde_json::Value) -> Result<Self> {
        let list = if json.is_object() { serde_json::Value::Array(vec![json]) } else { json };
        let items = serde_json::from_value(list).map_err(|error| malformed(&error))?;
        Ok(Self { items, method: Method::default(), multiplier: 1.0, skip_special: false })
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

fn malformed(error: &serde_json::Error) -> Error {
    Error::new(ErrorKind::InvalidValue, format!("the steering cannot be read: {error}")).with_hint(
        "write a list of features and vectors: [{\"source\": \"10-res-jb\", \"index\": 16899, \"strength\": 40}, \
         {\"vector\": \"truth\", \"strength\": 4}]",
    )
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidValue, message)
}

/// A direction and where it applies; of a feature, the feature too.
struct Direction {
    point: Point,
    vector: Arc<[f32]>,
    feature: Option<Feature>,
    /// What `times_max` multiplies.
    most: Option<f32>,
    name: String,
}

impl Models {
    /// The interventions that `steering` of `model` comes to.
    pub(crate) fn interventions<'a>(
        &'a self,
        worker: &'a Worker,
        model: &'a str,
        steering: &'a Steering,
    ) -> BoxFuture<'a, Result<Vec<Intervention>>> {
        Box::pin(async move {
            let mut found = Vec::with_capacity(steering.items.len());
            for item in &steering.items {
                let direction = self.direction(worker, model, item).await?;
                found.push(intervention(steering, item, direction)?);
            }
            Ok(found)
        })
    }

    async fn direction(&self, worker: &Worker, model: &str, item: &Item) -> Result<Direction> {
        if let Some(other) = item.model.as_deref().filter(|other| *other != model) {
            return Err(refused(format!("a feature of {other} cannot steer {model}")));
        }
        match (&item.source, &item.index, &item.vector) {
            (Some(source), Some(index), None) => self.feature_direction(worker, model, source, index, item).await,
            (None, None, Some(Vector::Id(id))) => {
                let stored = self.user_vectors().get(id).await?;
                if stored.model != model {
                    return Err(refused(format!("vector {id} is of model {}, not of {model}", stored.model)));
                }
                let (point, vector) = (stored.point, stored.components.into());
                Ok(Direction { point, vector, feature: None, most: None, name: format!("vector {id}") })
            }
            (None, None, Some(Vector::Components(components))) => {
                let point = item.point.as_deref().ok_or_else(|| {
                    refused("a direction in the steering has no point")
                        .with_hint("say where it applies: \"point\": \"blocks.3.hook_resid_post\"")
                })?;
                let (point, vector) = (point.parse().map_err(from_runtime)?, components.as_slice().into());
                Ok(Direction { point, vector, feature: None, most: None, name: "the direction".to_owned() })
            }
            _ => Err(refused("an item of the steering is neither a feature nor a vector")
                .with_hint("name a source and an index, or a vector")),
        }
    }

    async fn feature_direction(
        &self,
        worker: &Worker,
        model: &str,
        source: &str,
        index: &Index,
        item: &Item,
    ) -> Result<Direction> {
        let index = match index {
            Index::Number(index) => *index,
            Index::Text(text) => text.parse().map_err(|_| refused(format!("{text:?} is no feature's index")))?,
        };
        let named = self.source(worker, model, source, Reading { fold_decoder_norm: true }).await?;
        let name = format!("{model}/{}/{index}", named.id);
        let vector = named.source.decoder_vector(index).map_err(|error| from_runtime(error.within(name.clone())))?;
        let most = match item.times_max {
            Some(_) => Some(self.largest_activation(model, &named.id, index).await?),
            None => None,
        };
        let point = match item.point.as_deref() {
            Some(point) => point.parse().map_err(from_runtime)?,
            None => named.source.output_point(),
        };
        let feature = Feature { source: named.source, index };
        Ok(Direction { point, vector: vector.into(), feature: Some(feature), most, name })
    }

    async fn largest_activation(&self, model: &str, source: &str, index: usize) -> Result<f32> {
        let index = ScalarValue::from(i32::try_from(index).unwrap_or(i32::MAX));
        let most = self.max_activation(&[ScalarValue::from(model), ScalarValue::from(source), index]).await?;
        most.ok_or_else(|| {
            refused(format!("the largest activation of a feature of {model}/{source} is not known"))
                .with_hint("CALL generate_dashboards finds it; or give the strength itself instead of times_max")
        })
    }
}

fn intervention(steering: &Steering, item: &Item, direction: Direction) -> Result<Intervention> {
    let method = item.method.unwrap_or(steering.method);
    let Direction { point, vector, feature, most, name } = direction;
    let strength = match (item.strength, item.times_max, most) {
        (Some(strength), None, _) => Some(strength * steering.multiplier),
        (None, Some(times), Some(most)) => Some(times * most * steering.multiplier),
        (None, None, _) => None,
        (Some(_), Some(_), _) => return Err(refused(format!("{name} has a strength and times_max: give one of them"))),
        (None, Some(_), None) => return Err(refused(format!("{name} has no largest activation: give its strength"))),
    };
    let needed = || strength.ok_or_else(|| refused(format!("{name} has no strength")));
    let of_feature = || {
        feature.clone().ok_or_else(|| {
            refused(format!("{name} has no activation that could be set"))
                .with_hint("set, scale and ablate are for features; additive, orthogonal and cap for vectors too")
        })
    };
    let change = match method {
        Method::Additive => Change::Add { direction: vector, strength: needed()? },
        Method::Orthogonal => Change::Orthogonal { direction: vector, strength: needed()? },
        Method::Cap => Change::Cap { direction: vector, most: needed()? },
        Method::Set => Change::Set { feature: of_feature()?, value: needed()? },
        Method::Scale => Change::Scale { feature: of_feature()?, factor: needed()? },
        Method::Ablate => Change::ablate(of_feature()?),
    };
    let which = match &item.positions {
        None | Some(At::Named(Named::All)) => Which::All,
        Some(At::Named(Named::Prompt)) => Which::Prompt,
        Some(At::Named(Named::Generated)) => Which::Generated,
        Some(At::Chosen(positions)) => Which::Chosen(positions.clone()),
    };
    let skip_special = item.skip_special.unwrap_or(steering.skip_special);
    Ok(Intervention::new(point, change).at(Positions { which, skip_special }))
}
