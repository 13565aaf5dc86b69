//! What one feature does on a corpus: how often it fires, how strongly, and on which prompts.
//!
//! As SAEDashboard: the density counts masked tokens among all; intervals divide the range from 0 to the maximum
//! evenly, their ends belong to both neighbours, and tokens on which the feature is silent lie in the lowest. Unlike there,
//! prompts with the largest activations are listed once each, and no silent token is drawn as an example: neither tells
//! anything about the feature. Examples are drawn by a hash of where they are, so the draw depends on the seed and the
//! corpus alone.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::firings::Firing;
use super::histogram::Histogram;
use crate::ops::top_k;

/// How much of a feature's activity is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivitySettings {
    /// Prompts with the largest activations.
    pub top: usize,
    /// Intervals between 0 and the maximum.
    pub intervals: usize,
    /// Examples drawn from each interval.
    pub per_interval: usize,
    /// Bars of the histogram.
    pub bars: usize,
    /// Of the draw.
    pub seed: u64,
}

impl Default for ActivitySettings {
    fn default() -> Self {
        Self { top: 20, intervals: 5, per_interval: 5, bars: 50, seed: 0 }
    }
}

/// What a feature does on a corpus.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    /// Share of all tokens on which it is active.
    pub density: f64,
    /// Largest activation; 0 if it is never active.
    pub max: f32,
    /// Of its activations.
    pub histogram: Histogram,
    /// Prompts on which it is active, strongest first.
    pub examples: Vec<Example>,
}

/// A prompt on which a feature is active.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Number of the prompt.
    pub prompt: u32,
    /// Positions at which the feature is active, ascending.
    pub positions: Vec<u32>,
    /// Activations there.
    pub acts: Vec<f32>,
    /// Largest of them.
    pub max: f32,
    /// Where it is; the first place, of equal ones.
    pub max_position: u32,
    /// The position for which the prompt was chosen.
    pub qualifying_position: u32,
    /// The interval that it was drawn from; none for one with the largest activations.
    pub interval: Option<Interval>,
}

/// A part of the range from 0 to a feature's maximum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Least activation in it.
    pub low: f32,
    /// Largest activation in it.
    pub high: f32,
    /// Share of all tokens whose activations are in it.
    pub fraction: f64,
}

/// The activity of a feature with these `firings`, sorted by prompt and position, on a corpus of `tokens` tokens.
pub fn activity(firings: &[Firing], tokens: u64, settings: &ActivitySettings) -> Activity {
    let max = firings.iter().fold(0.0f32, |most, firing| most.max(firing.value));
    let prompts: Vec<&[Firing]> = firings.chunk_by(|one, other| one.prompt == other.prompt).collect();
    let mut examples = strongest(&prompts, settings.top);
    if max > 0.0 {
        examples.extend(drawn(firings, &prompts, max, tokens, settings));
    }
    examples.sort_by(|one, other| other.max.total_cmp(&one.max).then(one.prompt.cmp(&other.prompt)));
    Activity {
        density: if tokens == 0 { 0.0 } else { firings.len() as f64 / tokens as f64 },
        max,
        histogram: Histogram::new(firings.iter().map(|firing| firing.value), settings.bars),
        examples,
    }
}

/// The `most` prompts with the largest activations.
fn strongest(prompts: &[&[Firing]], most: usize) -> Vec<Example> {
    let maxima: Vec<f32> =
        prompts.iter().map(|own| own.iter().fold(0.0f32, |most, firing| most.max(firing.value))).collect();
    let chosen = top_k(&maxima, most, |_, _| true);
    chosen.iter().filter_map(|(at, _)| Some(example(prompts.get(*at as usize)?, None))).collect()
}

/// Examples of each interval.
fn drawn(
    firings: &[Firing],
    prompts: &[&[Firing]],
    max: f32,
    tokens: u64,
    settings: &ActivitySettings,
) -> Vec<Example> {
    let mut found = Vec::new();
    for number in 0..settings.intervals {
        let edge = |number: usize| (f64::from(max) * number as f64 / settings.intervals as f64) as f32;
        let (low, high) = (edge(number), if number + 1 == settings.intervals { max } else { edge(number + 1) });
        let inside: Vec<&Firing> =
            firings.iter().filter(|firing| low <= firing.value && firing.value <= high).collect();
        let silent = if number == 0 { tokens.saturating_sub(firings.len() as u64) } else { 0 };
        let fraction = (inside.len() as u64 + silent) as f64 / tokens.max(1) as f64;
        let interval = Interval { low, high, fraction };
        for firing in draw(inside, settings.per_interval, settings.seed ^ number as u64) {
            let own = prompts.binary_search_by_key(&firing.prompt, |own| own.first().map_or(0, |first| first.prompt));
            if let Some(own) = own.ok().and_then(|at| prompts.get(at)) {
                found.push(example(own, Some((interval, firing.position))));
            }
        }
    }
    found
}

/// `most` of the candidates, each as likely as any other.
fn draw(candidates: Vec<&Firing>, most: usize, seed: u64) -> Vec<&Firing> {
    let lot = |firing: &Firing| {
        let mut place = [0; 12];
        for (bytes, number) in place.chunks_exact_mut(4).zip([firing.feature, firing.prompt, firing.position]) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        xxh3_64_with_seed(&place, seed)
    };
    let mut lots: Vec<(u64, &Firing)> = candidates.into_iter().map(|firing| (lot(firing), firing)).collect();
    let by_lot = |one: &(u64, &Firing), other: &(u64, &Firing)| (one.0, one.1.key()).cmp(&(other.0, other.1.key()));
    if most == 0 {
        return Vec::new();
    }
    if lots.len() > most {
        lots.select_nth_unstable_by(most - 1, by_lot);
        lots.truncate(most);
    }
    lots.sort_unstable_by(by_lot);
    lots.into_iter().map(|(_, firing)| firing).collect()
}

/// A prompt with its firings.
fn example(own: &[Firing], drawn: Option<(Interval, u32)>) -> Example {
    let (mut max, mut max_position) = (0.0, 0);
    for firing in own {
        if firing.value > max {
            (max, max_position) = (firing.value, firing.position);
        }
    }
    Example {
        prompt: own.first().map_or(0, |first| first.prompt),
        positions: own.iter().map(|firing| firing.position).collect(),
        acts: own.iter().map(|firing| firing.value).collect(),
        max,
        max_position,
        qualifying_position: drawn.map_or(max_position, |(_, position)| position),
        interval: drawn.map(|(interval, _)| interval),
    }
}

#[cfg(test)]
mod tests {
    use super::{Activity, ActivitySettings, activity};
    use crate::dashboard::Firing;

    fn firings(values: &[(u32, u32, f32)]) -> Vec<Firing> {
        values
            .iter()
            .map(|(prompt, position, value)| Firing { feature: 3, prompt: *prompt, position: *position, value: *value })
            .collect()
    }

    fn tops(activity: &Activity) -> Vec<(u32, u32, f32)> {
        let top = activity.examples.iter().filter(|example| example.interval.is_none());
        top.map(|example| (example.prompt, example.max_position, example.max)).collect()
    }

    #[test]
    fn a_prompt_is_listed_once_among_the_strongest() {
        let all = firings(&[(0, 1, 2.0), (0, 4, 5.0), (1, 0, 5.0), (2, 3, 1.0), (2, 5, 1.0)]);
        let found = activity(&all, 100, &ActivitySettings { top: 2, per_interval: 0, ..ActivitySettings::default() });
        assert_eq!(tops(&found), [(0, 4, 5.0), (1, 0, 5.0)]);
        assert_eq!((found.density, found.max), (0.05, 5.0));
        assert_eq!(found.examples[0].positions, [1, 4]);
    }

    #[test]
    fn intervals_hold_what_lies_in_them() {
        let all: Vec<Firing> = firings(&(0..200).map(|n| (n / 4, n % 4, 0.05 * (n + 1) as f32)).collect::<Vec<_>>());
        let settings = ActivitySettings { top: 1, seed: 7, ..ActivitySettings::default() };
        let found = activity(&all, 1000, &settings);
        let drawn: Vec<_> = found.examples.iter().filter_map(|example| Some((example, example.interval?))).collect();
        assert_eq!(drawn.len(), 25);
        for (example, interval) in &drawn {
            let at = example.positions.iter().position(|position| *position == example.qualifying_position).unwrap();
            assert!(interval.low <= example.acts[at] && example.acts[at] <= interval.high);
        }
        let lowest = drawn.iter().find(|(_, interval)| interval.low == 0.0).unwrap().1;
        assert!((lowest.fraction - 0.84).abs() < 1e-9, "silent tokens are in the lowest: {}", lowest.fraction);
        assert_eq!(found, activity(&all, 1000, &settings), "a seed gives the same examples again");
        assert_ne!(found, activity(&all, 1000, &ActivitySettings { seed: 8, ..settings }));
    }

    #[test]
    fn a_dead_feature_has_nothing() {
        let found = activity(&[], 100, &ActivitySettings::default());
        assert_eq!((found.density, found.max, found.examples.len(), found.histogram.counts.len()), (0.0, 0.0, 0, 0));
    }
}
