//! Sources of made-up weights, for tests.

use candle_core::{Device, Tensor};

use super::encode::{Activation, Encoder};
use super::weights::{Gate, Weights};
use super::{Architecture, Config, Source};
use crate::random::Random;

/// Where numbers come from.
#[derive(Debug)]
pub(crate) struct Numbers {
    pub random: Random,
    /// Whole numbers from -3 to 3, whose products have the same sums in every order; else fractions from -1 to 1.
    pub are_whole: bool,
}

impl Numbers {
    pub(crate) fn one(&mut self) -> f32 {
        let signed = self.random.signed();
        if self.are_whole { (signed * 3.49).round() } else { signed }
    }

    pub(crate) fn matrix(&mut self, rows: usize, width: usize) -> Tensor {
        let values: Vec<f32> = (0..rows * width).map(|_| self.one()).collect();
        Tensor::from_vec(values, (rows, width), &Device::Cpu).unwrap()
    }

    fn vector(&mut self, width: usize, shift: f64) -> Tensor {
        self.matrix(1, width).squeeze(0).unwrap().affine(1.0, shift).unwrap()
    }
}

/// A source of an elementwise architecture that reads `d_in` inputs with `encoder` `[d_in, F]`; `bias` is about what is added to
/// the products.
pub(crate) fn elementwise(numbers: &mut Numbers, architecture: Architecture, encoder: Tensor, bias: f64) -> Source {
    let (d_in, width) = encoder.dims2().unwrap();
    let has_gate = architecture == Architecture::Gated;
    let weights = Weights {
        encoder,
        decoder: Tensor::zeros((width, d_in), candle_core::DType::F32, &Device::Cpu).unwrap(),
        encoder_bias: numbers.vector(width, bias),
        decoder_bias: numbers.vector(d_in, 0.0),
        threshold: (architecture == Architecture::JumpRelu).then(|| numbers.vector(width, 0.0)),
        gate: has_gate.then(|| Gate {
            bias: numbers.vector(width, bias),
            magnitude_bias: numbers.vector(width, bias / 2.0),
            log_scale: numbers.vector(width, 0.0).affine(f64::from(u8::from(!numbers.are_whole)), 0.0).unwrap(),
        }),
        skip: None,
        attention: Vec::new(),
        is_tied: false,
    };
    let activation = match architecture {
        Architecture::JumpRelu => Activation::JumpRelu { is_rectified: numbers.random.below(2) == 0 },
        Architecture::Gated => Activation::Gated,
        _ => Activation::Relu,
    };
    let encoder = Encoder::new(activation, &weights, None).unwrap();
    let neurons = Source::neurons(0, d_in);
    let config = Config { architecture, d_sae: width, apply_b_dec_to_input: true, ..neurons.config };
    Source { config, encoder, weights: Some(weights), ..neurons }
}
