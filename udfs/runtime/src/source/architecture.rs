//! The published architectures, and what each asks of a source's tensors.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// Architecture of a source, by SAELens' names, and the two that SAELens lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Architecture {
    /// `relu(pre)`.
    Standard,
    /// `1[gate > 0] · relu(magnitude)`.
    Gated,
    /// The k largest pre-activations of a position.
    TopK,
    /// The k pre-activations of largest magnitude, with their signs.
    AbsTopK,
    /// `relu(pre) · 1[pre > threshold]`.
    JumpRelu,
    /// ReLU, predicting another point.
    Transcoder,
    /// The same with a linear path from input to output.
    SkipTranscoder,
    /// JumpReLU, predicting another point.
    JumpReluTranscoder,
    /// The same with a linear path from input to output.
    JumpReluSkipTranscoder,
    /// Decoder rows taken greedily until the rest is small.
    MatchingPursuit,
    /// What a position holds beyond what attention predicts from those before it.
    Temporal,
    /// Top-k, predicting another point (circuit-tracer, sparsify).
    TopKTranscoder,
    /// Top-k, predicting another point, with a linear path from input to output (circuit-tracer, sparsify).
    TopKSkipTranscoder,
    /// The largest pre-activation of each of k groups (sparsify).
    GroupMax,
    /// The point itself: neurons.
    Neurons,
}

const NAMES: &[(Architecture, &str)] = &[
    (Architecture::Standard, "standard"),
    (Architecture::Gated, "gated"),
    (Architecture::TopK, "topk"),
    (Architecture::AbsTopK, "abstopk"),
    (Architecture::JumpRelu, "jumprelu"),
    (Architecture::Transcoder, "transcoder"),
    (Architecture::SkipTranscoder, "skip_transcoder"),
    (Architecture::JumpReluTranscoder, "jumprelu_transcoder"),
    (Architecture::JumpReluSkipTranscoder, "jumprelu_skip_transcoder"),
    (Architecture::MatchingPursuit, "matching_pursuit"),
    (Architecture::Temporal, "temporal"),
    (Architecture::TopKTranscoder, "topk_transcoder"),
    (Architecture::TopKSkipTranscoder, "topk_skip_transcoder"),
    (Architecture::GroupMax, "groupmax"),
    (Architecture::Neurons, "neurons"),
];

impl Architecture {
    /// Its name in configurations.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(known, _)| *known == self).map_or("unknown", |(_, name)| name)
    }

    /// Whether it predicts another point than the one it reads.
    pub fn is_transcoder(self) -> bool {
        matches!(
            self,
            Self::Transcoder
                | Self::SkipTranscoder
                | Self::JumpReluTranscoder
                | Self::JumpReluSkipTranscoder
                | Self::TopKTranscoder
                | Self::TopKSkipTranscoder
        )
    }

    /// Whether it has a linear path from input to output.
    pub fn has_skip(self) -> bool {
        matches!(self, Self::SkipTranscoder | Self::JumpReluSkipTranscoder | Self::TopKSkipTranscoder)
    }

    /// Whether a feature's value depends on no other feature.
    pub fn is_elementwise(self) -> bool {
        matches!(
            self,
            Self::Standard
                | Self::Gated
                | Self::JumpRelu
                | Self::Transcoder
                | Self::SkipTranscoder
                | Self::JumpReluTranscoder
                | Self::JumpReluSkipTranscoder
                | Self::Neurons
        )
    }

    /// Whether each feature has a threshold.
    pub(super) fn has_threshold(self) -> bool {
        matches!(self, Self::JumpRelu | Self::JumpReluTranscoder | Self::JumpReluSkipTranscoder)
    }

    /// The same activation function, predicting another point, with or without a skip.
    pub(super) fn as_transcoder(self, skip: bool) -> Self {
        match (self, skip) {
            (Self::JumpRelu, false) => Self::JumpReluTranscoder,
            (Self::JumpRelu, true) => Self::JumpReluSkipTranscoder,
            (Self::TopK, false) => Self::TopKTranscoder,
            (Self::TopK, true) => Self::TopKSkipTranscoder,
            (Self::Standard, false) => Self::Transcoder,
            (Self::Standard, true) => Self::SkipTranscoder,
            (other, _) => other,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Architecture {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        NAMES.iter().find(|(_, name)| *name == text).map(|(known, _)| *known).ok_or_else(|| {
            let known: Vec<&str> = NAMES.iter().map(|(_, name)| *name).collect();
            Error::new(ErrorKind::Unsupported, format!("there is no architecture {text:?}"))
                .with_hint(format!("known are {}", known.join(", ")))
        })
    }
}
