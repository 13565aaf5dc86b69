//! The generation engine: many texts at once, each as if it were alone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use latentdb_runtime::generate::{Completion, Event, FinishReason, GenerationOptions, Request, Sampling};
use latentdb_runtime::model::{Batch, Cache, Model, NoTap, OpenOptions, StepWeights};
use latentdb_runtime::ops::Logits;
use latentdb_runtime::service::{ModelKey, Service, ServiceOptions, Worker};
use latentdb_runtime::steer::{Change, Intervention};
use latentdb_runtime::{Error, ErrorKind, Place, Point};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models").join(name)
}

fn worker_of(directory: &Path, generation: GenerationOptions) -> Worker {
    let service = Service::new(ServiceOptions { generation, ..ServiceOptions::default() }).unwrap();
    service.model(&ModelKey { directory: directory.to_owned(), dtype: None }).unwrap()
}

fn worker(name: &str) -> Worker {
    worker_of(&golden(name), GenerationOptions::default())
}

/// A request that no end of text cuts short.
fn request(prompt: Vec<u32>, max_tokens: usize) -> Request {
    let mut request = Request::new(prompt, max_tokens);
    request.stop.tokens = Some(Vec::new());
    request
}

/// Requests that differ in everything: length, sampling, steering.
fn mixed(number: u32) -> Request {
    let prompt = (0..3 + number % 13).map(|place| (number * 11 + place * 7) % 64).collect();
    let mut request = request(prompt, 10 + number as usize % 20);
    request.sampling = Sampling {
        temperature: [0.0, 0.7, 1.3][number as usize % 3],
        top_k: [0, 9][number as usize % 2],
        top_p: [1.0, 0.8][number as usize / 2 % 2],
        frequency_penalty: [0.0, 0.4][number as usize / 3 % 2],
        seed: u64::from(number),
    };
    request.logprobs = Some(3);
    if number.is_multiple_of(2) {
        let direction = (0..32).map(|place| ((number + place) as f32).sin()).collect();
        let point = Point::new(Place::ResidPost, number as usize / 2 % 2);
        request.interventions = vec![Intervention::new(point, Change::Add { direction, strength: 2.0 })];
    }
    request
}

async fn whole(worker: &Worker, request: Request) -> Completion {
    worker.generate(request).await.unwrap().whole().await.unwrap()
}

async fn refused(worker: &Worker, request: Request) -> Error {
    let error = worker.generate(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    error
}

fn ids(completion: &Completion) -> Vec<u32> {
    completion.tokens.iter().map(|token| token.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_mates_change_no_bit_of_a_text() {
    for family in ["gpt2", "mistral", "gemma3", "neox"] {
        // A small budget of prompt tokens, so that prompts are read in pieces and between others' steps.
        let worker = worker_of(&golden(family), GenerationOptions { prompt_tokens: 5, ..GenerationOptions::default() });
        let mut alone = Vec::new();
        for number in 0..9 {
            alone.push(whole(&worker, mixed(number)).await);
        }
        let mut together = Vec::new();
        for number in 0..9 {
            together.push(worker.generate(mixed(number)).await.unwrap());
        }
        for (number, (generation, alone)) in together.into_iter().zip(&alone).enumerate() {
            // Log-probabilities too: they tell of every bit of the logits.
            assert_eq!(&generation.whole().await.unwrap(), alone, "{family} {number}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_streams_half_are_given_up_and_nothing_leaks() {
    let worker = worker("llama");
    let mut alone = Vec::new();
    for number in 0..64 {
        alone.push(ids(&whole(&worker, mixed(number)).await));
    }
    let mut streams = Vec::new();
    for number in 0..64 {
        streams.push(worker.generate(mixed(number)).await.unwrap());
    }
    let mut seen_bytes = 0;
    let tasks: Vec<_> = (0..64)
        .zip(streams)
        .map(|(number, mut stream)| {
            tokio::spawn(async move {
                let mut tokens = Vec::new();
                while let Some(event) = stream.next().await {
                    if let Event::Token(token) = event.unwrap() {
                        tokens.push(token.id);
                    }
                    if number % 2 == 1 && tokens.len() == 4 {
                        return tokens;
                    }
                }
                tokens
            })
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        seen_bytes = seen_bytes.max(worker.generation_status().cache_bytes);
        let tokens = task.await.unwrap();
        let expected = if number % 2 == 1 { &alone[number][..4] } else { &alone[number][..] };
        assert_eq!(tokens, expected, "{number}");
    }
    assert!(seen_bytes > 0);
    let status = idle(&worker).await;
    assert_eq!((status.running, status.waiting, status.cache_bytes), (0, 0, 0));
}

/// Waits until the engine has looked once more.
async fn idle(worker: &Worker) -> latentdb_runtime::generate::GenerationStatus {
    for _ in 0..200 {
        let status = worker.generation_status();
        if status.running == 0 {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    worker.generation_status()
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_hold_and_the_rest_waits() {
    let one = 2 * 2 * 32 * 4 * 40; // Keys and values, layers, width, bytes, tokens.
    let options = GenerationOptions { sequences: 3, cache_bytes: 2 * one, ..GenerationOptions::default() };
    let worker = worker_of(&golden("gpt2"), options);
    let mut streams = Vec::new();
    for number in 0..12 {
        streams.push(worker.generate(request(vec![number; 10], 30)).await.unwrap());
    }
    for stream in streams {
        let status = worker.generation_status();
        assert!(status.running <= 2 && status.cache_bytes <= 2 * one, "{status:?}");
        assert_eq!(stream.whole().await.unwrap().tokens.len(), 30);
    }
    let error = refused(
        &worker_of(&golden("gpt2"), GenerationOptions { cache_bytes: one - 1, ..options }),
        request(vec![1; 10], 30),
    )
    .await;
    assert!(error.message().contains("bytes"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_at_the_edges() {
    let worker = worker("gpt2");
    let none = whole(&worker, request(vec![1, 2], 0)).await;
    assert_eq!((none.tokens.len(), none.text.as_str(), none.reason), (0, "", FinishReason::Length));
    assert!(refused(&worker, request(vec![1], 1_000_000)).await.message().contains("1000000"));
    let unbounded =
        worker_of(&golden("gpt2"), GenerationOptions { max_tokens: usize::MAX, ..GenerationOptions::default() });
    let full = whole(&unbounded, request(vec![1; 10], 1_000_000)).await;
    assert_eq!((full.tokens.len(), full.reason), (54, FinishReason::Length));
    assert!(refused(&worker, request(Vec::new(), 5)).await.message().contains("no tokens"));
    assert!(refused(&worker, request(vec![1; 64], 5)).await.message().contains("no room"));
    assert!(refused(&worker, request(vec![1, 64], 5)).await.message().contains("64"));
    assert_eq!(whole(&worker, request(vec![1; 63], 5)).await.tokens.len(), 1);
    let odd = |change: fn(&mut Request)| {
        let mut request = request(vec![1], 5);
        change(&mut request);
        request
    };
    refused(&worker, odd(|request| request.sampling.temperature = f32::NAN)).await;
    refused(&worker, odd(|request| request.sampling.top_p = 0.0)).await;
    refused(&worker, odd(|request| request.sampling.frequency_penalty = 3.0)).await;
    refused(&worker, odd(|request| request.stop.strings = vec![String::new()])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seeds_penalties_and_probabilities() {
    let worker = worker("llama");
    let warm = |seed| {
        let mut request = request(vec![0, 5, 9], 20);
        request.sampling = Sampling { temperature: 1.0, seed, ..Sampling::default() };
        request
    };
    let first = ids(&whole(&worker, warm(1)).await);
    assert_eq!(first, ids(&whole(&worker, warm(1)).await));
    assert_ne!(first, ids(&whole(&worker, warm(2)).await));
    let mut greedy = request(vec![0, 5, 9], 30);
    greedy.logprobs = Some(4);
    let loops = whole(&worker, greedy.clone()).await;
    for token in &loops.tokens {
        assert_eq!((token.top.len(), token.top[0]), (4, (token.id, token.logprob.unwrap())));
        assert!(token.top.iter().map(|(_, logprob)| logprob.exp()).sum::<f32>() <= 1.0 + 1e-5);
    }
    greedy.sampling.frequency_penalty = 2.0;
    let varied = whole(&worker, greedy).await;
    let kinds = |completion: &Completion| ids(completion).into_iter().collect::<std::collections::HashSet<_>>().len();
    assert!(kinds(&varied) > kinds(&loops), "{:?} and {:?}", ids(&varied), ids(&loops));
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_end_at_tokens_and_at_strings_across_tokens() {
    let worker = worker("gpt2");
    assert_eq!(worker.model().ends(), [1, 50256]);
    let all = whole(&worker, request(vec![0, 39, 13, 8], 12)).await;
    let mut early = request(vec![0, 39, 13, 8], 12);
    early.stop.tokens = Some(vec![all.tokens[5].id]);
    let first = ids(&all).iter().position(|id| *id == all.tokens[5].id).unwrap();
    let stopped = whole(&worker, early).await;
    assert_eq!(stopped.reason, FinishReason::Stop(all.tokens[5].id));
    assert_eq!(ids(&stopped), ids(&all)[..first]);
    // From the middle of one token to the middle of the next.
    let start = all.text.char_indices().nth(9).unwrap().0;
    let stop = all.text[start..start + 4].to_owned();
    let mut across = request(vec![0, 39, 13, 8], 12);
    across.stop.strings = vec!["never".to_owned(), stop.clone()];
    let cut = whole(&worker, across).await;
    assert_eq!(cut.text, all.text[..all.text.find(&stop).unwrap()]);
    assert_eq!(cut.reason, FinishReason::StopString(stop));
    assert_eq!(all.text, worker.model().tokenizer().decode(&[&[8], &ids(&all)[..]].concat()).unwrap()[2..]);
}

/// The tiny GPT-2 with a vocabulary of bytes, of which pairs make two-byte characters.
fn with_bytes(folder: &Path) {
    for file in ["config.json", "model.safetensors", "generation_config.json"] {
        std::fs::copy(golden("gpt2").join(file), folder.join(file)).unwrap();
    }
    // In byte-level vocabularies, Ã stands for the byte C3 and the characters from ł on for 80 and more.
    let name = |id: u32| if id.is_multiple_of(2) { format!("Ã#{id}") } else { format!("©#{id}") };
    let vocabulary: serde_json::Map<_, _> = (0..64).map(|id| (name(id), id.into())).collect();
    let tokenizer = serde_json::json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
        "truncation": null, "padding": null,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"Regex": "#[0-9]+"}, "content": ""},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
        ]},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": name(0)},
    });
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_piece_ends_within_a_character() {
    let folder = tempfile::tempdir().unwrap();
    with_bytes(folder.path());
    let worker = worker_of(folder.path(), GenerationOptions::default());
    let tokenizer = worker.model().tokenizer();
    assert_eq!(tokenizer.decode(&[2, 3]).unwrap(), "é");
    let mut whole_characters = 0;
    for seed in 0..8 {
        let mut request = request(vec![2, 3], 40);
        request.sampling = Sampling { temperature: 3.0, seed, ..Sampling::default() };
        let completion = whole(&worker, request).await;
        let expected = tokenizer.decode(&[&[2, 3], &ids(&completion)[..]].concat()).unwrap();
        assert_eq!(format!("é{}", completion.text), expected);
        for pair in completion.tokens.windows(2) {
            if pair[0].id % 2 == 0 && pair[1].id % 2 == 1 {
                assert!(!pair[0].text.contains('é') || pair[0].text.ends_with('é'));
                assert!(pair[1].text.ends_with('é'), "{:?}", pair[1].text);
                whole_characters += 1;
            }
        }
    }
    assert!(whole_characters > 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_is_served_while_a_text_grows() {
    let worker = worker("gemma3");
    // On a busy machine a short text may be over before this thread asks for the pass: some texts will not be.
    for _ in 0..50 {
        let mut stream = worker.generate(request(vec![1, 2, 3], 60)).await.unwrap();
        assert!(matches!(stream.next().await, Some(Ok(Event::Token(_)))));
        assert_eq!(worker.run(vec![vec![1, 2, 3]], Logits::new(1)).await.unwrap().len(), 1);
        let own = worker.clone();
        let (layers, growing) =
            worker.alone(move |model| Ok((model.config().n_layers, own.generation_status().running))).await.unwrap();
        assert_eq!(layers, 6);
        let mut rest = 0;
        while let Some(event) = stream.next().await {
            rest += usize::from(matches!(event.unwrap(), Event::Token(_)));
        }
        assert_eq!(rest, 59, "the text grows on");
        if growing == 1 {
            return;
        }
    }
    panic!("no pass was served before the text was over");
}

#[test]
fn weights_in_fewer_bits_give_nearly_the_same_logits() {
    for (family, is_exact) in [("gpt2", true), ("gemma3", true), ("llama", true)] {
        let steps = |step_weights| {
            let model = Model::open(&golden(family), &OpenOptions { step_weights, ..OpenOptions::default() }).unwrap();
            let mut cache = Cache::new(model.config(), 1);
            let tokens = [0u32, 39, 13, 8, 51, 29, 31, 38, 13, 9];
            let step = |token: &u32| {
                let logits = model.step(&Batch::new(&[[*token]]).unwrap(), &mut cache, &mut NoTap).unwrap().unwrap();
                logits.get(0).unwrap().to_vec1::<f32>().unwrap()
            };
            (tokens.iter().map(step).collect::<Vec<_>>(), model.size_in_bytes())
        };
        let (f32s, bytes) = steps(StepWeights::F32);
        // The tiny models' weights are f16 numbers.
        let (near, near_bytes) = steps(StepWeights::Near);
        assert_eq!(near == f32s, is_exact, "{family}");
        assert!(near_bytes > bytes);
        let (int8, _) = steps(StepWeights::Int8);
        let softmax = |row: &[f32]| {
            let most = row.iter().copied().fold(f32::MIN, f32::max);
            let total: f32 = row.iter().map(|logit| (logit - most).exp()).sum();
            row.iter().map(|logit| (logit - most).exp() / total).collect::<Vec<_>>()
        };
        let divergence = |one: &[f32], other: &[f32]| -> f32 {
            let pairs = softmax(one).into_iter().zip(softmax(other));
            pairs.filter(|(one, _)| *one > 0.0).map(|(one, other)| one * (one / other.max(1e-30)).ln()).sum()
        };
        let mean: f32 = f32s.iter().zip(&int8).map(|(one, other)| divergence(one, other)).sum::<f32>() / 10.0;
        let apart = f32s
            .iter()
            .flatten()
            .zip(int8.iter().flatten())
            .fold(0f32, |most, (one, other)| most.max((one - other).abs()));
        println!("{family}: int8 is {apart} apart in logits, and {mean} nats");
        assert!(mean > 0.0 && mean < 0.05, "{family}: {mean} nats");
    }
}
