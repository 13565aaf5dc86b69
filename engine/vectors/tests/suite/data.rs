//! Made-up vectors, and the oracle.

use std::ops::ControlFlow;
use std::path::PathBuf;

use latentdb_vectors::{BuildOptions, Hit, Metric, RowFilter, Segment, SegmentBuilder};

/// Numbers that follow from a seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.uniform() * end as f64) as usize
    }

    /// From the normal distribution.
    pub(crate) fn normal(&mut self) -> f32 {
        let (radius, angle) = ((-2.0 * (1.0 - self.uniform()).ln()).sqrt(), std::f64::consts::TAU * self.uniform());
        (radius * angle.cos()) as f32
    }

    pub(crate) fn vector(&mut self, dim: usize) -> Vec<f32> {
        (0..dim).map(|_| self.normal()).collect()
    }
}

/// Vectors about as many centres, like embeddings of texts on as many subjects.
pub(crate) fn clustered(count: usize, dim: usize, clusters: usize, random: &mut Random) -> Vec<Vec<f32>> {
    let centres: Vec<Vec<f32>> = (0..clusters).map(|_| random.vector(dim)).collect();
    let near = |random: &mut Random| {
        let centre = random.below(clusters);
        centres[centre].iter().map(|value| value + 0.8 * random.normal()).collect()
    };
    (0..count).map(|_| near(random)).collect()
}

/// A segment and what is in it.
pub(crate) struct Case {
    pub(crate) rows: Vec<u32>,
    pub(crate) vectors: Vec<Vec<f32>>,
    pub(crate) segment: Segment,
    pub(crate) path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Case {
    /// Every third row has no vector.
    pub(crate) fn new(metric: Metric, vectors: Vec<Vec<f32>>, options: BuildOptions) -> Self {
        let rows: Vec<u32> = (0..).filter(|row| row % 3 != 1).take(vectors.len()).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.segment");
        let dim = vectors.first().map_or(3, Vec::len);
        let mut builder = SegmentBuilder::new(dim, metric, options).unwrap();
        rows.iter().zip(&vectors).for_each(|(&row, vector)| builder.push(row, vector).unwrap());
        builder.write(&path, |_| ControlFlow::Continue(())).unwrap();
        let segment = Segment::open(&path).unwrap();
        Self { rows, vectors, segment, path, _folder: folder }
    }

    /// The nearest allowed rows, by `f64`.
    pub(crate) fn nearest(&self, query: &[f32], k: usize, filter: Option<&RowFilter>) -> Vec<Hit> {
        let rows = self.rows.iter().zip(&self.vectors);
        let allowed = rows.filter(|(row, _)| filter.is_none_or(|filter| filter.contains(**row)));
        let measured = allowed.map(|(&row, vector)| (distance(self.segment.metric(), query, vector), row));
        let mut measured: Vec<(f64, u32)> = measured.collect();
        measured.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        measured.truncate(k);
        measured.into_iter().map(|(distance, row)| Hit { row, distance: distance as f32 }).collect()
    }
}

pub(crate) fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let sum = |term: fn(f64, f64) -> f64| a.iter().zip(b).map(|(&x, &y)| term(x.into(), y.into())).sum::<f64>();
    let dot = sum(|x, y| x * y);
    match metric {
        Metric::L2 => sum(|x, y| (x - y) * (x - y)).sqrt(),
        Metric::InnerProduct => -dot,
        Metric::Cosine => 1.0 - dot / (sum(|x, _| x * x) * sum(|_, y| y * y)).sqrt(),
    }
}

/// How many of the expected rows were found.
pub(crate) fn overlap(found: &[Hit], expected: &[Hit]) -> usize {
    found.iter().filter(|hit| expected.iter().any(|other| other.row == hit.row)).count()
}

pub(crate) const METRICS: [Metric; 3] = [Metric::L2, Metric::Cosine, Metric::InnerProduct];
