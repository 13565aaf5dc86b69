//! A picture of many vectors: a place in the plane for each, such that vectors of like direction lie together (UMAP), and the
//! cluster that it lies in (HDBSCAN).
//!
//! Neuronpedia shows one for a source ("UMAP of features"), of decoder directions or of the embeddings of explanations. It
//! does not say how it is made; this one follows umap-learn 0.5 with the cosine metric, but for three things: neighbours are
//! exact, points start on principal components, and a vector of zeros has no place, because it has no direction.
//!
//! The same vectors and settings give the same picture, bit for bit, on one machine, whatever the number of threads. The
//! matrix of all cosines never exists.

mod clusters;
mod curve;
mod descent;
mod graph;
mod start;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use candle_core::{Device, Tensor};

use self::clusters::clusters;
use self::curve::Curve;
use self::descent::descend;
use self::graph::{Nearest, fuzzy_union};
use self::start::{Point, start};
use crate::dashboard::{Directions, LEAST_NORM};
use crate::ops::with_values;
use crate::random::Random;
use crate::{Error, ErrorKind, Result};

/// How many values of the vectors, or of their cosines, are looked at together: 64 MiB of them.
const BLOCK_VALUES: usize = 16 << 20;
/// A distance that comes from rounding alone.
const EQUAL: f32 = 1e-6;
/// Above so many vectors, fewer epochs are enough: umap-learn's rule.
const MANY: usize = 10_000;

/// How a picture is made.
#[derive(Debug, Clone, PartialEq)]
pub struct LayoutSettings {
    /// How many vectors make a neighbourhood, the vector itself counted: at least 2. Fewer show details, more the whole.
    pub neighbors: usize,
    /// How near to each other points may lie, from 0 to 1, in the units of the picture.
    pub min_dist: f32,
    /// How often the points are moved; if not given, 500 times, or 200 times for more than 10,000 vectors.
    pub epochs: Option<usize>,
    /// The least number of points of a cluster; if not given, a thousandth of all, and at least 10.
    pub smallest_cluster: Option<usize>,
    /// What all random numbers follow from.
    pub seed: u64,
}

impl Default for LayoutSettings {
    fn default() -> Self {
        Self { neighbors: 15, min_dist: 0.1, epochs: None, smallest_cluster: None, seed: 0 }
    }
}

impl LayoutSettings {
    fn check(&self) -> Result<()> {
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidInput, message));
        if self.neighbors < 2 {
            return invalid(format!("a layout needs at least 2 neighbors, and {} is asked for", self.neighbors));
        }
        if !(0.0..=1.0).contains(&self.min_dist) {
            return invalid(format!("min_dist of a layout is from 0 to 1, and not {}", self.min_dist));
        }
        Ok(())
    }

    fn epochs(&self, vectors: usize) -> usize {
        self.epochs.unwrap_or(if vectors > MANY { 200 } else { 500 })
    }

    fn smallest_cluster(&self, vectors: usize) -> usize {
        self.smallest_cluster.unwrap_or_else(|| (vectors / 1000).max(10))
    }
}

/// The place of a vector in the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placed {
    /// To the right. Neither the units nor the origin mean anything.
    pub x: f32,
    /// Upwards.
    pub y: f32,
    /// The cluster, if it lies in one. They are numbered from 0, larger ones first.
    pub cluster: Option<u32>,
}

/// What is being done to a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Neighbours are looked for; counted in vectors.
    Neighbors,
    /// Points are moved; counted in epochs.
    Descent,
}

/// How far a stage has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// What is done of it.
    pub done: usize,
    /// All that is to be done in it.
    pub total: usize,
}

/// The picture of `vectors` `[n, d]`: a place for each, but for those of length 0. `progress` is told how far it has come
/// and may end it.
///
/// # Errors
/// `InvalidInput` if a value is not finite or a setting is out of its range; `Cancelled` if `progress` ended it.
pub fn layout(
    vectors: &Tensor,
    settings: &LayoutSettings,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Vec<Option<Placed>>> {
    settings.check()?;
    let with_direction = with_direction(vectors)?;
    let mut placed = vec![None; with_direction.len()];
    let rows: Vec<u32> = (0u32..).zip(&with_direction).filter_map(|(row, has)| has.then_some(row)).collect();
    let own = if rows.len() == with_direction.len() {
        vectors.clone()
    } else {
        vectors.index_select(&Tensor::new(rows.as_slice(), vectors.device())?, 0)?
    };
    let points = if rows.is_empty() { Vec::new() } else { points(&own, settings, progress)? };
    let clusters = clusters(&points, settings.smallest_cluster(points.len()))?;
    let places = placed.iter_mut().zip(&with_direction).filter(|(_, has)| **has).map(|(place, _)| place);
    for (place, ([x, y], cluster)) in places.zip(points.into_iter().zip(clusters)) {
        *place = Some(Placed { x, y, cluster });
    }
    Ok(placed)
}

/// Vectors `[n, width]` from their values, one after the other.
///
/// # Errors
/// If the values do not fill a number of vectors.
pub fn vectors(values: Vec<f32>, width: usize) -> Result<Tensor> {
    let count = values.len() / width.max(1);
    Ok(Tensor::from_vec(values, (count, width), &Device::Cpu)?)
}

/// Which of `vectors` are long enough to have a direction.
fn with_direction(vectors: &Tensor) -> Result<Vec<bool>> {
    let (count, width) = vectors.dims2()?;
    let mut found = Vec::with_capacity(count);
    if width == 0 {
        found.resize(count, false);
    }
    while found.len() < count {
        let rows = (BLOCK_VALUES / width).clamp(1, count - found.len());
        let block = vectors.narrow(0, found.len(), rows)?;
        let norms: Vec<f32> = with_values(&block, |values, width| {
            values.chunks_exact(width).map(|row| row.iter().map(|value| value * value).sum::<f32>().sqrt()).collect()
        })?;
        if let Some(place) = norms.iter().position(|norm| !norm.is_finite()) {
            let message = format!("vector {} has a value that is not a number, or is too large", found.len() + place);
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        found.extend(norms.into_iter().map(|norm| f64::from(norm) > LEAST_NORM));
    }
    Ok(found)
}

/// The places of vectors that all have a direction.
fn points(
    vectors: &Tensor,
    settings: &LayoutSettings,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Vec<Point>> {
    let directions = Directions::of(vectors)?;
    let nearest = nearest(&directions, settings.neighbors, progress)?;
    let mut random = Random::new(settings.seed);
    let mut points = start(directions.unit(), &mut random)?;
    drop(directions);
    let edges = fuzzy_union(&nearest);
    let total = settings.epochs(points.len());
    let after_epoch = |done| progress(Progress { stage: Stage::Descent, done, total });
    let end = descend(&mut points, &edges, Curve::fit(settings.min_dist), total, &mut random, after_epoch);
    if end.is_break() { Err(cancelled()) } else { Ok(points) }
}

/// The nearest others of every vector, by `1 - cosine`.
fn nearest(
    directions: &Directions,
    neighbors: usize,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Vec<Nearest>> {
    let total = directions.unit().dim(0)?;
    let others = neighbors.min(total).saturating_sub(1);
    let mut found: Vec<Nearest> = Vec::with_capacity(total);
    while found.len() < total {
        let end = (found.len() + (BLOCK_VALUES / total).max(1)).min(total);
        let block = directions.nearest(found.len()..end, others)?;
        found.extend(
            block.into_iter().map(|own| own.into_iter().map(|(other, cosine)| (other, distance(cosine))).collect()),
        );
        if progress(Progress { stage: Stage::Neighbors, done: end, total }).is_break() {
            return Err(cancelled());
        }
    }
    Ok(found)
}

fn distance(cosine: f32) -> f32 {
    let distance = 1.0 - cosine;
    if distance < EQUAL { 0.0 } else { distance }
}

fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the layout was ended")
}
