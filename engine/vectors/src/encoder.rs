//! From vectors of `f32` to codes: 16 bits a component, kept as two planes of bytes.
//!
//! A vector is made unit length (cosine only), moved so that the centre of the segment lies at zero, and divided by a
//! scale of its own so that its largest component becomes 32,512. The high bytes alone are a code of 8 bits, which the walk
//! reads; with the low bytes they are nearer to the vector than half-precision floats are, and order the final candidates.
//! Moving leaves all three distances in order, and makes the codes finer where all vectors share a large component.

use crate::codes::Term;
use crate::error::{Error, Result};
use crate::kernels::bytes::ROW_ALIGN;
use crate::kernels::floats;
use crate::metric::{Metric, check_finite};

/// Most components of a vector. Sums of products of bytes fit 32 bits up to here.
pub const MAX_DIM: usize = 65_536;

/// The largest code of 16 bits whose high byte, after rounding, is at most 127.
const LARGEST: f32 = 127.0 * 256.0;

/// How vectors of one segment become codes.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    pub(crate) metric: Metric,
    /// Taken off every vector before it is encoded.
    pub(crate) centre: Vec<f32>,
}

/// A query or a new vector, ready to be compared with codes.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    pub(crate) high: Vec<i8>,
    pub(crate) low: Vec<i8>,
    pub(crate) term: Term,
    /// What the codes approximate; for inner products the vector as it was given.
    pub(crate) values: Vec<f32>,
    /// The inner product with the centre, which codes have lost; 0 for the other metrics.
    pub(crate) offset: f32,
}

/// Length of a row of one plane, in bytes.
pub(crate) fn stride(dim: usize) -> usize {
    dim.next_multiple_of(ROW_ALIGN)
}

impl Encoder {
    pub(crate) fn dim(&self) -> usize {
        self.centre.len()
    }

    /// Fails for another dimension, components that are not finite, and under cosine for a zero vector.
    pub(crate) fn encode(&self, vector: &[f32]) -> Result<Encoded> {
        if vector.len() != self.dim() {
            return Err(Error::Dimension { expected: self.dim(), found: vector.len() });
        }
        let given = directed(self.metric, vector)?;
        let moved: Vec<f32> = given.iter().zip(&self.centre).map(|(value, centre)| value - centre).collect();
        check_finite(&moved)?;
        let (high, low, scale) = quantise(&moved);
        let bias = self.bias(&moved, &high, scale);
        let (values, offset) = match self.metric {
            Metric::InnerProduct => {
                let offset = floats::dot(&given, &self.centre);
                (given, offset)
            }
            Metric::L2 | Metric::Cosine => (moved, 0.0),
        };
        Ok(Encoded { high, low, term: Term { scale, bias }, values, offset })
    }

    /// A vector's share of its distances, which does not depend on the other. Lengths are those of the code, not of the
    /// vector: then the error of a distance shrinks with the distance.
    fn bias(&self, moved: &[f32], high: &[i8], scale: f32) -> f32 {
        let squares = || high.iter().map(|&code| i32::from(code) * i32::from(code)).sum::<i32>() as f32 * scale * scale;
        match self.metric {
            Metric::L2 => squares(),
            Metric::Cosine => squares() / 2.0,
            Metric::InnerProduct => -floats::dot(moved, &self.centre),
        }
    }
}

/// The vector itself, or under cosine its direction. Fails as [`Encoder::encode`] does.
pub(crate) fn directed(metric: Metric, vector: &[f32]) -> Result<Vec<f32>> {
    if metric != Metric::Cosine {
        check_finite(vector)?;
        return Ok(vector.to_vec());
    }
    if let Some(component) = vector.iter().position(|value| !value.is_finite()) {
        return Err(Error::NotFinite { component });
    }
    let length = vector.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    if length == 0.0 {
        return Err(Error::ZeroVector);
    }
    Ok(vector.iter().map(|&value| (f64::from(value) / length) as f32).collect())
}

/// High bytes, low bytes, and what one unit of the high bytes is worth.
fn quantise(values: &[f32]) -> (Vec<i8>, Vec<i8>, f32) {
    let stride = stride(values.len());
    let (mut high, mut low) = (vec![0; stride], vec![0; stride]);
    let largest = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    // In f64, where the inverse of the smallest scale is a number.
    let factor = if largest > 0.0 { f64::from(LARGEST) / f64::from(largest) } else { 0.0 };
    for ((&value, high), low) in values.iter().zip(&mut high).zip(&mut low) {
        let code = (f64::from(value) * factor).round() as i32;
        // The low byte is signed, so the high one is the nearest, not the next below.
        *high = ((code + 128) >> 8) as i8;
        *low = code as i8;
    }
    (high, low, largest / 127.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(encoded: &Encoded) -> Vec<f32> {
        let codes = encoded.high.iter().zip(&encoded.low);
        codes
            .map(|(&high, &low)| (i32::from(high) * 256 + i32::from(low)) as f32 * encoded.term.scale / 256.0)
            .collect()
    }

    #[test]
    fn codes_are_within_half_a_step_of_the_values() {
        let vector: Vec<f32> = (0..300).map(|i| (i as f32 * 0.37).sin() * 5.0).collect();
        let encoder = Encoder { metric: Metric::L2, centre: vec![0.0; 300] };
        let encoded = encoder.encode(&vector).unwrap();
        assert_eq!(encoded.high.len(), 320);
        let step = 5.0 / LARGEST;
        for (value, decoded) in vector.iter().zip(decode(&encoded)) {
            assert!((value - decoded).abs() <= step * 0.51, "{value} {decoded}");
        }
        assert!(encoded.high.iter().all(|&high| high != i8::MIN), "the kernels do not take -128");
    }

    #[test]
    fn extreme_vectors_are_encoded_or_refused() {
        let encoder = |metric, dim| Encoder { metric, centre: vec![0.0; dim] };
        let zero = encoder(Metric::L2, 2).encode(&[0.0, 0.0]).unwrap();
        assert_eq!((zero.term.scale, zero.term.bias), (0.0, 0.0));
        assert!(matches!(encoder(Metric::Cosine, 2).encode(&[0.0, 0.0]), Err(Error::ZeroVector)));
        assert!(matches!(encoder(Metric::L2, 1).encode(&[1e30]), Err(Error::TooLong)));
        assert!(matches!(encoder(Metric::L2, 1).encode(&[f32::NAN]), Err(Error::NotFinite { component: 0 })));
        assert!(matches!(encoder(Metric::Cosine, 1).encode(&[f32::INFINITY]), Err(Error::NotFinite { component: 0 })));
        assert!(matches!(encoder(Metric::L2, 2).encode(&[1.0]), Err(Error::Dimension { expected: 2, found: 1 })));
        let tiny = encoder(Metric::L2, 1).encode(&[f32::MIN_POSITIVE / 8.0]).unwrap();
        assert_eq!(tiny.high[0], 127);
        let direction = encoder(Metric::Cosine, 2).encode(&[3e30, -4e30]).unwrap();
        assert!((direction.values[0] - 0.6).abs() < 1e-6 && (direction.values[1] + 0.8).abs() < 1e-6);
    }
}
