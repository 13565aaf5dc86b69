//! Builds a segment from a file of vectors, searches it, and prints what that took as lines of JSON.
//!
//! ```sh
//! cargo run --release -p latentdb-vectors --example measure_vectors -- DATA.npy QUERIES.npy [l2|cosine|ip] [links] [effort]
//! ```
//!
//! Files are NumPy's, two-dimensional, little-endian `f32`. Searches run on one thread, the build on all. Where the system
//! tells (Linux), processor seconds are given beside the clock's: on a busy machine they are what can be compared.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use latentdb_vectors::{BuildOptions, Hit, Metric, RowFilter, SearchOptions, Segment, SegmentBuilder};
use rayon::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const K: usize = 10;
const WIDTHS: &[Option<usize>] = &[
    None,
    Some(10),
    Some(20),
    Some(40),
    Some(80),
    Some(160),
    Some(320),
    Some(640),
    Some(1280),
    Some(2560),
    Some(1 << 40),
];
/// Each search is repeated this often at least, and the best time counts.
const ROUNDS: usize = 3;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, queries, rest @ ..] = arguments.as_slice() else {
        return Err("bench DATA.npy QUERIES.npy [l2|cosine|ip] [links] [effort]".into());
    };
    let metric = match rest.first().map(String::as_str) {
        None | Some("l2") => Metric::L2,
        Some("cosine") => Metric::Cosine,
        Some("ip") => Metric::InnerProduct,
        Some(other) => return Err(format!("unknown metric {other}").into()),
    };
    let mut options = BuildOptions::default();
    if let Some(links) = rest.get(1) {
        options.links = links.parse()?;
    }
    if let Some(effort) = rest.get(2) {
        options.effort = effort.parse()?;
    }
    let (data, queries) = (Matrix::read(Path::new(data))?, Matrix::read(Path::new(queries))?);
    let path = std::env::temp_dir().join(format!("latentdb-bench-{}.segment", std::process::id()));
    build(&data, metric, options, &path)?;
    let start = Instant::now();
    let segment = Segment::open(&path)?;
    let facts = segment.facts();
    println!(
        r#"{{"open_seconds": {:.4}, "walked_mib": {:.1}, "graph_mib": {:.1}, "file_mib": {:.1}, "default_ef": {}, "build_recall": {}}}"#,
        start.elapsed().as_secs_f64(),
        mib(facts.walked_bytes),
        mib(facts.graph_bytes),
        mib(facts.file_bytes),
        facts.ef.map_or("null".into(), |ef| ef.to_string()),
        facts.recall.map_or("null".into(), |recall| format!("{recall:.4}")),
    );
    search(&data, &queries, metric, &segment, 100, WIDTHS)?;
    for percent in [1, 10, 50, 90] {
        search(&data, &queries, metric, &segment, percent, &[None])?;
    }
    std::fs::remove_file(path)?;
    Ok(())
}

fn build(data: &Matrix, metric: Metric, options: BuildOptions, path: &Path) -> Result<()> {
    let (start, used) = (Instant::now(), process_seconds());
    let mut builder = SegmentBuilder::new(data.dim, metric, options)?;
    for (row, vector) in (0..).zip(data.rows()) {
        builder.push(row, vector)?;
    }
    let pushed = start.elapsed().as_secs_f64();
    builder.write(path, |_| ControlFlow::Continue(()))?;
    let total = start.elapsed().as_secs_f64();
    let used = process_seconds() - used;
    println!(
        r#"{{"build_seconds": {total:.2}, "build_processor_seconds": {used:.2}, "encoding_seconds": {pushed:.2}, "threads": {}}}"#,
        rayon::current_num_threads()
    );
    Ok(())
}

/// Measures searches of some widths, among a part of the rows.
fn search(
    data: &Matrix,
    queries: &Matrix,
    metric: Metric,
    segment: &Segment,
    percent: u32,
    widths: &[Option<usize>],
) -> Result<()> {
    // Scattered, and the same in every run.
    let passes = |row: &u32| row.wrapping_mul(2_654_435_761) >> 16 < 65_536 * percent / 100;
    let filter: Option<RowFilter> = (percent < 100).then(|| (0..data.rows().len() as u32).filter(passes).collect());
    let queries: Vec<&[f32]> = queries.rows().collect();
    let truths: Vec<Vec<u32>> = queries
        .par_iter()
        .map(|query| nearest(data, query, metric, filter.as_ref()))
        .collect::<std::result::Result<_, _>>()?;
    for &ef in widths {
        let options = SearchOptions { ef, filter: filter.as_ref() };
        let (mut best, mut best_processor) = (f64::MAX, f64::MAX);
        let mut found: Vec<Vec<Hit>> = Vec::new();
        for _ in 0..ROUNDS {
            let (start, used) = (Instant::now(), thread_seconds());
            found = queries
                .iter()
                .map(|query| segment.search(query, K, &options))
                .collect::<std::result::Result<_, _>>()?;
            best = best.min(start.elapsed().as_secs_f64());
            best_processor = best_processor.min(thread_seconds() - used);
        }
        let hits =
            found.iter().zip(&truths).map(|(found, truth)| found.iter().filter(|hit| truth.contains(&hit.row)).count());
        let recall = hits.sum::<usize>() as f64 / truths.iter().map(Vec::len).sum::<usize>() as f64;
        let ef = ef.map_or("default".into(), |ef| if ef > 1 << 20 { "scan".into() } else { ef.to_string() });
        println!(
            r#"{{"percent": {percent}, "ef": "{ef}", "recall": {recall:.4}, "queries_per_second": {:.0}, "queries_per_processor_second": {:.0}}}"#,
            queries.len() as f64 / best,
            queries.len() as f64 / best_processor
        );
    }
    Ok(())
}

/// Processor time of this process's threads; 0 where the system does not tell.
fn process_seconds() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    threads.map(|thread| on_processor(&thread.path().join("schedstat"))).sum()
}

/// Processor time of this thread; 0 where the system does not tell.
fn thread_seconds() -> f64 {
    on_processor(Path::new("/proc/thread-self/schedstat"))
}

/// The first number of such a file is nanoseconds.
fn on_processor(path: &Path) -> f64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|nanoseconds| nanoseconds.parse::<f64>().ok())
        .map_or(0.0, |nanoseconds| nanoseconds / 1e9)
}

/// The rows that are nearest by the vectors themselves.
fn nearest(
    data: &Matrix,
    query: &[f32],
    metric: Metric,
    filter: Option<&RowFilter>,
) -> latentdb_vectors::Result<Vec<u32>> {
    let mut distances = Vec::new();
    latentdb_vectors::distances(metric, query, &data.values, &mut distances)?;
    let mut rows: Vec<u32> =
        (0..distances.len() as u32).filter(|&row| filter.is_none_or(|filter| filter.contains(row))).collect();
    rows.sort_unstable_by(|&a, &b| distances[a as usize].total_cmp(&distances[b as usize]));
    rows.truncate(K);
    Ok(rows)
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Row-major.
struct Matrix {
    dim: usize,
    values: Vec<f32>,
}

impl Matrix {
    fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.dim)
    }

    /// Reads an `.npy` file.
    fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)?;
        let header_length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        let header = std::str::from_utf8(&bytes[10..10 + header_length])?;
        if !bytes.starts_with(b"\x93NUMPY\x01") || !header.contains("'<f4'") || header.contains("'fortran_order': True")
        {
            return Err(format!("{} is not a matrix of f32", path.display()).into());
        }
        let shape = header.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')')).ok_or("no shape")?.0;
        let dim = shape.rsplit(',').find(|part| !part.trim().is_empty()).ok_or("no shape")?.trim().parse()?;
        let values = bytes[10 + header_length..]
            .chunks_exact(4)
            .map(|value| f32::from_le_bytes([value[0], value[1], value[2], value[3]]));
        Ok(Self { dim, values: values.collect() })
    }
}
