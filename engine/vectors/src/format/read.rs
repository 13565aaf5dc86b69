//! Opening a segment: whatever the bytes are, the answer is a segment that is safe to search, or an error.

use std::ops::Range;
use std::path::Path;

use bytemuck::{AnyBitPattern, NoUninit};
use memmap2::Mmap;
use rayon::prelude::*;

use super::Contents;
use super::header::{ALIGN, Header, Kind, MAGIC, MOST_SECTIONS, Section, VERSION, checksum, metric};
use crate::codes::{Codes, Term};
use crate::encoder::{MAX_DIM, stride};
use crate::error::{Error, Result};
use crate::graph::{Graph, Layer, NONE};
use crate::kernels::bytes::Simd;
use crate::metric::Metric;

/// Numbers in a file from here on were not made by us: squared lengths are at most `f32::MAX`.
const LARGEST_SCALE: f32 = 2e19;

/// An open file: mapped, and found whole and sound.
#[derive(Debug)]
pub(crate) struct File {
    map: Mmap,
    metric: Metric,
    simd: Simd,
    header: Header,
    rows: Range<usize>,
    centre: Range<usize>,
    terms: Range<usize>,
    high: Range<usize>,
    low: Range<usize>,
    /// Nodes, empty for layer 0, and links of each layer.
    layers: Vec<(Range<usize>, Range<usize>)>,
}

/// What is wrong with a file.
type Check<T> = std::result::Result<T, &'static str>;

/// Opens the segment at `path` and checks all of it.
pub(crate) fn open(path: &Path) -> Result<File> {
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    // SAFETY: a segment is written under another name and never changed after its renaming; whoever replaces it does that
    // by renaming, which leaves the mapped file as it was. Should someone else write into it, searches may panic or answer
    // nonsense; should someone truncate it, the process ends: the price of every reader of mapped files.
    #[allow(unsafe_code)]
    let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path))?;
    let damaged = |what| Error::Damaged { path: path.to_owned(), what };
    let header = header(&map).map_err(damaged)?;
    if header.version != VERSION {
        return Err(Error::Version { path: path.to_owned(), found: header.version, expected: VERSION });
    }
    let file = located(map, header).map_err(damaged)?;
    check(&file.contents()).map_err(damaged)?;
    Ok(file)
}

fn header(bytes: &[u8]) -> Check<Header> {
    let bytes = bytes.get(..size_of::<Header>()).ok_or("shorter than a header")?;
    let header: Header = bytemuck::pod_read_unaligned(bytes);
    if header.magic == MAGIC { Ok(header) } else { Err("not a vector segment") }
}

/// Finds and verifies the sections.
fn located(map: Mmap, header: Header) -> Check<File> {
    let metric = metric(header.metric).ok_or("unknown metric")?;
    let (dim, count) = (header.dim as usize, header.count as usize);
    if !(1..=MAX_DIM).contains(&dim) || count > i32::MAX as usize {
        return Err("counts are out of range");
    }
    if header.file_length != map.len() as u64 {
        return Err("the file is longer or shorter than it was written");
    }
    let table = table(&map, &header)?;
    table.par_iter().try_for_each(|section| verify(&map, section))?;
    let find = |kind: Kind, layer: usize, length: Option<usize>| {
        let mut fitting = table.iter().filter(|section| (section.kind, section.layer) == (kind as u32, layer as u32));
        let section = fitting.next().ok_or("a section is missing")?;
        if length.is_some_and(|length| section.length != length as u64) {
            return Err("a section is longer or shorter than it should be");
        }
        Ok(section.offset as usize..(section.offset + section.length) as usize)
    };
    let plane = count.checked_mul(stride(dim)).ok_or("counts are out of range")?;
    let mut layers = Vec::new();
    let links = header.links as usize;
    let depth = table.iter().filter(|section| section.kind == Kind::Links as u32).count();
    for layer in 0..depth {
        let nodes = if layer == 0 { 0..0 } else { find(Kind::Nodes, layer, None)? };
        let (members, width) = if layer == 0 { (count, 2 * links) } else { (nodes.len() / size_of::<u32>(), links) };
        let length = members.checked_mul(width * size_of::<u32>()).ok_or("counts are out of range")?;
        layers.push((nodes, find(Kind::Links, layer, Some(length))?));
    }
    Ok(File {
        rows: find(Kind::Rows, 0, Some(count * size_of::<u32>()))?,
        centre: find(Kind::Centre, 0, Some(dim * size_of::<f32>()))?,
        terms: find(Kind::Terms, 0, Some(count * size_of::<Term>()))?,
        high: find(Kind::High, 0, Some(plane))?,
        low: find(Kind::Low, 0, Some(plane))?,
        layers,
        map,
        metric,
        simd: Simd::detect(),
        header,
    })
}

fn table(bytes: &[u8], header: &Header) -> Check<Vec<Section>> {
    let count = header.sections as usize;
    if count > MOST_SECTIONS {
        return Err("too many sections");
    }
    let start = size_of::<Header>();
    let bytes = bytes.get(start..start + count * size_of::<Section>()).ok_or("the table of sections is cut off")?;
    let table: Vec<Section> = bytes.chunks_exact(size_of::<Section>()).map(bytemuck::pod_read_unaligned).collect();
    if header.checksum == header.expected_checksum(&table) { Ok(table) } else { Err("wrong checksum of the header") }
}

fn verify(bytes: &[u8], section: &Section) -> Check<()> {
    let end = section.offset.checked_add(section.length).ok_or("a section ends outside the file")?;
    let bytes = bytes.get(section.offset as usize..end as usize).ok_or("a section ends outside the file")?;
    if !section.offset.is_multiple_of(ALIGN as u64) || !section.length.is_multiple_of(4) {
        return Err("a section is not aligned");
    }
    if checksum(bytes) == section.checksum { Ok(()) } else { Err("wrong checksum") }
}

impl File {
    /// What the file holds. Cheap.
    pub(crate) fn contents(&self) -> Contents<'_> {
        let dim = self.header.dim as usize;
        let codes = Codes {
            metric: self.metric,
            dim,
            stride: stride(dim),
            high: self.section(&self.high),
            low: self.section(&self.low),
            terms: self.section(&self.terms),
            simd: self.simd,
        };
        Contents {
            codes,
            centre: self.section(&self.centre),
            rows: self.section(&self.rows),
            graph: self.graph(),
            ef: self.header.ef,
            recall: self.header.recall,
        }
    }

    /// The length of the file.
    pub(crate) fn bytes(&self) -> usize {
        self.map.len()
    }

    fn graph(&self) -> Option<Graph<'_>> {
        let links = self.header.links as usize;
        let layer = |(at, (nodes, slots)): (usize, &(Range<usize>, Range<usize>))| Layer {
            nodes: (at > 0).then(|| self.section(nodes)),
            width: if at == 0 { 2 * links } else { links },
            slots: self.section(slots),
        };
        let layers: Vec<Layer<'_>> = self.layers.iter().enumerate().map(layer).collect();
        (!layers.is_empty()).then_some(Graph { layers, entry: self.header.entry })
    }

    /// Ranges were found to lie in the map and to be aligned when it was opened, so the cast does not fail.
    fn section<T: AnyBitPattern + NoUninit>(&self, range: &Range<usize>) -> &[T] {
        bytemuck::try_cast_slice(&self.map[range.clone()]).unwrap_or_default()
    }
}

/// That every number is one that a search can use.
fn check(contents: &Contents<'_>) -> Check<()> {
    let count = contents.rows.len();
    if !contents.rows.is_sorted_by(|a, b| a < b) {
        return Err("rows are not in order");
    }
    if !contents.centre.iter().all(|value| value.is_finite()) {
        return Err("the centre is not finite");
    }
    let sound = |term: &Term| (0.0..LARGEST_SCALE).contains(&term.scale) && term.bias.is_finite();
    if !contents.codes.terms.iter().all(sound) {
        return Err("a scale is not finite");
    }
    let Some(graph) = &contents.graph else { return Ok(()) };
    if graph.entry as usize >= count || contents.ef == 0 {
        return Err("the graph has no entry");
    }
    graph.layers.par_iter().try_for_each(|layer| check_layer(layer, count))
}

fn check_layer(layer: &Layer<'_>, count: usize) -> Check<()> {
    let known = |&node: &u32| (node as usize) < count;
    let nodes = layer.nodes.unwrap_or_default();
    if !nodes.is_sorted_by(|a, b| a < b) || !nodes.iter().all(known) {
        return Err("nodes of a layer are not in order");
    }
    let sound = |link: &u32| *link == NONE || known(link);
    if layer.width > 0 && layer.slots.par_chunks(1 << 16).all(|slots| slots.iter().all(sound)) {
        Ok(())
    } else {
        Err("a link leads nowhere")
    }
}
