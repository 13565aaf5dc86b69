//! Embeds the lines of a file, and says how long that took, as `benches/embeddings.py` wants to know.
//!
//! ```sh
//! cargo run --release --example embed -- MODEL_FOLDER TEXTS [REPEATS] [VECTORS]
//! ```
//!
//! The best of the repeats counts. With a fourth argument, the vectors are written there, as little-endian f32.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use latentdb_runtime::DeviceName;
use latentdb_runtime::embed::TextEmbedder;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, texts, rest @ ..] = arguments.as_slice() else {
        return Err("MODEL_FOLDER and TEXTS are needed".into());
    };
    let repeats: usize = rest.first().map_or(Ok(3), |text| text.parse())?;
    let text = std::fs::read_to_string(texts)?;
    let lines: Vec<&str> = text.lines().collect();
    let start = Instant::now();
    let embedder = TextEmbedder::open(Path::new(model), &DeviceName::Cpu.open()?)?;
    let opened = start.elapsed().as_secs_f64();
    let mut best = f64::INFINITY;
    for _ in 0..repeats.max(1) {
        let start = Instant::now();
        let vectors = embedder.embed(&lines)?;
        best = best.min(start.elapsed().as_secs_f64());
        if let Some(path) = rest.get(1) {
            let bytes: Vec<u8> = vectors.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
            std::fs::write(path, bytes)?;
        }
    }
    let count = lines.len();
    println!(
        "{{\"texts\": {count}, \"seconds\": {best:.4}, \"open_seconds\": {opened:.3}, \"identity\": {:?}}}",
        embedder.identity()
    );
    Ok(())
}
