//! What a picture has to show, on vectors whose shape is known.

use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};

use super::{LayoutSettings, Placed, Progress, Stage, layout};
use crate::random::Random;
use crate::{ErrorKind, Result};

fn tensor(rows: &[Vec<f32>]) -> Tensor {
    let width = rows.first().map_or(0, Vec::len);
    Tensor::from_vec(rows.concat(), (rows.len(), width), &Device::Cpu).unwrap()
}

fn quick() -> LayoutSettings {
    LayoutSettings { epochs: Some(100), ..LayoutSettings::default() }
}

fn laid_out(vectors: &Tensor, settings: &LayoutSettings) -> Result<Vec<Option<Placed>>> {
    layout(vectors, settings, &mut |_| ControlFlow::Continue(()))
}

fn all_placed(rows: &[Vec<f32>], settings: &LayoutSettings) -> Vec<Placed> {
    laid_out(&tensor(rows), settings)
        .unwrap()
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .expect("every vector has a place")
}

fn normal(random: &mut Random) -> f32 {
    (0..12).map(|_| random.signed()).sum::<f32>() / 2.0
}

fn normals(width: usize, random: &mut Random) -> Vec<f32> {
    (0..width).map(|_| normal(random)).collect()
}

/// `each` vectors around each of `count` centres, in turn.
fn blobs(count: usize, each: usize, width: usize) -> Vec<Vec<f32>> {
    let mut random = Random::new(11);
    let centres: Vec<Vec<f32>> = (0..count).map(|_| normals(width, &mut random)).collect();
    let near =
        |centre: &Vec<f32>, random: &mut Random| centre.iter().map(|value| value + 0.4 * normal(random)).collect();
    (0..each).flat_map(|_| centres.iter().map(|centre| near(centre, &mut random)).collect::<Vec<_>>()).collect()
}

/// A sheet with two coordinates, bent into `width` dimensions.
fn sheet(count: usize, width: usize) -> Vec<Vec<f32>> {
    let mut random = Random::new(5);
    let waves: Vec<[f32; 3]> =
        (0..width).map(|_| [2.0 * normal(&mut random), 2.0 * normal(&mut random), 3.2 * random.signed()]).collect();
    (0..count)
        .map(|_| {
            let [x, y] = [random.signed(), random.signed()];
            waves.iter().map(|[by_x, by_y, shift]| (by_x * x + by_y * y + shift).cos()).collect()
        })
        .collect()
}

fn apart(one: &Placed, other: &Placed) -> f32 {
    (one.x - other.x).hypot(one.y - other.y)
}

fn cosine_distance(one: &[f32], other: &[f32]) -> f32 {
    let dot = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(a, b)| a * b).sum::<f32>();
    1.0 - dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
}

/// The others, nearest first.
fn ranked<T>(all: &[T], own: usize, distance: impl Fn(&T, &T) -> f32) -> Vec<usize> {
    let mut others: Vec<usize> = (0..all.len()).filter(|other| *other != own).collect();
    others.sort_by(|one, other| distance(&all[own], &all[*one]).total_cmp(&distance(&all[own], &all[*other])));
    others
}

/// Venna and Kaski 2001: 1 if the `k` nearest in the picture are the `k` nearest vectors, and about 0.5 at random.
fn trustworthiness(rows: &[Vec<f32>], placed: &[Placed], k: usize) -> f64 {
    let mut intruded = 0;
    for own in 0..rows.len() {
        let true_order = ranked(rows, own, |one, other| cosine_distance(one, other));
        let mut rank = vec![0; rows.len()];
        true_order.iter().enumerate().for_each(|(place, other)| rank[*other] = place + 1);
        let shown = ranked(placed, own, apart);
        intruded += shown[..k].iter().map(|other| rank[*other].saturating_sub(k)).sum::<usize>();
    }
    let (n, k) = (rows.len() as f64, k as f64);
    1.0 - 2.0 / (n * k * (2.0 * n - 3.0 * k - 1.0)) * intruded as f64
}

#[test]
fn separate_blobs_stay_separate_and_are_clusters() {
    let (count, each) = (6, 40);
    let rows = blobs(count, each, 64);
    let placed = all_placed(&rows, &quick());
    let same = (0..rows.len()).filter(|own| ranked(&placed, *own, apart)[0] % count == own % count).count();
    assert!(same as f64 >= 0.99 * rows.len() as f64, "{same} of {} lie by one of their own", rows.len());
    for blob in 0..count {
        let own: Vec<Option<u32>> = placed.iter().skip(blob).step_by(count).map(|placed| placed.cluster).collect();
        assert!(own[0].is_some() && own.iter().all(|cluster| *cluster == own[0]), "blob {blob}: {own:?}");
    }
    assert_eq!(placed.iter().filter_map(|placed| placed.cluster).max(), Some(count as u32 - 1));
}

#[test]
fn a_bent_sheet_is_laid_flat() {
    let rows = sheet(400, 32);
    let placed = all_placed(&rows, &LayoutSettings { epochs: Some(200), ..LayoutSettings::default() });
    let trust = trustworthiness(&rows, &placed, 15);
    assert!(trust > 0.985, "{trust}");
}

#[test]
fn a_seed_gives_the_same_picture_on_any_number_of_threads() {
    let rows = tensor(&blobs(5, 30, 48));
    let on = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| laid_out(&rows, &LayoutSettings { seed, ..quick() })).unwrap()
    };
    let bits = |placed: Vec<Option<Placed>>| -> Vec<_> {
        placed.into_iter().flatten().map(|placed| (placed.x.to_bits(), placed.y.to_bits(), placed.cluster)).collect()
    };
    let one = bits(on(1, 7));
    assert_eq!(one.len(), 150);
    assert_eq!(one, bits(on(4, 7)));
    assert_ne!(one, bits(on(4, 8)));
}

#[test]
fn few_vectors_have_places_too() {
    assert_eq!(laid_out(&Tensor::zeros((0, 8), DType::F32, &Device::Cpu).unwrap(), &quick()).unwrap(), []);
    for count in [1, 2, 3, 5, 14, 16] {
        let placed = all_placed(&blobs(1, count, 8), &quick());
        assert_eq!(placed.len(), count);
        assert!(placed.iter().all(|placed| placed.x.is_finite() && placed.y.is_finite()));
    }
}

#[test]
fn equal_vectors_lie_together_at_places_of_their_own() {
    let mut rows = vec![vec![1.0, 2.0, -0.5, 0.25]; 40];
    rows.extend(vec![vec![-1.0, 0.5, 3.0, 0.0]; 40]);
    let placed = all_placed(&rows, &quick());
    for (own, place) in placed.iter().enumerate() {
        assert_eq!(ranked(&placed, own, apart)[0] / 40, own / 40);
        assert!(placed[..own].iter().all(|other| apart(place, other) > 0.0));
    }
}

#[test]
fn a_vector_of_zeros_has_no_place_and_changes_no_other() {
    let rows = blobs(2, 20, 8);
    let mut with_zeros = rows.clone();
    with_zeros.insert(3, vec![0.0; 8]);
    with_zeros.push(vec![0.0; 8]);
    let placed = laid_out(&tensor(&with_zeros), &quick()).unwrap();
    assert_eq!((placed[3], placed[41]), (None, None));
    assert_eq!(placed.into_iter().flatten().collect::<Vec<_>>(), all_placed(&rows, &quick()));
    assert_eq!(laid_out(&tensor(&vec![vec![0.0; 8]; 3]), &quick()).unwrap(), [None; 3]);
    assert_eq!(laid_out(&Tensor::zeros((3, 0), DType::F32, &Device::Cpu).unwrap(), &quick()).unwrap(), [None; 3]);
}

#[test]
fn half_precision_is_as_good() {
    let rows = tensor(&blobs(3, 20, 16)).to_dtype(DType::BF16).unwrap();
    let exact = rows.to_dtype(DType::F32).unwrap();
    assert_eq!(laid_out(&rows, &quick()).unwrap(), laid_out(&exact, &quick()).unwrap());
}

#[test]
fn what_is_no_number_is_named() {
    for (value, place) in [(f32::NAN, 4), (f32::INFINITY, 0), (f32::MAX, 9)] {
        let mut rows = blobs(1, 10, 8);
        rows[place][2] = value;
        let error = laid_out(&tensor(&rows), &quick()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().starts_with(&format!("vector {place} ")), "{error}");
    }
}

#[test]
fn settings_have_bounds() {
    let rows = tensor(&blobs(1, 10, 8));
    for settings in [
        LayoutSettings { neighbors: 1, ..quick() },
        LayoutSettings { min_dist: -0.1, ..quick() },
        LayoutSettings { min_dist: f32::NAN, ..quick() },
    ] {
        assert_eq!(laid_out(&rows, &settings).unwrap_err().kind(), ErrorKind::InvalidInput, "{settings:?}");
    }
    let placed = laid_out(&rows, &LayoutSettings { epochs: Some(0), neighbors: 1000, ..quick() }).unwrap();
    assert!(placed.iter().all(Option::is_some));
}

#[test]
fn a_caller_sees_how_far_it_has_come_and_can_end_it() {
    let rows = tensor(&blobs(2, 20, 8));
    let mut seen = Vec::new();
    layout(&rows, &quick(), &mut |progress| {
        seen.push(progress);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(seen.first(), Some(&Progress { stage: Stage::Neighbors, done: 40, total: 40 }));
    assert_eq!(seen.last(), Some(&Progress { stage: Stage::Descent, done: 100, total: 100 }));
    for stage in [Stage::Neighbors, Stage::Descent] {
        let stop = |progress: Progress| {
            if progress.stage == stage { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        assert_eq!(layout(&rows, &quick(), &mut { stop }).unwrap_err().kind(), ErrorKind::Cancelled);
    }
}
