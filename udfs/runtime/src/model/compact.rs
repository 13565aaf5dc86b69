//! Weights in fewer bits, for steps of generation, which are as fast as weights can be read.

use std::str::FromStr;

use half::{bf16, f16};
use rayon::prelude::*;

use crate::{Error, ErrorKind, Result};

/// How weights are kept for the steps of generation, beside those in f32 that read prompts and do everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StepWeights {
    /// The same ones.
    #[default]
    F32,
    /// In 16 bits: exactly, if they are bf16 or f16 numbers, as those of most published models are; and else as whole numbers
    /// with a factor for every 128, which are within 1/65,534 of the largest among these.
    Near,
    /// In 8 bits: whole numbers with a factor for every 64, within 1/254 of the largest among these.
    Int8,
}

impl FromStr for StepWeights {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "f32" => Ok(Self::F32),
            "near" => Ok(Self::Near),
            "int8" => Ok(Self::Int8),
            _ => Err(Error::new(ErrorKind::InvalidInput, format!("there are no weights of kind {text:?}"))
                .with_hint("kinds are f32, near and int8")),
        }
    }
}

/// Weights that share a factor.
const NEAR_BLOCK: usize = 128;
const INT8_BLOCK: usize = 64;

/// A weight `[out, in]` in fewer bits.
#[derive(Debug, Clone)]
pub(super) struct Compact {
    pub(super) numbers: Numbers,
    pub(super) outputs: usize,
    pub(super) inputs: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Numbers {
    Bf16(Vec<bf16>),
    F16(Vec<f16>),
    /// With the factors of each row's blocks.
    Int16(Vec<i16>, Vec<f32>),
    Int8(Vec<i8>, Vec<f32>),
}

impl Compact {
    /// Nothing, if the weights themselves are to be used.
    pub(super) fn new(weight: &[f32], inputs: usize, kind: StepWeights) -> Option<Self> {
        let numbers = match kind {
            StepWeights::F32 => return None,
            StepWeights::Near if weight.par_iter().all(|value| is_same(*value, bf16::from_f32(*value).to_f32())) => {
                Numbers::Bf16(weight.par_iter().map(|value| bf16::from_f32(*value)).collect())
            }
            StepWeights::Near if weight.par_iter().all(|value| is_same(*value, f16::from_f32(*value).to_f32())) => {
                Numbers::F16(weight.par_iter().map(|value| f16::from_f32(*value)).collect())
            }
            StepWeights::Near => {
                let (numbers, factors) = in_blocks(weight, inputs, NEAR_BLOCK, 32_767.0, |number| number as i16);
                Numbers::Int16(numbers, factors)
            }
            StepWeights::Int8 => {
                let (numbers, factors) = in_blocks(weight, inputs, INT8_BLOCK, 127.0, |number| number as i8);
                Numbers::Int8(numbers, factors)
            }
        };
        Some(Self { numbers, outputs: weight.len() / inputs.max(1), inputs })
    }

    /// Weights that share a factor.
    pub(super) fn block(&self) -> usize {
        match self.numbers {
            Numbers::Bf16(_) | Numbers::F16(_) => self.inputs,
            Numbers::Int16(..) => NEAR_BLOCK,
            Numbers::Int8(..) => INT8_BLOCK,
        }
    }

    pub(super) fn size_in_bytes(&self) -> usize {
        match &self.numbers {
            Numbers::Bf16(values) => 2 * values.len(),
            Numbers::F16(values) => 2 * values.len(),
            Numbers::Int16(values, factors) => 2 * values.len() + 4 * factors.len(),
            Numbers::Int8(values, factors) => values.len() + 4 * factors.len(),
        }
    }
}

fn is_same(one: f32, other: f32) -> bool {
    one.is_finite() && one.to_bits() == other.to_bits()
}

/// Each row in blocks, the largest of which becomes `most`.
fn in_blocks<N: Send>(
    weight: &[f32],
    inputs: usize,
    block: usize,
    most: f32,
    number: impl Fn(f32) -> N + Sync,
) -> (Vec<N>, Vec<f32>) {
    let blocks = || weight.par_chunks(inputs.max(1)).flat_map_iter(|row| row.chunks(block));
    let factor = |block: &[f32]| block.iter().fold(0.0f32, |most, value| most.max(value.abs())) / most;
    let factors: Vec<f32> = blocks().map(factor).collect();
    let numbers = blocks().flat_map_iter(|block| {
        let factor = factor(block);
        let inverse = if factor > 0.0 { 1.0 / factor } else { 0.0 };
        block.iter().map(move |value| (value * inverse).round()).map(&number).collect::<Vec<_>>()
    });
    (numbers.collect(), factors)
}
