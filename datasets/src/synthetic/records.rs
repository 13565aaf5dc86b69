//! Made-up records, written as the JSON lines of an export from Neuronpedia's database.

use std::io::Write as _;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::json;

use super::SyntheticOptions;
use super::vocabulary::Vocabulary;

const BARS: usize = 50;
const LOGITS: usize = 10;
const CREATOR: &str = "clkht01d40000jv08hvalcvly";
const CREATED: &str = "2026-01-01T00:00:00.000Z";

const SUBJECTS: [&str; 12] = [
    "references",
    "words related",
    "phrases",
    "numbers",
    "names",
    "verbs",
    "code",
    "punctuation",
    "dates",
    "mentions",
    "terms",
    "quotations",
];
const LINKS: [&str; 6] = ["to", "about", "following", "that introduce", "in lists of", "before"];
const ADJECTIVES: [&str; 16] = [
    "legal",
    "medical",
    "German",
    "financial",
    "scientific",
    "political",
    "musical",
    "geographic",
    "religious",
    "culinary",
    "athletic",
    "maritime",
    "formal",
    "negative",
    "past",
    "hypothetical",
];
const NOUNS: [&str; 20] = [
    "cats",
    "contracts",
    "weather",
    "equations",
    "elections",
    "recipes",
    "rivers",
    "functions",
    "families",
    "diseases",
    "prices",
    "battles",
    "schools",
    "colours",
    "ships",
    "gods",
    "deadlines",
    "errors",
    "cities",
    "promises",
];

/// What every record draws from.
#[derive(Debug)]
pub(super) struct Corpus<'a> {
    pub(super) options: &'a SyntheticOptions,
    pub(super) vocabulary: Vocabulary,
    /// Each prompt's tokens as a JSON list.
    pub(super) prompts: Vec<String>,
}

/// One feature's own numbers, the same in all its records.
#[derive(Debug, Clone, Copy)]
pub(super) struct Feature {
    index: u32,
    top: f64,
    density: f64,
}

impl Feature {
    pub(super) fn draw(index: u32, rng: &mut StdRng) -> Self {
        // One in a hundred is dead, as in real dictionaries.
        let alive = !rng.random_bool(0.01);
        let density = if alive { 10_f64.powf(rng.random_range(-5.0..-1.0)) } else { 0.0 };
        let top = if alive { 10_f64.powf(rng.random_range(0.0..1.9)) } else { 0.0 };
        Self { index, top: round(top, 1000.0), density: round(density, 1e7) }
    }

    pub(super) fn index(&self) -> u32 {
        self.index
    }

    pub(super) fn is_alive(&self) -> bool {
        self.density > 0.0
    }
}

impl Corpus<'_> {
    pub(super) fn write_feature(&self, feature: Feature, rng: &mut StdRng, out: &mut Vec<u8>) {
        let width = feature.top / BARS as f64;
        let act_edges: Vec<f64> = (0..BARS).map(|bar| round((bar as f64 + 0.5) * width, 1e4)).collect();
        let act_counts: Vec<u32> = (0..BARS)
            .map(|bar| (feature.density * 3e6 * (-0.12 * bar as f64).exp() * rng.random_range(0.6..1.4)) as u32)
            .collect();
        let logit_edges: Vec<f64> = (0..BARS).map(|bar| round((bar as f64 - 25.0) * 0.031, 1e4)).collect();
        let logit_counts: Vec<u32> = (0..BARS)
            .map(|bar| (3000.0 * (-((bar as f64 - 25.0) / 8.0).powi(2)).exp() * rng.random_range(0.8..1.2)) as u32)
            .collect();
        let mut logits = |sign: f64, first: f64| -> (Vec<&str>, Vec<f64>) {
            let values = (0..LOGITS).map(|place| round(sign * first * (1.0 - place as f64 * 0.03), 1e4)).collect();
            ((0..LOGITS).map(|_| self.vocabulary.any(rng)).collect(), values)
        };
        let (pos_str, pos_values) = logits(1.0, 0.9);
        let (neg_str, neg_values) = logits(-1.0, 0.8);
        let nearest: Vec<u32> = (0..10).map(|_| rng.random_range(0..self.options.features)).collect();
        let cosines: Vec<f64> = (0..10).map(|place| round(0.8 - f64::from(place) * 0.04, 1e4)).collect();
        let neurons: Vec<u32> = (0..3).map(|_| rng.random_range(0..768)).collect();
        let row = json!({
            "modelId": self.options.model_id, "layer": self.options.source_id, "index": feature.index.to_string(),
            "creatorId": CREATOR, "maxActApprox": feature.top, "frac_nonzero": feature.density,
            "freq_hist_data_bar_heights": act_counts, "freq_hist_data_bar_values": act_edges,
            "logits_hist_data_bar_heights": logit_counts, "logits_hist_data_bar_values": logit_edges,
            "neuron_alignment_indices": neurons, "neuron_alignment_values": [0.21, 0.19, 0.18], "neuron_alignment_l1": [0.01, 0.009, 0.008],
            "correlated_neurons_indices": neurons, "correlated_neurons_pearson": [0.3, 0.25, 0.2], "correlated_neurons_l1": [0.3, 0.24, 0.2],
            "decoder_weights_dist": [], "neg_str": neg_str, "neg_values": neg_values, "pos_str": pos_str, "pos_values": pos_values,
            "sourceSetName": self.options.set_id(), "topkCosSimIndices": nearest, "topkCosSimValues": cosines,
            "vector": [], "vectorLabel": null, "hookName": self.options.hook_point(), "vectorDefaultSteerStrength": 10, "hasVector": false,
        });
        write_line(&row, out);
    }

    pub(super) fn write_activations(&self, feature: Feature, rng: &mut StdRng, out: &mut Vec<u8>) -> u64 {
        if !feature.is_alive() {
            return 0;
        }
        let mut values = vec![0_u32; self.options.tokens as usize];
        for place in 0..self.options.activations {
            values.fill(0);
            // Falling from the feature's maximum; thousandths, as exports round.
            let top = feature.top * 1000.0 * (1.0 - f64::from(place) / f64::from(self.options.activations + 1));
            let top = (top as u32).max(1);
            let mut last = 0;
            for _ in 0..=rng.random_range(0..22) {
                last = rng.random_range(0..values.len());
                if let Some(value) = values.get_mut(last) {
                    *value = rng.random_range(1..=top);
                }
            }
            if let Some(value) = values.get_mut(last) {
                *value = top;
            }
            self.write_activation(feature, place, rng, &values, last, top, out);
        }
        u64::from(self.options.activations)
    }

    #[allow(clippy::too_many_arguments)]
    fn write_activation(
        &self,
        feature: Feature,
        place: u32,
        rng: &mut StdRng,
        values: &[u32],
        last: usize,
        top: u32,
        out: &mut Vec<u8>,
    ) {
        let index = feature.index;
        let first = values.iter().position(|value| *value == top).unwrap_or(last);
        let prompt = self.prompts.choose(rng).map_or("[]", String::as_str);
        let SyntheticOptions { model_id, source_id, .. } = self.options;
        // Writing to memory does not fail.
        let _ = write!(
            out,
            r#"{{"id":"s{index:07}{place:05}","tokens":{prompt},"index":"{index}","layer":"{source_id}","modelId":"{model_id}","maxValue":{},"maxValueTokenIndex":{first},"minValue":0,"values":["#,
            f64::from(top) / 1000.0
        );
        for (at, value) in values.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            if *value == 0 {
                out.extend_from_slice(b"0.0");
            } else {
                let _ = write!(out, "{}.{:03}", value / 1000, value % 1000);
            }
        }
        let _ = write!(
            out,
            r#"],"creatorId":"{CREATOR}","dataSource":null,"dfaValues":[],"dfaTargetIndex":null,"dfaMaxValue":null,"binMin":{},"binMax":{},"binContains":0.1,"qualifyingTokenIndex":{last}}}"#,
            f64::from(top / 2) / 1000.0,
            f64::from(top) / 1000.0
        );
        out.push(b'\n');
    }

    pub(super) fn write_explanation(&self, feature: Feature, rng: &mut StdRng, out: &mut Vec<u8>) {
        let mut pick = |words: &[&'static str]| words.choose(rng).copied().unwrap_or_default();
        let description =
            format!("{} {} {} {} and {}", pick(&SUBJECTS), pick(&LINKS), pick(&ADJECTIVES), pick(&NOUNS), pick(&NOUNS));
        let row = json!({
            "id": format!("e-{}-{}", self.options.source_id, feature.index), "modelId": self.options.model_id,
            "layer": self.options.source_id, "index": feature.index.to_string(), "authorId": CREATOR, "description": description,
            "embedding": null, "typeName": "np_max-act-logits", "explanationModelName": "gpt-4o-mini",
            "umap_x": 0, "umap_y": 0, "umap_cluster": 0, "umap_log_feature_sparsity": 0, "createdAt": CREATED,
        });
        write_line(&row, out);
    }
}

fn write_line(row: &serde_json::Value, out: &mut Vec<u8>) {
    out.extend_from_slice(row.to_string().as_bytes());
    out.push(b'\n');
}

fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}
