//! `attention`: how much each token looks at each token before it.

use candle_core::{DType, Device};

use crate::service::{Parts, Pass, Wants};
use crate::{Error, ErrorKind, Place, Point, Result};

/// The operation: one head of one layer, or all of the layer's.
#[derive(Debug)]
pub struct Attention {
    layer: usize,
    head: Option<usize>,
    found: Vec<Vec<AttentionPattern>>,
}

/// The weights of one head on one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionPattern {
    /// Number of the head.
    pub head: usize,
    /// `weights[query][key]`; a row sums to 1.
    pub weights: Vec<Vec<f32>>,
}

impl Attention {
    /// Reads `head` of `layer`, or all heads.
    pub fn new(layer: usize, head: Option<usize>) -> Self {
        Self { layer, head, found: Vec::new() }
    }
}

impl Pass for Attention {
    /// For each prompt, its heads in order.
    type Answer = Vec<Vec<AttentionPattern>>;

    fn wants(&self) -> Wants {
        Wants::points([Point::new(Place::Pattern, self.layer)])
    }

    fn read(&mut self, parts: &Parts<'_>) -> Result<()> {
        parts.each(|part| {
            let pattern = part.pattern(Point::new(Place::Pattern, self.layer))?;
            let (heads, _, _) = pattern.dims3()?;
            let chosen = match self.head {
                Some(head) if head >= heads => {
                    return Err(Error::new(
                        ErrorKind::InvalidInput,
                        format!("there is no head {head} in layer {}", self.layer),
                    )
                    .with_hint(format!("the model has {heads} heads, counted from 0")));
                }
                Some(head) => head..head + 1,
                None => 0..heads,
            };
            let pattern = pattern.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
            let mut found = Vec::with_capacity(chosen.len());
            for head in chosen {
                found.push(AttentionPattern { head, weights: pattern.narrow(0, head, 1)?.squeeze(0)?.to_vec2()? });
            }
            self.found.push(found);
            Ok(())
        })
    }

    fn finish(self) -> Result<Self::Answer> {
        Ok(self.found)
    }
}
