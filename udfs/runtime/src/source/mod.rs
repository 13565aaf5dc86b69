//! Sources: dictionaries that read features out of a model's activations, in every published format.
//!
//! A source is opened once and then only read, by any number of threads. On opening, its files are checked, its
//! tensors are brought to single precision, and what can be folded into the weights is folded; so encoding is one
//! matrix product and one pass over it. Formulas are those of SAELens 6, and of a format's own library where
//! SAELens differs from it.

mod architecture;
mod archive;
mod blocks;
mod config;
mod decode;
mod encode;
mod fold;
mod formats;
#[cfg(test)]
pub(crate) mod made_up;
mod normalize;
mod npz;
pub mod pickle;
mod reconstruct;
mod screen;
mod step;
mod tensors;
mod weights;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

pub use self::architecture::Architecture;
pub use self::blocks::Block;
pub use self::config::{Config, Hints, Normalization, OpenOptions};
use self::encode::{Activation, Encoder};
pub use self::formats::Format;
pub use self::normalize::Norms;
pub use self::reconstruct::Reconstruction;
use self::screen::Screen;
pub use self::screen::{Hit, Screening, Span};
pub(crate) use self::tensors::TensorFile;
use self::weights::{Draft, Weights};
use crate::{Error, ErrorKind, Place, Point, Result};

/// A dictionary of features: an SAE, a transcoder, a layer of a cross-layer transcoder, or a layer's neurons.
#[derive(Debug, Clone)]
pub struct Source {
    config: Config,
    encoder: Encoder,
    /// `None` for neurons, which are what they read.
    weights: Option<Weights>,
    /// Norms `[F]` in whose units the features are, to be divided by before decoding.
    unit: Option<Tensor>,
    /// Lengths `[F]` of the decoder's rows before they were folded.
    decoder_norms: Option<Vec<f32>>,
    device: Device,
    screen: Arc<Screen>,
}

/// Features, with what decoding them needs.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// Features `[N, F]`.
    pub features: Tensor,
    /// What normalising took from each position.
    pub norms: Norms,
}

impl Source {
    /// Opens the source at `path`: a folder, or the file with the weights.
    ///
    /// # Errors
    /// `NotFound` if there is no such file; `BadFile` if one is damaged, lacks a tensor, or has one of a wrong shape;
    /// `Unsupported` for an architecture or format that is not known; `InvalidInput` if something is missing that
    /// only `options.hints` can tell.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self> {
        let draft = formats::read(path, &options.hints)?;
        Self::build(draft, options).map_err(|error| match error.message().contains(&*path.to_string_lossy()) {
            true => error,
            false => error.within(path.display()),
        })
    }

    fn build(mut draft: Draft, options: &OpenOptions) -> Result<Self> {
        let mut weights = draft.weights(&options.device)?;
        if let Some(factor) = draft.scaling {
            weights.fold_scaling(factor, &mut draft.activation)?;
        }
        let mut unit = draft.is_rescaled.then(|| weights.decoder_norms()).transpose()?;
        if let Some(whitening) = &draft.whitening {
            // Unwhitening changes the decoder's norms, and with them the ranks of a top-k: its norms go first.
            if unit.take().is_some() {
                weights.fold_decoder_norms()?;
                draft.is_rescaled = false;
            }
            weights.fold_whitening(whitening, &draft.config)?;
        }
        let decoder_norms = Some(weights.decoder_norms()?.to_vec1()?);
        if options.fold_decoder_norm && can_fold_norms(&draft) {
            weights.fold_decoder_norms()?;
            draft.config.folded = true;
            unit = None;
        }
        let encoder = Encoder::new(draft.activation, &weights, unit.as_ref())?;
        let (config, device) = (draft.config, options.device.clone());
        Ok(Self { config, encoder, weights: Some(weights), unit, decoder_norms, device, screen: Arc::default() })
    }

    /// The neurons of a layer as a source: features are the input of the MLP's output projection.
    pub fn neurons(layer: usize, d_mlp: usize) -> Self {
        let config = Config {
            architecture: Architecture::Neurons,
            format: None,
            d_in: d_mlp,
            d_sae: d_mlp,
            d_out: d_mlp,
            point: Point::new(Place::MlpPost, layer),
            output_point: None,
            apply_b_dec_to_input: false,
            normalization: Normalization::None,
            k: None,
            folded: false,
            reconstructs: true,
            model_name: None,
            neuronpedia_id: None,
            prepend_bos: None,
            context_size: None,
            metadata: serde_json::Map::new(),
        };
        Self {
            config,
            encoder: Encoder::Identity,
            weights: None,
            unit: None,
            decoder_norms: None,
            device: Device::Cpu,
            screen: Arc::default(),
        }
    }

    /// A direction as a source of one feature: `relu(x · vector)` at `point`, which writes the vector.
    ///
    /// # Errors
    /// `InvalidInput` if a component is not finite, or there is none.
    pub fn direction(point: Point, vector: &[f32]) -> Result<Self> {
        if vector.is_empty() || vector.iter().any(|component| !component.is_finite()) {
            return Err(Error::new(ErrorKind::InvalidInput, "a vector needs components, each a finite number"));
        }
        let (width, device) = (vector.len(), Device::Cpu);
        let decoder = Tensor::new(vector, &device)?.unsqueeze(0)?;
        let weights = Weights {
            encoder: decoder.t()?,
            encoder_bias: Tensor::zeros(1, DType::F32, &device)?,
            decoder_bias: Tensor::zeros(width, DType::F32, &device)?,
            decoder,
            threshold: None,
            gate: None,
            skip: None,
            attention: Vec::new(),
            is_tied: true,
        };
        let encoder = Encoder::new(Activation::Relu, &weights, None)?;
        let decoder_norms = Some(weights.decoder_norms()?.to_vec1()?);
        let neurons = Self::neurons(point.layer, width);
        let config = Config { architecture: Architecture::Standard, d_sae: 1, point, ..neurons.config };
        Ok(Self { config, encoder, weights: Some(weights), unit: None, decoder_norms, device, screen: Arc::default() })
    }

    /// What it is.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes of memory that its weights take, and what is made of them for screening.
    pub fn size_in_bytes(&self) -> usize {
        self.weights.as_ref().map_or(0, Weights::size_in_bytes) + Screen::size_in_bytes(self)
    }

    /// Features `[N, F]` in single precision of activations `x` `[N, d_in]` of any float type. `sequences` are the
    /// rows of each sequence, in order; only temporal sources read them, and take no sequences as one of all rows.
    ///
    /// # Errors
    /// `InvalidInput` if `x` has another width, or the sequences do not cover its rows.
    pub fn encode(&self, x: &Tensor, sequences: &[Range<usize>]) -> Result<Tensor> {
        Ok(self.encode_for_decode(x, sequences)?.features)
    }

    /// As [`Self::encode`], with what [`Self::decode`] needs of a source that normalises each position.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_for_decode(&self, x: &Tensor, sequences: &[Range<usize>]) -> Result<Encoded> {
        let (input, norms) = self.prepare(x)?;
        let features = match &self.weights {
            Some(weights) => self.encoder.encode(&input, weights, sequences)?,
            None => input,
        };
        Ok(Encoded { features, norms })
    }

    /// Values `[N]` of feature `index` for `x` `[N, d_in]`, without computing the others where the architecture
    /// allows it.
    ///
    /// # Errors
    /// As [`Self::encode`]; `NotFound` if there is no such feature.
    pub fn encode_feature(&self, x: &Tensor, index: usize, sequences: &[Range<usize>]) -> Result<Vec<f32>> {
        self.check_index(index)?;
        let (input, _) = self.prepare(x)?;
        let column = match (&self.encoder, &self.weights) {
            (Encoder::Elementwise(elementwise), Some(weights)) => {
                let direction = weights.encoder.narrow(1, index, 1)?.contiguous()?;
                elementwise.narrow(index, 1)?.apply(input.matmul(&direction)?)?
            }
            (encoder, Some(weights)) => encoder.encode(&input, weights, sequences)?.narrow(1, index, 1)?,
            (_, None) => input.narrow(1, index, 1)?,
        };
        Ok(column.flatten_all()?.to_vec1()?)
    }

    /// Activations `[N, d_out]` of `features` `[N, F]`. A linear path from the input ([`Self::forward`]) is left out,
    /// and so is what a temporal source predicts from context. `norms` are those of the encoded input; only sources
    /// that normalise each position need them.
    ///
    /// # Errors
    /// `InvalidInput` if `features` has another width, or `norms` are missing or of another number of rows.
    pub fn decode(&self, features: &Tensor, norms: Option<&Norms>) -> Result<Tensor> {
        let features = self.accept(features, self.config.d_sae, "features")?;
        let Some(weights) = &self.weights else { return Ok(features) };
        let in_file_units = match &self.unit {
            Some(unit) => features.broadcast_div(unit)?,
            None => features,
        };
        let mut y = decode::multiply(&in_file_units, &weights.decoder)?;
        // Where the encoder is the decoder, the bias is added only if it was subtracted before.
        if !weights.is_tied || self.config.apply_b_dec_to_input {
            y = y.broadcast_add(&weights.decoder_bias)?;
        }
        match self.config.architecture.is_transcoder() {
            true => Ok(y),
            false => self.config.normalization.undo(y, norms),
        }
    }

    /// The direction `[d_in]` that feature `index` reads.
    ///
    /// # Errors
    /// `NotFound` if there is no such feature.
    pub fn encoder_vector(&self, index: usize) -> Result<Vec<f32>> {
        self.check_index(index)?;
        match &self.weights {
            Some(weights) => Ok(weights.encoder.narrow(1, index, 1)?.flatten_all()?.to_vec1()?),
            None => Ok(self.unit_vector(index)),
        }
    }

    /// The direction `[d_out]` that feature `index` writes.
    ///
    /// # Errors
    /// `NotFound` if there is no such feature.
    pub fn decoder_vector(&self, index: usize) -> Result<Vec<f32>> {
        self.check_index(index)?;
        match &self.weights {
            Some(weights) => Ok(weights.decoder.get(index)?.to_vec1()?),
            None => Ok(self.unit_vector(index)),
        }
    }

    /// The directions that all features write `[F, d_out]`; no data are copied.
    ///
    /// # Errors
    /// `Unsupported` for neurons, which have no decoder.
    pub fn decoder(&self) -> Result<Tensor> {
        match &self.weights {
            Some(weights) => Ok(weights.decoder.clone()),
            None => Err(Error::new(ErrorKind::Unsupported, "neurons have no decoder")
                .with_hint("what a neuron writes is a row of the model's MLP output projection")),
        }
    }

    /// Lengths of the directions that features write, before any fold; none for neurons.
    pub fn decoder_norms(&self) -> Option<&[f32]> {
        self.decoder_norms.as_deref()
    }

    /// The directions that some features write `[B, d_out]`; unit vectors for neurons.
    ///
    /// # Errors
    /// `NotFound` if there is no such feature.
    pub fn decoder_rows(&self, features: Range<usize>) -> Result<Tensor> {
        if let Some(last) = features.clone().last() {
            self.check_index(last)?;
        }
        match &self.weights {
            Some(weights) => Ok(weights.decoder.narrow(0, features.start, features.len())?),
            None => {
                let rows: Vec<f32> = features.clone().flat_map(|index| self.unit_vector(index)).collect();
                Ok(Tensor::from_vec(rows, (features.len(), self.config.d_sae), &self.device)?)
            }
        }
    }

    /// Where features write: the source's output, or what it reads if it writes that anew.
    pub fn output_point(&self) -> Point {
        self.config.output_point.unwrap_or(self.config.point)
    }

    /// Normalises and centres activations.
    fn prepare(&self, x: &Tensor) -> Result<(Tensor, Norms)> {
        let x = self.accept(x, self.config.d_in, "activations")?;
        let (x, norms) = self.config.normalization.apply(&x)?;
        let centres = self.config.apply_b_dec_to_input && !self.config.architecture.is_transcoder();
        match &self.weights {
            Some(weights) if centres => Ok((x.broadcast_sub(&weights.decoder_bias)?, norms)),
            _ => Ok((x, norms)),
        }
    }

    /// A matrix from outside, once its shape is right: in single precision, on the source's device.
    fn accept(&self, x: &Tensor, width: usize, what: &str) -> Result<Tensor> {
        if x.rank() != 2 || x.dim(1)? != width {
            let message = format!("expected {what} of shape [N, {width}], found {:?}", x.dims());
            return Err(Error::new(ErrorKind::InvalidInput, message)
                .with_hint(format!("this source reads {} and has {} features", self.config.point, self.config.d_sae)));
        }
        if !x.dtype().is_float() {
            let message = format!("expected {what} of a float type, found {:?}", x.dtype());
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        Ok(x.to_dtype(DType::F32)?.to_device(&self.device)?)
    }

    fn check_index(&self, index: usize) -> Result<()> {
        if index < self.config.d_sae {
            return Ok(());
        }
        let message = format!("there is no feature {index}: this source has {}", self.config.d_sae);
        Err(Error::new(ErrorKind::NotFound, message))
    }

    fn unit_vector(&self, index: usize) -> Vec<f32> {
        (0..self.config.d_sae).map(|i| if i == index { 1.0 } else { 0.0 }).collect()
    }
}

/// Whether the decoder's norms can be folded without changing which features are active.
fn can_fold_norms(draft: &Draft) -> bool {
    match draft.activation {
        Activation::Temporal(_) | Activation::Pursuit(_) | Activation::GroupMax { .. } => false,
        Activation::TopK(_) => draft.is_rescaled,
        Activation::Relu | Activation::JumpRelu { .. } | Activation::Gated => true,
    }
}
