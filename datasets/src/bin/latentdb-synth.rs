//! `latentdb-synth`: writes a made-up Neuronpedia export of any size.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use latentdb_datasets::synthetic::{SyntheticOptions, generate};

/// Writes a made-up Neuronpedia export: v1/{model}/{source} below --out.
#[derive(Parser)]
#[command(name = "latentdb-synth")]
struct Arguments {
    /// Model id
    #[arg(long, default_value = "synthetic-small")]
    model: String,
    /// Source id: {layer}-{set}
    #[arg(long, default_value = "6-res-syn")]
    source: String,
    /// Features
    #[arg(long, default_value_t = 24_576)]
    features: u32,
    /// Activations of each feature
    #[arg(long, default_value_t = 45)]
    activations: u32,
    /// Tokens of each prompt
    #[arg(long, default_value_t = 128)]
    tokens: u32,
    /// Prompts
    #[arg(long, default_value_t = 24_576)]
    prompts: u32,
    /// Seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Directory to write to
    #[arg(long)]
    out: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = SyntheticOptions {
        model_id: arguments.model,
        source_id: arguments.source,
        features: arguments.features,
        activations: arguments.activations,
        tokens: arguments.tokens,
        prompts: arguments.prompts,
        seed: arguments.seed,
    };
    let started = Instant::now();
    match generate(&options, &arguments.out) {
        Ok(report) => {
            println!(
                "{} features, {} activations, {} explanations, {:.1} MB in {:.1} s",
                report.features,
                report.activations,
                report.explanations,
                report.bytes as f64 / 1e6,
                started.elapsed().as_secs_f64()
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
