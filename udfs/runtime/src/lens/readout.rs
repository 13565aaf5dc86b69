//! What is read out of the residual stream: by which lenses, after which blocks, and how many tokens.

use std::sync::Arc;

use candle_core::Tensor;

use super::jacobian::JacobianLens;
use super::likeliest::{TokenLogit, likeliest};
use crate::model::{Config, Model};
use crate::ops::with_values;
use crate::{Error, ErrorKind, Place, Point, Result};

/// A lens.
#[derive(Debug, Clone)]
pub enum Lens {
    /// The stream as it is.
    Logit,
    /// The stream, brought to the last layer by average Jacobians.
    Jacobian(Arc<JacobianLens>),
}

impl Lens {
    /// Layers that it can be put on, in order. The last one is always among them, where every lens shows the model's own answer.
    fn layers(&self, n_layers: usize) -> Vec<usize> {
        let last = n_layers.saturating_sub(1);
        match self {
            Self::Logit => (0..n_layers).collect(),
            Self::Jacobian(lens) => lens.layers().filter(|layer| *layer < last).chain([last]).collect(),
        }
    }

    fn transport(&self, layer: usize, streams: &Tensor) -> Result<Tensor> {
        match self {
            Self::Logit => Ok(streams.clone()),
            Self::Jacobian(lens) => lens.transport(layer, streams),
        }
    }
}

/// What is read out.
#[derive(Debug, Clone)]
pub struct Readout {
    lenses: Vec<(Lens, Vec<usize>)>,
    n_layers: usize,
    top_k: usize,
    only_words: bool,
    /// Positions before this one are not read out.
    pub from: usize,
}

/// The likeliest tokens at a position: for each lens, for each of its layers, likeliest first.
pub type PositionReadout = Vec<Vec<Vec<TokenLogit>>>;

impl Readout {
    /// Reads the `top_k` likeliest tokens through `lenses`, after the blocks `layers` of a model and the last one; after all where
    /// none is named. With `only_words`, tokens that are no words are left out, but for the model's own first choice.
    ///
    /// # Errors
    /// `InvalidInput` for a layer that the model does not have, and for a lens of another model.
    pub fn new(config: &Config, lenses: Vec<Lens>, layers: &[usize], top_k: usize, only_words: bool) -> Result<Self> {
        let n_layers = config.n_layers;
        let last = n_layers.saturating_sub(1);
        if let Some(beyond) = layers.iter().find(|layer| **layer > last) {
            let message = format!("there is no layer {beyond}");
            return Err(
                Error::new(ErrorKind::InvalidInput, message).with_hint(format!("the model's layers are 0 to {last}"))
            );
        }
        let mut all = Vec::with_capacity(lenses.len());
        for lens in lenses {
            if let Lens::Jacobian(jacobians) = &lens {
                jacobians.check(config)?;
            }
            let is_wanted = |layer: &usize| layers.is_empty() || layers.contains(layer) || *layer == last;
            let chosen = lens.layers(n_layers).into_iter().filter(is_wanted).collect();
            all.push((lens, chosen));
        }
        Ok(Self { lenses: all, n_layers, top_k, only_words, from: 0 })
    }

    /// The layers of each lens, in order.
    pub fn layers(&self) -> impl Iterator<Item = &[usize]> {
        self.lenses.iter().map(|(_, layers)| layers.as_slice())
    }

    /// The points that it looks at.
    pub fn points(&self) -> impl Iterator<Item = Point> {
        let is_read = |layer: &usize| self.layers().any(|layers| layers.contains(layer));
        (0..self.n_layers).filter(is_read).map(|layer| Point::new(Place::ResidPost, layer))
    }

    /// Reads positions whose streams `[N, d]` at a point `stream` gives: what each of them says.
    ///
    /// # Errors
    /// Those of `stream`.
    pub(crate) fn read(&self, model: &Model, stream: impl Fn(Point) -> Result<Tensor>) -> Result<Vec<PositionReadout>> {
        let mut positions: Vec<PositionReadout> = Vec::new();
        for (number, (lens, layers)) in self.lenses.iter().enumerate() {
            for layer in layers {
                let streams = stream(Point::new(Place::ResidPost, *layer))?;
                let said = self.said(model, &lens.transport(*layer, &streams)?, *layer)?;
                positions.resize_with(said.len(), Vec::new);
                for (position, tokens) in positions.iter_mut().zip(said) {
                    position.resize_with(number + 1, Vec::new);
                    if let Some(of_lens) = position.get_mut(number) {
                        of_lens.push(tokens);
                    }
                }
            }
        }
        Ok(positions)
    }

    /// The likeliest tokens of each row of streams.
    fn said(&self, model: &Model, streams: &Tensor, layer: usize) -> Result<Vec<Vec<TokenLogit>>> {
        let is_last = layer + 1 == self.n_layers;
        let words = if self.only_words { Some(model.tokenizer().word_like()) } else { None };
        let is_word = |token: u32| words.is_none_or(|words| words.get(token as usize).copied().unwrap_or(false));
        with_values(&model.unembed(streams)?, |values, width| {
            let rows = values.chunks_exact(width.max(1));
            rows.map(|row| {
                let first = likeliest(row, usize::from(is_last), |_| true).first().map(|first| first.token);
                likeliest(row, self.top_k, |token| is_word(token) || Some(token) == first)
            })
            .collect()
        })
    }
}
