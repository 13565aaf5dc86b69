//! How long it takes to find the strongest features of prompts, by screening and by computing all: `screen [INPUTS] [FEATURES] [PROMPTS]
//! [TOKENS] [K]`. Encoder and inputs are made up: normal ones, unit directions, inputs with heavy tails, and inputs with a few
//! components that are a hundred times the others. Prints one JSON object for each: seconds of computing all, without even looking
//! at it; of screening; of making the codes, once for a source; and the share of products that screening computed exactly.
#![allow(clippy::print_stdout)]

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use candle_core::{Device, Tensor};
use latentdb_runtime::source::{Block, OpenOptions, Source, Span};
use latentdb_runtime::{Error, ErrorKind, Result};

struct Shape {
    inputs: usize,
    features: usize,
    prompts: usize,
    tokens: usize,
    most: usize,
}

/// The `most` strongest features of each prompt, strongest first.
type Strongest = Vec<Vec<(u32, f32)>>;

/// A source in SAELens' format, with a bias that makes about one feature in a thousand fire.
fn source(folder: &Path, shape: &Shape, unit: bool) -> Result<Source> {
    let device = Device::Cpu;
    let encoder = Tensor::randn(0f32, 1.0, (shape.inputs, shape.features), &device)?;
    let encoder = match unit {
        true => encoder.broadcast_div(&encoder.sqr()?.sum_keepdim(0)?.sqrt()?)?,
        false => encoder,
    };
    let bias = if unit { -3.0 } else { -3.0 * (shape.inputs as f64).sqrt() };
    let tensors = HashMap::from([
        ("W_dec".to_owned(), encoder.t()?.contiguous()?),
        ("W_enc".to_owned(), encoder),
        ("b_enc".to_owned(), Tensor::full(bias as f32, shape.features, &device)?),
        ("b_dec".to_owned(), Tensor::zeros(shape.inputs, candle_core::DType::F32, &device)?),
    ]);
    candle_core::safetensors::save(&tensors, folder.join("sae_weights.safetensors"))?;
    let config = serde_json::json!({
        "architecture": "standard", "d_in": shape.inputs, "d_sae": shape.features, "dtype": "float32",
        "apply_b_dec_to_input": true, "normalize_activations": "none",
        "metadata": {"hook_name": "blocks.1.hook_resid_pre", "model_name": "made-up"},
    });
    std::fs::write(folder.join("cfg.json"), config.to_string()).map_err(|error| failure(&error))?;
    Source::open(folder, &OpenOptions::default())
}

fn failure(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, error.to_string())
}

fn input(shape: &Shape, kind: &str) -> Result<Tensor> {
    let size = (shape.prompts * shape.tokens, shape.inputs);
    let normal = Tensor::randn(0f32, 1.0, size, &Device::Cpu)?;
    Ok(match kind {
        // Cubes of normal numbers, of the same variance.
        "heavy tails" => (normal.sqr()? * normal)?.affine(1.0 / 15f64.sqrt(), 0.0)?,
        "outliers" => {
            let scale = (0..shape.inputs).map(|input| if input % 256 == 138 { 100f32 } else { 1.0 });
            normal.broadcast_mul(&Tensor::from_iter(scale, &Device::Cpu)?)?
        }
        _ => normal,
    })
}

fn keep(best: &mut Vec<(u32, f32)>, feature: u32, value: f32, most: usize) {
    let place = best.partition_point(|(_, other)| *other >= value);
    if place < most && value > 0.0 {
        best.insert(place, (feature, value));
        best.truncate(most);
    }
}

fn multiplied(source: &Source, x: &Tensor, sequences: &[Range<usize>], most: usize) -> Result<Strongest> {
    let mut best: Strongest = vec![Vec::new(); sequences.len()];
    source.encode_in_blocks(x, sequences, |block: Block| {
        for (best, rows) in best.iter_mut().zip(sequences) {
            let maxima: Vec<f32> = block.values.narrow(0, rows.start, rows.len())?.max(0)?.to_vec1()?;
            for (feature, value) in (block.first_feature as u32..).zip(maxima) {
                keep(best, feature, value, most);
            }
        }
        Ok(())
    })?;
    Ok(best)
}

fn screened(source: &Source, x: &Tensor, sequences: &[Range<usize>], most: usize) -> Result<Option<(Strongest, f64)>> {
    let mut best: Strongest = vec![Vec::new(); sequences.len()];
    let Some(screening) = source.screening(x, most)? else { return Ok(None) };
    let mut spans: Vec<Span> = sequences.iter().map(|rows| Span { rows: rows.clone(), floor: 0.0 }).collect();
    screening.raise_floors(&mut spans, most, |_| true);
    for block in screening.blocks() {
        for (span, best) in spans.iter_mut().zip(&best) {
            span.floor = span.floor.max(best.get(most - 1).map_or(0.0, |(_, value)| *value));
        }
        let Some(hits) = screening.hits(block, &spans, |_| true)? else { return Ok(None) };
        for hit in hits {
            if let Some(best) = best.get_mut(hit.span) {
                keep(best, hit.feature, hit.value, most);
            }
        }
    }
    for (best, rows) in best.iter().zip(sequences) {
        for (feature, _) in best {
            screening.values(*feature, rows.clone())?;
        }
    }
    Ok(Some((best, screening.share_computed())))
}

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1).filter_map(|word| word.parse().ok());
    let mut next = |otherwise: usize| words.next().unwrap_or(otherwise);
    let shape =
        Shape { inputs: next(768), features: next(24_576), prompts: next(32), tokens: next(128), most: next(20) };
    let sequences: Vec<Range<usize>> =
        (0..shape.prompts).map(|prompt| prompt * shape.tokens..(prompt + 1) * shape.tokens).collect();
    for (name, unit) in [("normal", false), ("unit directions", true), ("heavy tails", true), ("outliers", true)] {
        let folder = tempfile::tempdir().map_err(|error| failure(&error))?;
        let source = source(folder.path(), &shape, unit)?;
        let x = input(&shape, name)?;
        let time = |run: &dyn Fn() -> Result<()>| -> Result<f64> {
            let start = Instant::now();
            run()?;
            Ok(start.elapsed().as_secs_f64())
        };
        let many = input(&Shape { prompts: 1, tokens: 256, ..shape }, name)?;
        let first = time(&|| source.screening(&many, shape.most).map(|_| ()))?;
        let mut best = (f64::INFINITY, f64::INFINITY);
        for _ in 0..3 {
            best.0 = best.0.min(time(&|| source.encode_in_blocks(&x, &sequences, |_| Ok(())))?);
            best.1 = best.1.min(time(&|| screened(&source, &x, &sequences, shape.most).map(|_| ()))?);
        }
        let expected = multiplied(&source, &x, &sequences, shape.most)?;
        let found = screened(&source, &x, &sequences, shape.most)?;
        let same = found.as_ref().is_some_and(|(found, _)| {
            let pairs = || found.iter().flatten().zip(expected.iter().flatten());
            found.iter().map(Vec::len).eq(expected.iter().map(Vec::len))
                && pairs().all(|(one, other)| (one.1 - other.1).abs() <= 1e-5 * other.1.abs())
        });
        println!(
            "{{\"inputs\": \"{name}\", \"multiplied_s\": {:.3}, \"screened_s\": {:.3}, \"first_s\": {first:.3}, \"ratio\": {:.2}, \"computed\": {:e}, \"same\": {same}}}",
            best.0,
            best.1,
            best.0 / best.1,
            found.map_or(f64::NAN, |(_, share)| share),
        );
    }
    Ok(())
}
