//! Sentence embeddings against sentence-transformers (`golden/embed/make.py`, `golden/embed/minilm.py`).

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use candle_core::Device;
use latentdb_runtime::ErrorKind;
use latentdb_runtime::embed::TextEmbedder;
use serde::Deserialize;

const MODELS: &[&str] = &["mean", "cls", "bare", "cased"];
/// Values may differ by rounding from those of PyTorch.
const TOLERANCE: f32 = 1e-5;
/// What batch mates may change.
const SAME: f32 = 1e-6;

#[derive(Deserialize)]
struct Golden {
    max_tokens: usize,
    texts: Vec<String>,
    /// Little-endian f32 in base64.
    vectors: Vec<String>,
}

impl Golden {
    fn read(path: &Path) -> Self {
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn texts(&self) -> Vec<&str> {
        self.texts.iter().map(String::as_str).collect()
    }

    fn vectors(&self) -> Vec<Vec<f32>> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let vector = |text: &String| {
            let bytes = STANDARD.decode(text).unwrap();
            bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
        };
        self.vectors.iter().map(vector).collect()
    }
}

pub(super) fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/embed").join(name)
}

fn open(name: &str) -> (TextEmbedder, Golden) {
    let embedder = TextEmbedder::open(&folder(name), &Device::Cpu).unwrap_or_else(|error| panic!("{name}: {error}"));
    (embedder, Golden::read(&folder(name).join("expected.json")))
}

#[track_caller]
fn assert_close(found: &[Vec<f32>], expected: &[Vec<f32>], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (text, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len(), "{what}, text {text}");
        let scale = expected.iter().fold(1.0f32, |most, value| most.max(value.abs()));
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= tolerance * scale, "{what}, text {text}: {found}, expected {expected}");
        }
    }
}

#[test]
fn vectors_are_those_of_sentence_transformers() {
    for name in MODELS {
        let (embedder, golden) = open(name);
        assert_eq!(embedder.max_tokens(), golden.max_tokens, "{name}");
        let (found, expected) = (embedder.embed(&golden.texts()).unwrap(), golden.vectors());
        assert_eq!(embedder.width(), expected[0].len(), "{name}");
        assert_close(&found, &expected, TOLERANCE, name);
    }
}

#[test]
fn neither_batch_mates_nor_their_number_change_a_vector() {
    for name in MODELS {
        let (embedder, golden) = open(name);
        let texts = golden.texts();
        // More than a batch.
        let many: Vec<&str> = texts.iter().copied().cycle().take(400).collect();
        let together = embedder.embed(&many).unwrap();
        for (number, text) in texts.iter().enumerate() {
            let alone = embedder.embed(&[text]).unwrap();
            for same in [number, number + texts.len() * 11, number + texts.len() * 30] {
                assert_close(&together[same..=same], &alone, SAME, name);
            }
        }
    }
}

#[test]
fn order_is_kept_where_texts_are_more_than_are_sorted_together() {
    let (embedder, _) = open("cased");
    let kinds = ["x", "", "c a t", "?", "dates"];
    let many: Vec<&str> = kinds.into_iter().cycle().take(4200).collect();
    let (found, expected) = (embedder.embed(&many).unwrap(), embedder.embed(&kinds).unwrap());
    for (number, vector) in found.iter().enumerate() {
        let kind = number % kinds.len();
        assert_close(std::slice::from_ref(vector), &expected[kind..=kind], SAME, kinds[kind]);
    }
}

#[test]
fn no_texts_have_no_vectors_and_empty_texts_have_one() {
    let (embedder, _) = open("mean");
    assert!(embedder.embed(&[]).unwrap().is_empty());
    let vectors = embedder.embed(&["", "  \n", "the cat"]).unwrap();
    assert_eq!(vectors[0], vectors[1]);
    assert_ne!(vectors[0], vectors[2]);
    let length: f32 = vectors[0].iter().map(|value| value * value).sum();
    assert!((length - 1.0).abs() < 1e-6, "{length}");
}

#[test]
fn what_is_beyond_the_longest_text_does_not_count() {
    let (embedder, _) = open("mean");
    let (words, most) = (["the", "cat", "of"], embedder.max_tokens() - 2);
    let text = |count: usize| words.iter().copied().cycle().take(count).collect::<Vec<_>>().join(" ");
    let (shorter, whole, longer) = (text(most - 1), text(most), text(most * 50));
    let vectors = embedder.embed(&[&shorter, &whole, &longer]).unwrap();
    assert_close(&vectors[2..], &vectors[1..2], SAME, "longer");
    assert_ne!(vectors[0], vectors[1]);
}

#[test]
fn an_identity_is_of_what_the_files_say_and_not_of_where_they_are() {
    let names: Vec<String> = MODELS.iter().map(|name| open(name).0.identity().to_owned()).collect();
    for (number, name) in names.iter().enumerate() {
        assert!(!names[..number].contains(name), "{names:?}");
    }
    assert!(names[0].starts_with("bert-2x32-mean-normalized-"), "{names:?}");
    let copy = super::embed_files::copy("mean");
    let identity = || TextEmbedder::open(copy.path(), &Device::Cpu).unwrap().identity().to_owned();
    assert_eq!(identity(), names[0]);
    let weights = copy.path().join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    assert_ne!(identity(), names[0], "other weights");
    let copy = super::embed_files::copy("mean");
    let limits = copy.path().join("sentence_bert_config.json");
    std::fs::write(limits, r#"{"max_seq_length": 12}"#).unwrap();
    let shorter = TextEmbedder::open(copy.path(), &Device::Cpu).unwrap();
    assert_ne!(shorter.identity(), names[0], "another longest text");
}

#[test]
fn embedding_ends_when_it_is_told_to() {
    let (embedder, golden) = open("mean");
    let many: Vec<&str> = golden.texts().into_iter().cycle().take(1000).collect();
    let mut seen = Vec::new();
    let all = embedder.embed_watched(&many, &mut |done| {
        seen.push(done);
        ControlFlow::Continue(())
    });
    assert_eq!(all.unwrap().len(), 1000);
    assert!(seen.len() > 3 && seen[0] == 0 && seen.is_sorted() && seen[seen.len() - 1] < 1000, "{seen:?}");
    let mut asked = 0;
    let ended = embedder.embed_watched(&many, &mut |_| {
        asked += 1;
        if asked == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((ended.unwrap_err().kind(), asked), (ErrorKind::Cancelled, 3));
}

/// Runs where `LATENTDB_MINILM` names the folder that `golden/embed/fetch-minilm` prints, as `make test` does.
#[test]
fn the_real_model_gives_the_vectors_of_sentence_transformers() {
    let Some(place) = std::env::var_os("LATENTDB_MINILM").filter(|place| !place.is_empty()) else {
        eprintln!("skipped: LATENTDB_MINILM names no folder");
        return;
    };
    let embedder = TextEmbedder::open(Path::new(&place), &Device::Cpu).unwrap();
    let golden = Golden::read(&folder("minilm.json"));
    assert_eq!((embedder.width(), embedder.max_tokens()), (384, golden.max_tokens));
    let (found, expected) = (embedder.embed(&golden.texts()).unwrap(), golden.vectors());
    // Of vectors of length 1.
    for (text, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let furthest = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(furthest < 1e-6, "text {text}: {furthest}");
    }
}
