//! The pass: measures some sources of a model on token sequences.
//!
//! The model runs once for what it does anyway. For the losses it runs again from the start, for each source with its
//! reconstruction in place, and for each output point with zeros in place.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use candle_core::Tensor;

use super::loss::Streams;
use super::prompts::Prompts;
use super::sums::Sums;
use crate::model::{Batch, Capture, Edit, Model, Until};
use crate::ops::with_values;
use crate::service::{Parts, Pass, Wants};
use crate::source::{Reconstruction, Source};
use crate::{Error, ErrorKind, Place, Point, Result};

/// What is measured, and at which tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalSettings {
    /// Tokens at which nothing counts: those that no source was trained on.
    pub ignored: HashSet<u32>,
    /// Whether the reconstruction is put in place at ignored tokens too. False is SAELens', which leaves them as they are, and
    /// true is SAEBench's unless it is told otherwise.
    pub replaces_ignored: bool,
    /// Whether losses are measured, which takes most of the time.
    pub measures_loss: bool,
}

impl Default for EvalSettings {
    fn default() -> Self {
        Self { ignored: HashSet::new(), replaces_ignored: false, measures_loss: true }
    }
}

/// Measures some sources of one model. Nothing is cut, and no BOS is put in front: sequences count as they come.
#[derive(Debug)]
pub struct Evaluate {
    sources: Vec<Arc<Source>>,
    settings: EvalSettings,
    /// The residual stream that the logits are made of.
    last: Point,
    sums: Vec<Sums>,
}

impl Evaluate {
    /// Measures `sources` in `model`, whose worker is to run this.
    ///
    /// # Errors
    /// `InvalidInput` for a source that does not reconstruct by itself (a layer of a cross-layer transcoder), or, where losses
    /// are measured, whose output point cannot be replaced.
    pub fn new(model: &Model, sources: Vec<Arc<Source>>, settings: EvalSettings) -> Result<Self> {
        sources.iter().try_for_each(|source| check(source, &settings))?;
        let sums = sources.iter().map(|source| Sums::new(source.config())).collect();
        let last = Point::new(Place::ResidPost, model.config().n_layers.saturating_sub(1));
        Ok(Self { sources, settings, last, sums })
    }
}

fn check(source: &Source, settings: &EvalSettings) -> Result<()> {
    let (config, point) = (source.config(), source.output_point());
    if !config.reconstructs {
        let message = format!("the source at {} has no reconstruction that could be measured", config.point);
        return Err(Error::new(ErrorKind::InvalidInput, message)
            .with_hint("a layer of a cross-layer transcoder writes to all later layers, together with the others"));
    }
    let is_fixed = matches!(point.place, Place::Pattern | Place::FinalNormalized | Place::Logits);
    if is_fixed && settings.measures_loss {
        let message = format!("a reconstruction cannot take the place of what is at {point}");
        return Err(Error::new(ErrorKind::InvalidInput, message).with_hint("measure it without losses"));
    }
    Ok(())
}

impl Pass for Evaluate {
    /// For each source, its sums over all sequences.
    type Answer = Vec<Sums>;

    fn wants(&self) -> Wants {
        let of_source = |source: &Arc<Source>| [source.config().point, source.output_point()];
        let last = self.settings.measures_loss.then_some(self.last);
        Wants::points(self.sources.iter().flat_map(of_source).chain(last))
    }

    fn read(&mut self, parts: &Parts<'_>) -> Result<()> {
        let prompts = Prompts::new(parts, &self.settings)?;
        let mut runs = Runs { parts, prompts: &prompts, last: self.last, ablated: HashMap::new() };
        for (source, sums) in self.sources.iter().zip(&mut self.sums) {
            let output = measure(source, parts, &prompts, sums)?;
            if self.settings.measures_loss {
                runs.measure_loss(source.output_point(), output, self.settings.replaces_ignored, sums)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Self::Answer> {
        Ok(self.sums)
    }
}

/// Measures sparsity and fit; gives the reconstruction `[N, d_out]`.
fn measure(source: &Source, parts: &Parts<'_>, prompts: &Prompts, sums: &mut Sums) -> Result<Tensor> {
    let config = source.config();
    let point = source.output_point();
    let target = parts.value(point)?;
    if target.dim(1)? != config.d_out {
        let message = format!("the source writes {} values, and {point} holds {}", config.d_out, target.dim(1)?);
        return Err(Error::new(ErrorKind::InvalidInput, message).with_hint("it belongs to another model or point"));
    }
    let input = parts.value(config.point)?.contiguous()?;
    let mut latest = vec![0; config.d_sae];
    let mut outputs = Vec::new();
    source.reconstruct_in_blocks(&input, prompts.sequences(), |block: Reconstruction| {
        parts.check_awaited()?;
        let rows = prompts.rows_in(&block.rows);
        with_values(&block.features, |values, _| sums.sparsity.read(values, &rows, &mut latest))?;
        outputs.push(block.output);
        Ok(())
    })?;
    let output = Tensor::cat(&outputs, 0)?;
    with_values(&target, |x, width| {
        with_values(&output, |y, _| {
            for sequence in prompts.sequences() {
                let rows = prompts.counting(sequence.clone()).map(|row| row * width..(row + 1) * width);
                let tokens: Vec<_> = rows.filter_map(|own| Some((x.get(own.clone())?, y.get(own)?))).collect();
                sums.fit.read(&tokens);
            }
        })
    })??;
    Ok(output)
}

/// Runs of the model with something changed.
struct Runs<'a> {
    parts: &'a Parts<'a>,
    prompts: &'a Prompts,
    last: Point,
    /// The last residual stream with zeros at a point.
    ablated: HashMap<Point, Tensor>,
}

impl Runs<'_> {
    fn measure_loss(&mut self, point: Point, output: Tensor, replaces_ignored: bool, sums: &mut Sums) -> Result<()> {
        let positions = self.prompts.positions();
        if positions.is_empty() {
            return Ok(());
        }
        let model = self.parts.model();
        let ablated = match self.ablated.get(&point) {
            Some(known) => known.clone(),
            None => self.with(point, |value, _| Ok(value.zeros_like()?))?,
        };
        self.ablated.insert(point, ablated.clone());
        let source = self.with(point, |value, _| {
            let output = output.to_device(value.device())?.to_dtype(value.dtype())?;
            match replaces_ignored {
                true => Ok(output),
                false => Ok(self.prompts.mask(value.dim(1)?, value.device())?.where_cond(&output, &value)?),
            }
        })?;
        let streams = Streams { clean: &self.parts.value(self.last)?, source: &source, ablated: &ablated };
        sums.loss.read(model, &streams, &positions, || self.parts.check_awaited())
    }

    /// The last residual stream `[N, d]` with a change at `point`.
    fn with(&self, point: Point, change: impl FnMut(Tensor, &Batch) -> Result<Tensor>) -> Result<Tensor> {
        self.parts.check_awaited()?;
        stream_with(self.parts.model(), &self.prompts.batch, self.last, point, change)
    }
}

/// The residual stream `[N, d]` at `last` with a change at `point`.
fn stream_with(
    model: &Model,
    batch: &Batch,
    last: Point,
    point: Point,
    change: impl FnMut(Tensor, &Batch) -> Result<Tensor>,
) -> Result<Tensor> {
    let mut tap = (Edit::new(point, change), Capture::new([last]));
    model.forward(batch, &mut tap, Until::Point(last))?;
    tap.1.get(last).cloned().ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, format!("the model has no layer {}", last.layer))
            .with_hint(format!("it has {}", model.config().n_layers))
    })
}
