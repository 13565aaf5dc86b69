//! Limits of what one request may ask for, and of what is kept of it: flags, environment and file put together.

use std::time::Duration;

use clap::Args;
use latentdb_engine::{Error, ErrorKind, Result};
use latentdb_udfs::GenerationOptions;

use crate::config::LimitsSection;
use crate::http::RequestLimits;

/// Texts that one request may ask for, or bring.
const DEFAULT_PROMPTS: usize = 128;

/// Limits as flags and environment give them.
#[derive(Debug, Default, Args)]
pub(super) struct LimitArgs {
    /// Tokens that a request may ask for, for each text [default: 100000]
    #[arg(long, env = "LATENTDB_MAX_TOKENS", value_name = "N")]
    max_tokens: Option<usize>,
    /// Texts that an HTTP request may ask for or bring [default: 128]
    #[arg(long, env = "LATENTDB_MAX_PROMPTS", value_name = "N")]
    max_prompts: Option<usize>,
    /// Texts that a model writes at a time; more wait [default: 64]
    #[arg(long, env = "LATENTDB_MAX_STREAMS", value_name = "N")]
    max_streams: Option<usize>,
    /// Largest strength of steering [default: 1000000]
    #[arg(long, env = "LATENTDB_MAX_STRENGTH", value_name = "X")]
    max_strength: Option<f32>,
    /// Days that steered runs can be loaded again; 0 for ever [default: 0]
    #[arg(long, env = "LATENTDB_KEEP_RUNS", value_name = "DAYS")]
    keep_runs: Option<u32>,
}

impl LimitArgs {
    /// The bounds of generation, and of requests over HTTP.
    pub(super) fn settle(self, file: &LimitsSection) -> Result<(GenerationOptions, RequestLimits)> {
        let mut generation = GenerationOptions::default();
        generation.max_tokens = positive("max-tokens", self.max_tokens.or(file.tokens), generation.max_tokens)?;
        generation.sequences = positive("max-streams", self.max_streams.or(file.streams), generation.sequences)?;
        let strength = self.max_strength.or(file.strength).unwrap_or(generation.steering.strength);
        if !strength.is_finite() || strength <= 0.0 {
            return Err(refused(format!("max-strength is {strength}"), "it is a number above 0"));
        }
        generation.steering.strength = strength;
        // Links to runs are shared, so that they end is for whoever serves them to decide.
        let days = self.keep_runs.or(file.run_days).unwrap_or(0);
        let requests = RequestLimits {
            prompts: positive("max-prompts", self.max_prompts.or(file.prompts), DEFAULT_PROMPTS)?,
            runs: (days > 0).then(|| Duration::from_secs(u64::from(days) * 24 * 60 * 60)),
        };
        Ok((generation, requests))
    }
}

fn positive(name: &str, given: Option<usize>, default: usize) -> Result<usize> {
    match given.unwrap_or(default) {
        0 => Err(refused(format!("{name} is 0"), "it is a number from 1 on")),
        most => Ok(most),
    }
}

fn refused(message: String, hint: &str) -> Error {
    Error::new(ErrorKind::InvalidValue, message).with_hint(hint)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{LimitArgs, LimitsSection};

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file =
            LimitsSection { tokens: Some(5), strength: Some(2.0), run_days: Some(2), ..LimitsSection::default() };
        let flags = LimitArgs { max_tokens: Some(7), ..LimitArgs::default() };
        let (generation, requests) = flags.settle(&file).unwrap();
        assert_eq!((generation.max_tokens, generation.steering.strength), (7, 2.0));
        let two_days = Some(std::time::Duration::from_secs(2 * 24 * 60 * 60));
        assert_eq!((generation.sequences, requests.prompts, requests.runs), (64, 128, two_days));
        assert_eq!(LimitArgs::default().settle(&LimitsSection::default()).unwrap().1.runs, None);
        for wrong in [
            LimitArgs { max_tokens: Some(0), ..LimitArgs::default() },
            LimitArgs { max_strength: Some(f32::NAN), ..LimitArgs::default() },
        ] {
            assert!(wrong.settle(&file).unwrap_err().hint().is_some());
        }
    }
}
