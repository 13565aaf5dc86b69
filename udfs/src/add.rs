//! Making models and sources known: what their files say, as rows of `models`, `source_sets` and `sources`.

use std::sync::Arc;

use latentdb_engine::{Engine, Error, ErrorKind, Result, ScalarValue, Session};
use latentdb_runtime::DeviceName;
use latentdb_runtime::model::Config as ModelConfig;
use latentdb_runtime::source::{Config as SourceConfig, OpenOptions, Source};
use latentdb_runtime::tokens::Tokenizer;
use serde_json::{Value, json};

use crate::address::layer_of;
use crate::failure::from_runtime;
use crate::hints::SourceHints;
use crate::hub::{Downloads, Hub, Wanted};
use crate::library::HINTS;
use crate::location::Location;

/// A model that was added.
#[derive(Debug, Clone)]
pub struct AddedModel {
    /// Its id.
    pub id: String,
    /// What its files say.
    pub config: ModelConfig,
}

/// A source that was added.
#[derive(Debug, Clone)]
pub struct AddedSource {
    /// Its address: model/source.
    pub address: String,
    /// What its files say.
    pub config: SourceConfig,
}

const INSERT_MODEL: &str = "\
INSERT INTO models
(model_id, family, n_layers, d_model, n_heads, d_head, d_mlp, d_vocab, n_ctx, weights_uri, instruct, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, now())
ON CONFLICT (model_id) DO UPDATE SET family = excluded.family, n_layers = excluded.n_layers, d_model = excluded.d_model,
n_heads = excluded.n_heads, d_head = excluded.d_head, d_mlp = excluded.d_mlp, d_vocab = excluded.d_vocab,
n_ctx = excluded.n_ctx, weights_uri = excluded.weights_uri, instruct = excluded.instruct";

const INSERT_SET: &str = "\
INSERT INTO source_sets (model_id, set_id, kind, created_at) VALUES ($1, $2, $3, now())
ON CONFLICT (model_id, set_id) DO NOTHING";

const INSERT_SOURCE: &str = "\
INSERT INTO sources (model_id, source_id, set_id, layer, hook_point, architecture, d_sae, weights_uri, settings, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now())
ON CONFLICT (model_id, source_id) DO UPDATE SET hook_point = excluded.hook_point, architecture = excluded.architecture,
d_sae = excluded.d_sae, weights_uri = excluded.weights_uri, settings = excluded.settings";

/// Adds the model at `location` under `id`, or says where the weights of one that is there are. Weights on the hub are
/// fetched, and the commit is kept, so that the same ones are used ever after.
///
/// # Errors
/// If there is no model that can be run, or it cannot be fetched.
pub async fn add_model(
    engine: &Engine,
    id: &str,
    location: &Location,
    downloads: &Arc<dyn Downloads>,
) -> Result<AddedModel> {
    check_name(id, "model")?;
    let fetched = Hub::default().fetch(location, Wanted::Model, downloads).await?;
    let config = ModelConfig::read(&fetched.path).map_err(from_runtime)?;
    let values = [
        ScalarValue::from(id),
        ScalarValue::from(config.family.to_string()),
        number(config.n_layers),
        number(config.d_model),
        number(config.n_heads),
        number(config.d_head),
        number(config.d_mlp),
        number(config.d_vocab),
        number(config.n_ctx),
        ScalarValue::from(fetched.location.to_string()),
        ScalarValue::from(Tokenizer::has_chat_template(&fetched.path)),
    ];
    execute(&engine.session("latentdb"), INSERT_MODEL, &values).await?;
    Ok(AddedModel { id: id.to_owned(), config })
}

/// Adds the source at `location` under the address `model/source`, or says where the weights of one that is there are.
/// `hints` has what the files do not say. Weights on the hub are fetched, as with [`add_model`].
///
/// # Errors
/// If there is no such model, or no source can be read at `location`.
pub async fn add_source(
    engine: &Engine,
    address: &str,
    location: &Location,
    hints: SourceHints,
    downloads: &Arc<dyn Downloads>,
) -> Result<AddedSource> {
    let (model, source) = address.split_once('/').ok_or_else(|| {
        Error::new(ErrorKind::InvalidValue, format!("{address:?} is no source's address"))
            .with_hint("write MODEL/SOURCE, as in gpt2-small/10-res-jb")
    })?;
    check_name(source, "source")?;
    let (layer, set) = parts(source)?;
    let session = engine.session("latentdb");
    require_model(&session, model).await?;
    let (stored, hints) = (hints.to_json(), hints.to_runtime()?);
    let fetched = Hub::default().fetch(location, Wanted::Source, downloads).await?;
    let place = fetched.path;
    let open = move || {
        let options = OpenOptions { device: DeviceName::Cpu.open()?, fold_decoder_norm: false, hints };
        Source::open(&place, &options).map(|source| source.config().clone())
    };
    let opened = tokio::task::spawn_blocking(open).await;
    let config = opened.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?.map_err(from_runtime)?;
    let kind = if config.output_point.is_some() { "transcoder" } else { "sae" };
    execute(&session, INSERT_SET, &[model, set, kind].map(ScalarValue::from)).await?;
    let settings = settings(&config, stored);
    let values = [
        ScalarValue::from(model),
        ScalarValue::from(source),
        ScalarValue::from(set),
        number(layer),
        ScalarValue::from(config.point.to_string()),
        ScalarValue::from(config.architecture.to_string()),
        number(config.d_sae),
        ScalarValue::from(fetched.location.to_string()),
        ScalarValue::from(settings.to_string()),
    ];
    execute(&session, INSERT_SOURCE, &values).await?;
    Ok(AddedSource { address: address.to_owned(), config })
}

/// What the table keeps of a source's configuration.
fn settings(config: &SourceConfig, hints: Value) -> Value {
    let mut settings =
        json!({ "d_in": config.d_in, "d_sae": config.d_sae, "d_out": config.d_out, "metadata": config.metadata });
    if let Some(settings) = settings.as_object_mut() {
        settings.insert(HINTS.to_owned(), hints);
    }
    settings
}

/// Layer and set of a source id.
fn parts(source: &str) -> Result<(usize, &str)> {
    let set = source.split_once('-').map(|(_, set)| set.split("__").next().unwrap_or(set));
    match (layer_of(source), set) {
        (Some((layer, false)), Some(set)) if !set.is_empty() => Ok((layer, set)),
        _ => Err(Error::new(ErrorKind::InvalidValue, format!("{source:?} is no source id"))
            .with_hint("a source id is its layer and its set, as in 10-res-jb")),
    }
}

fn check_name(name: &str, what: &str) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidValue, format!("{name:?} cannot be a {what} id"))
        .with_hint("ids are of letters, digits, hyphens, underscores and full stops"))
}

pub(crate) async fn require_model(session: &Session, model: &str) -> Result<()> {
    let rows = execute(session, "SELECT 1 FROM models WHERE model_id = $1", &[ScalarValue::from(model)]).await?;
    if rows > 0 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::UndefinedObject, format!("there is no model {model}"))
        .with_hint(format!("latentdb model add {model} DIR adds it")))
}

/// Runs one statement; the number of rows it gave.
pub(crate) async fn execute(session: &Session, sql: &str, values: &[ScalarValue]) -> Result<usize> {
    let mut statements = session.parse(sql)?;
    let statement = statements.pop().ok_or_else(|| Error::new(ErrorKind::Internal, "no statement"))?;
    let prepared = session.prepare(&statement, &[]).await?;
    let types = prepared.parameters().to_vec();
    let values = values.iter().zip(&types).map(|(value, to)| value.cast_to(to));
    let values: Vec<ScalarValue> =
        values.collect::<Result<_, _>>().map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
    // Boxed, as the futures of everyone who adds something hold this one's several times.
    let outcome = Box::pin(session.execute(&prepared, values)).await?;
    match outcome {
        latentdb_engine::Outcome::Rows { rows, .. } => {
            Ok(rows.collect().await?.iter().map(|batch| batch.num_rows()).sum())
        }
        _ => Ok(0),
    }
}

fn number(value: usize) -> ScalarValue {
    ScalarValue::Int64(i64::try_from(value).ok())
}
