//! Writing a segment, whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use rayon::prelude::*;

use super::Contents;
use super::header::{ALIGN, Header, Kind, MAGIC, Section, VERSION, checksum, metric_code};
use crate::error::{Error, Result};

/// Writes `contents` to `path`: under a temporary name beside it, synced, and renamed.
pub(crate) fn write(path: &Path, contents: &Contents<'_>) -> Result<()> {
    let (header, table, sections) = laid_out(contents);
    let mut name = path.file_name().ok_or(Error::Argument("a segment needs the name of a file"))?.to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(name);
    let written = write_file(&partial, &header, &table, &sections).and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        // What is left of it is of no use, and the first error says more than a second one would.
        let _ = fs::remove_file(&partial);
    }
    written.and_then(|()| sync_folder(path)).map_err(Error::io(path))
}

/// Bytes of each section, with its kind and layer, in the order of the file.
fn sections<'a>(contents: &Contents<'a>) -> Vec<(Kind, usize, &'a [u8])> {
    let codes = contents.codes;
    let mut sections = vec![
        (Kind::Rows, 0, bytemuck::cast_slice(contents.rows)),
        (Kind::Centre, 0, bytemuck::cast_slice(contents.centre)),
        (Kind::Terms, 0, bytemuck::cast_slice(codes.terms)),
        (Kind::High, 0, bytemuck::cast_slice(codes.high)),
    ];
    for (at, layer) in contents.graph.iter().flat_map(|graph| graph.layers.iter().enumerate()) {
        sections.extend(layer.nodes.map(|nodes| (Kind::Nodes, at, bytemuck::cast_slice(nodes))));
        sections.push((Kind::Links, at, bytemuck::cast_slice(layer.slots)));
    }
    sections.push((Kind::Low, 0, bytemuck::cast_slice(codes.low)));
    sections
}

fn laid_out<'a>(contents: &Contents<'a>) -> (Header, Vec<Section>, Vec<&'a [u8]>) {
    let sections = sections(contents);
    let mut offset = size_of::<Header>() + sections.len() * size_of::<Section>();
    let mut table = Vec::with_capacity(sections.len());
    for &(kind, layer, bytes) in &sections {
        offset = offset.next_multiple_of(ALIGN);
        let (start, length) = (offset as u64, bytes.len() as u64);
        table.push(Section { kind: kind as u32, layer: layer as u32, offset: start, length, checksum: 0 });
        offset += bytes.len();
    }
    let bytes: Vec<&[u8]> = sections.into_iter().map(|(_, _, bytes)| bytes).collect();
    table.par_iter_mut().zip(&bytes).for_each(|(section, bytes)| section.checksum = checksum(bytes));
    let graph = contents.graph.as_ref();
    let mut header = Header {
        magic: MAGIC,
        version: VERSION,
        metric: metric_code(contents.codes.metric),
        dim: contents.codes.dim as u32,
        count: contents.rows.len() as u32,
        links: graph.map_or(0, |graph| (graph.layers[0].width / 2) as u32),
        entry: graph.map_or(0, |graph| graph.entry),
        ef: contents.ef,
        recall: contents.recall,
        sections: table.len() as u32,
        reserved: 0,
        file_length: offset as u64,
        checksum: 0,
    };
    header.checksum = header.expected_checksum(&table);
    (header, table, bytes)
}

fn write_file(path: &Path, header: &Header, table: &[Section], sections: &[&[u8]]) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(bytemuck::bytes_of(header))?;
    file.write_all(bytemuck::cast_slice(table))?;
    let mut at = size_of::<Header>() + size_of_val(table);
    for (section, bytes) in table.iter().zip(sections) {
        let offset = section.offset as usize;
        file.write_all(&[0; ALIGN][..offset - at])?;
        file.write_all(bytes)?;
        at = offset + bytes.len();
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// Without this a crash may undo the renaming.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
