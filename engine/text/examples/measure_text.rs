//! Text search beside bare tantivy, in one process, on made-up explanations.
//!
//! ```text
//! cargo run --release -p latentdb-text --example measure_text -- [rows] [queries of each kind]
//! ```
//!
//! Prints how long both take to build, how large their files are, and for each kind of query how long the best 10 take at the
//! median and at the 99th percentile. Both are asked the same queries in turn, each once before, and must give equal scores.
//! Ours includes the parsing of the query's text. "5 segments" is the same rows in as many segments, "dead" the one segment with a tenth of
//! its rows dead, "filtered" the one segment with a filter that keeps every hundredth row.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use latentdb_text::{Analysis, Limits, Query, Searcher, Segment, SegmentBuilder, matching, merge};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use roaring::RoaringBitmap;
use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, Occur, TermQuery};
use tantivy::schema::{Field, IndexRecordOption, Schema, TEXT};
use tantivy::{Index, IndexWriter, ReloadPolicy, TantivyDocument, Term};

type Outcome<T> = Result<T, Box<dyn Error>>;

const VOCABULARY: usize = 50_000;
const K: usize = 10;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let rows = arguments.next().map_or(Ok(1_000_000), |rows| rows.parse())?;
    let queries = arguments.next().map_or(Ok(300), |queries| queries.parse())?;
    let texts = Texts::new(rows);
    let folder = tempfile::tempdir()?;

    let (segment, built) = timed(|| build(&texts.texts))?;
    let file = folder.path().join("segment");
    let ((), written) = timed(|| Ok(segment.write(&file)?))?;
    let (segment, opened) = timed(|| Ok(Segment::open(&file)?))?;
    println!(
        "{rows} texts of {:.1} words on average, {VOCABULARY} different words",
        segment.words() as f64 / rows as f64
    );
    let size = std::fs::metadata(&file)?.len() as f64 / 1e6;
    println!("ours:    built in {built:.1?}, written in {written:.1?}, {size:.1} MB, opened in {opened:.1?}");

    let (bare, built) = timed(|| Bare::build(&texts.texts, folder.path()))?;
    println!("tantivy: built in {built:.1?}, {:.1} MB", bare.size as f64 / 1e6);

    let five: Vec<Segment> = texts.texts.chunks(rows.div_ceil(5).max(1)).map(build).collect::<Outcome<_>>()?;
    let inputs: Vec<_> = five.iter().map(|segment| (segment, None)).collect();
    let (_, merged) = timed(|| Ok(merge(&inputs)?))?;
    println!("five segments merged in {merged:.1?}\n");
    let live: RoaringBitmap = (0..rows as u32).filter(|row| row % 10 != 3).collect();
    let filter: RoaringBitmap = (0..rows as u32).step_by(100).collect();
    let searched = segment.clone();
    let searchers = [
        Searcher::new([(segment.clone(), None)]),
        Searcher::new(five.into_iter().map(|segment| (segment, None))),
        Searcher::new([(segment, Some(&live))]),
    ];
    println!("best {K}, µs, p50/p99        tantivy           ours     5 segments           dead       filtered");
    for (words, any) in [(1, false), (2, false), (2, true), (3, false), (3, true)] {
        let asked: Vec<Vec<&str>> = texts.queries(words, queries);
        let mut times = [const { Vec::new() }; 5];
        for words in &asked {
            compare(words, any, &bare, &searchers, &filter, &mut times)?;
        }
        let name = format!(
            "{words} {}",
            if words == 1 {
                "word"
            } else if any {
                "words, OR"
            } else {
                "words, AND"
            }
        );
        println!("{name:<20}{}", times.map(percentiles).join(""));
    }
    all_rows(&texts, &searched)
}

/// Times finding all rows with and without the index.
fn all_rows(texts: &Texts, segment: &Segment) -> Outcome<()> {
    println!();
    for query in texts.queries(2, 3) {
        let text = query.join(" ");
        let query = Query::parse(&text, &Limits::default())?;
        let (rows, indexed) = timed(|| Ok(matching(segment, &query)?))?;
        let mut matcher = query.matcher();
        let (count, scanned) = timed(|| Ok(texts.texts.iter().filter(|text| matcher.matches(text)).count() as u64))?;
        if count != rows.len() {
            return Err(format!("{text}: {} rows by the index, {count} without it", rows.len()).into());
        }
        println!("all {count} rows with {text}: {indexed:.1?} by the index, {scanned:.1?} without it");
    }
    Ok(())
}

/// Asks everybody the same query and notes the times.
fn compare(
    words: &[&str],
    any: bool,
    bare: &Bare,
    searchers: &[Searcher; 3],
    filter: &RoaringBitmap,
    times: &mut [Vec<Duration>; 5],
) -> Outcome<()> {
    let text = words.join(if any { " OR " } else { " " });
    let ask = |searcher: &Searcher, filters: &[Option<&RoaringBitmap>]| {
        timed(|| Ok(searcher.top_k(&Query::parse(&text, &Limits::default())?, K, filters)?))
    };
    let [one, five, dead] = searchers;
    // Once without the clock: pages are mapped, and frequencies among live rows are counted.
    let (expected, (hits, _)) = (bare.top(words, any)?, ask(one, &[])?);
    for (hit, score) in hits.iter().zip(&expected) {
        if (hit.score - score).abs() > 1e-4 || hits.len() != expected.len() {
            return Err(format!("{text}: {hits:?}, and tantivy's scores are {expected:?}").into());
        }
    }
    let (in_five, _) = ask(five, &[])?;
    if in_five.iter().map(|hit| hit.score).ne(hits.iter().map(|hit| hit.score)) {
        return Err(format!("{text}: {hits:?}, and in five segments {in_five:?}").into());
    }
    ask(dead, &[])?;
    let bare_time = timed(|| bare.top(words, any))?.1;
    let all = [bare_time, ask(one, &[])?.1, ask(five, &[])?.1, ask(dead, &[])?.1, ask(one, &[Some(filter)])?.1];
    times.iter_mut().zip(all).for_each(|(times, time)| times.push(time));
    Ok(())
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0, Duration::as_micros);
    format!("{:>15}", format!("{}/{}", at(0.5), at(0.99)))
}

fn timed<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, Duration)> {
    let start = Instant::now();
    let result = work()?;
    Ok((result, start.elapsed()))
}

fn build(texts: &[String]) -> Outcome<Segment> {
    let mut builder = SegmentBuilder::new(Analysis::Words)?;
    for text in texts {
        builder.add(Some(text))?;
    }
    Ok(builder.finish()?)
}

/// Made-up texts, in which the r-th most common word is about 1/r as common as the first.
struct Texts {
    words: Vec<String>,
    /// How common each word and all before it are together.
    shares: Vec<f64>,
    texts: Vec<String>,
}

impl Texts {
    fn new(rows: usize) -> Self {
        let mut random = StdRng::seed_from_u64(1);
        let syllables = ["ka", "lo", "mi", "ne", "ru", "sta", "ter", "vo", "zi", "pre", "con", "al"];
        let words: Vec<String> = (0..VOCABULARY)
            .map(|word| {
                let count = syllables.len();
                [word % count, word / count % count, word / count / count % count, word / count.pow(3)]
                    .map(|syllable| syllables.get(syllable).copied().unwrap_or("x"))
                    .concat()
                    + &(word / count.pow(4)).to_string()
            })
            .collect();
        let mut sum = 0.0;
        let shares = (1..=VOCABULARY).map(|rank| (sum += 1.0 / rank as f64, sum).1).collect();
        let mut texts = Self { words, shares, texts: Vec::new() };
        texts.texts = (0..rows)
            .map(|_| (0..random.random_range(5..=18)).map(|_| texts.word(&mut random)).collect::<Vec<_>>().join(" "))
            .collect();
        texts
    }

    fn word(&self, random: &mut StdRng) -> &str {
        let total = self.shares.last().copied().unwrap_or(0.0);
        let drawn = random.random_range(0.0..total);
        self.words.get(self.shares.partition_point(|share| *share < drawn)).map_or("", String::as_str)
    }

    /// Queries of different words, as common as in the texts.
    fn queries(&self, words: usize, count: usize) -> Vec<Vec<&str>> {
        let mut random = StdRng::seed_from_u64(2);
        let mut queries = Vec::with_capacity(count);
        while queries.len() < count {
            let mut query: Vec<&str> = (0..words).map(|_| self.word(&mut random)).collect();
            query.sort_unstable();
            query.dedup();
            if query.len() == words {
                queries.push(query);
            }
        }
        queries
    }
}

/// An index as tantivy's own examples make it, in one segment.
struct Bare {
    searcher: tantivy::Searcher,
    field: Field,
    size: u64,
}

impl Bare {
    fn build(texts: &[String], folder: &Path) -> Outcome<Self> {
        let folder = folder.join("bare");
        std::fs::create_dir(&folder)?;
        let mut schema = Schema::builder();
        let field = schema.add_text_field("text", TEXT);
        let index = Index::create_in_dir(&folder, schema.build())?;
        let mut writer: IndexWriter = index.writer_with_num_threads(1, 1 << 30)?;
        for text in texts {
            let mut document = TantivyDocument::new();
            document.add_text(field, text);
            writer.add_document(document)?;
        }
        writer.commit()?;
        let segments = index.searchable_segment_ids()?;
        if segments.len() > 1 {
            writer.merge(&segments).wait()?;
        }
        writer.wait_merging_threads()?;
        let size = std::fs::read_dir(&folder)?.map(|file| Ok(file?.metadata()?.len())).sum::<std::io::Result<u64>>()?;
        let searcher = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?.searcher();
        Ok(Self { searcher, field, size })
    }

    /// The best scores.
    fn top(&self, words: &[&str], any: bool) -> Outcome<Vec<f32>> {
        let term = |word: &&str| TermQuery::new(Term::from_field_text(self.field, word), IndexRecordOption::WithFreqs);
        let collector = TopDocs::with_limit(K).order_by_score();
        let found = match words {
            [word] => self.searcher.search(&term(word), &collector)?,
            _ => {
                let occur = if any { Occur::Should } else { Occur::Must };
                let clauses = words.iter().map(|word| (occur, Box::new(term(word)) as Box<dyn tantivy::query::Query>));
                self.searcher.search(&BooleanQuery::new(clauses.collect()), &collector)?
            }
        };
        Ok(found.into_iter().map(|(score, _)| score).collect())
    }
}
