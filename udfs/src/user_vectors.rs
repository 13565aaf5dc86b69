//! The table `vectors`: directions that users made, read one by one, or as sources of one feature each.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Float32Type};
use latentdb_engine::{Engine, Error, ErrorKind, RepeatedQuery, Result, ScalarValue};
use latentdb_runtime::Point;
use latentdb_runtime::source::Source;
use xxhash_rust::xxh3::xxh3_64;

use crate::failure::from_runtime;
use crate::library::{NamedSource, column, text_at};

/// Name of the set of sources that vectors are, and what stands before the id of one.
pub(crate) const VECTORS: &str = "vectors";

const ONE: &str = "SELECT model_id, hook_point, label, vector FROM vectors WHERE vector_id = $1";
const OF_MODEL: &str = "SELECT vector_id FROM vectors WHERE model_id = $1 ORDER BY vector_id";

/// A row of the table `vectors`.
#[derive(Debug, Clone)]
pub(crate) struct StoredVector {
    pub(crate) model: String,
    pub(crate) point: Point,
    pub(crate) label: Option<String>,
    pub(crate) components: Vec<f32>,
}

/// The vectors of a database.
#[derive(Debug)]
pub(crate) struct UserVectors {
    one: RepeatedQuery,
    of_model: RepeatedQuery,
}

impl UserVectors {
    pub(crate) fn new(engine: &Engine) -> Self {
        let lookup = |sql: &str| RepeatedQuery::new(engine.clone(), "latentdb", sql);
        Self { one: lookup(ONE), of_model: lookup(OF_MODEL) }
    }

    /// The vector with this id.
    pub(crate) async fn get(&self, id: &str) -> Result<StoredVector> {
        let rows = self.one.rows(&[ScalarValue::from(id)]).await?;
        if rows.num_rows() == 0 {
            return Err(Error::new(ErrorKind::UndefinedObject, format!("there is no vector {id}"))
                .with_hint("SELECT vector_id, model_id, hook_point FROM vectors lists them"));
        }
        let lists = column(&rows, 3, &DataType::new_list(DataType::Float32, true))?;
        Ok(StoredVector {
            model: text_at(&rows, 0, 0)?.unwrap_or_default(),
            point: text_at(&rows, 1, 0)?.unwrap_or_default().parse().map_err(from_runtime)?,
            label: text_at(&rows, 2, 0)?,
            components: lists.as_list::<i32>().value(0).as_primitive::<Float32Type>().values().to_vec(),
        })
    }

    /// Ids of a model's vectors.
    pub(crate) async fn of_model(&self, model: &str) -> Result<Vec<String>> {
        let rows = self.of_model.rows(&[ScalarValue::from(model)]).await?;
        let ids: Result<Vec<_>> = (0..rows.num_rows()).map(|row| text_at(&rows, 0, row)).collect();
        Ok(ids?.into_iter().flatten().collect())
    }

    /// A vector of `model` as a source of one feature, whose id is the vector's.
    pub(crate) async fn source(&self, model: &str, id: &str) -> Result<NamedSource> {
        let vector = self.get(id).await?;
        if vector.model != model {
            let message = format!("vector {id} is of model {}, not of {model}", vector.model);
            return Err(Error::new(ErrorKind::InvalidValue, message));
        }
        let named = |error: latentdb_runtime::Error| from_runtime(error.within(format!("vector {id}")));
        let source = Source::direction(vector.point, &vector.components).map_err(named)?;
        let bytes: Vec<u8> = vector.components.iter().flat_map(|component| component.to_le_bytes()).collect();
        let origin = format!("vector at {} {:016x}", vector.point, xxh3_64(&bytes));
        Ok(NamedSource { id: id.to_owned(), source: Arc::new(source), origin, vector: Some(Arc::new(vector)) })
    }
}
