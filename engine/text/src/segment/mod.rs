//! Segments: an index of the texts of consecutive rows, in one file or in memory, that never changes.
//!
//! Rows are numbered from 0 in the order in which they were added, NULL rows among them. The texts themselves are not kept.
//! A segment in memory and one in a file are the same bytes: [`Segment::bytes`] may be put anywhere and opened again.

mod builder;
mod bundle;
mod directory;
mod lengths;
mod merge;
mod tokenizer;

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;
use tantivy::directory::{MmapDirectory, OwnedBytes};
use tantivy::schema::Field;
use tantivy::{Directory, Index, ReloadPolicy, SegmentReader};

pub use builder::SegmentBuilder;
pub use merge::merge;

use self::bundle::{Bundle, Reader};
use self::directory::BundleDirectory;
use self::lengths::Lengths;
use crate::analysis::Analysis;
use crate::error::{Error, Result};

/// The parts of a bundle that are not tantivy's.
const ABOUT: &str = "about";
const LENGTHS: &str = "lengths";
const NULLS: &str = "nulls";

/// An open segment. Clones share it.
#[derive(Clone)]
pub struct Segment {
    open: Arc<Open>,
}

struct Open {
    bundle: Bundle,
    index: Index,
    searcher: tantivy::Searcher,
    field: Field,
    about: About,
    lengths: Lengths,
    nulls: RoaringBitmap,
}

/// What a segment says of itself.
#[derive(Clone, Copy)]
struct About {
    rows: u32,
    analysis: Analysis,
    words: u64,
}

impl About {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.rows.to_le_bytes().to_vec();
        bytes.push(self.analysis.code());
        bytes.extend_from_slice(&self.words.to_le_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let rows = reader.u32()?;
        let code = reader.u8()?;
        let analysis = Analysis::from_code(code)
            .ok_or_else(|| Error::damaged(format_args!("its words were made in a way ({code}) that is not known")))?;
        Ok(Self { rows, analysis, words: reader.u64()? })
    }
}

impl Segment {
    /// Maps the segment's file and compares its checksums, for which all of it is read once. They tell of damage, not of a file
    /// that was made to deceive. The file must not be written to while it is open; to replace it, [`Segment::write`] a new one.
    ///
    /// # Errors
    ///
    /// `Io`, or `Damaged` where the file is cut, changed or no segment.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.file_name().ok_or_else(|| Error::invalid(format!("{} names no file", path.display())))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = MmapDirectory::open(folder).map_err(tantivy::TantivyError::from)?;
        let file = folder.open_read(Path::new(name)).map_err(|error| not_read(path, &error))?;
        Self::from_owned(file.read_bytes()?)
    }

    /// Opens a segment that was read into memory.
    ///
    /// # Errors
    ///
    /// `Damaged`, as [`Segment::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        Self::from_owned(OwnedBytes::new(bytes))
    }

    fn from_owned(bytes: OwnedBytes) -> Result<Self> {
        Self::from_bundle(Bundle::open(bytes)?)
    }

    fn from_bundle(bundle: Bundle) -> Result<Self> {
        let about = About::read(&bundle.needed(ABOUT)?)?;
        let lengths = Lengths::open(&bundle.needed(LENGTHS)?, about.rows)?;
        let nulls = RoaringBitmap::deserialize_from(&*bundle.needed(NULLS)?).map_err(Error::damaged)?;
        let index = Index::open(BundleDirectory(bundle.clone()))?;
        let field = index.schema().get_field(builder::FIELD)?;
        let searcher = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?.searcher();
        let rows: u32 = searcher.segment_readers().iter().map(SegmentReader::max_doc).sum();
        if rows != about.rows || searcher.segment_readers().len() > 1 {
            return Err(Error::damaged(format_args!("it says {} rows and has {rows}", about.rows)));
        }
        Ok(Self { open: Arc::new(Open { bundle, index, searcher, field, about, lengths, nulls }) })
    }

    /// The segment as it is in a file.
    pub fn bytes(&self) -> &[u8] {
        self.open.bundle.bytes()
    }

    /// Writes the segment to `path`, where it appears whole or not at all, also after a power cut.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn write(&self, path: &Path) -> Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = new_file(folder)?;
        file.write_all(self.bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        #[cfg(unix)]
        std::fs::File::open(folder)?.sync_all()?;
        Ok(())
    }

    /// How many rows it has, NULL rows included.
    pub fn rows(&self) -> u32 {
        self.open.about.rows
    }

    /// The rows that are NULL.
    pub fn nulls(&self) -> &RoaringBitmap {
        &self.open.nulls
    }

    /// How many words all rows have together.
    pub fn words(&self) -> u64 {
        self.open.about.words
    }

    /// How many words the row has; 0 where it is NULL or there is none.
    pub fn length(&self, row: u32) -> u32 {
        self.open.lengths.get(row)
    }

    /// How its words were made.
    pub fn analysis(&self) -> Analysis {
        self.open.about.analysis
    }

    pub(crate) fn field(&self) -> Field {
        self.open.field
    }

    pub(crate) fn searcher(&self) -> &tantivy::Searcher {
        &self.open.searcher
    }

    pub(crate) fn index(&self) -> &Index {
        &self.open.index
    }

    /// Tantivy's one segment in this one; none where there are no rows, of which tantivy's bitmaps cannot be made.
    pub(crate) fn reader(&self) -> Option<&SegmentReader> {
        self.open.searcher.segment_readers().first().filter(|reader| reader.max_doc() > 0)
    }

    /// The mean length of rows, by which the index computed the upper bounds of its blocks; `None` without words.
    pub(crate) fn bounded_by(&self) -> Result<Option<f32>> {
        let Some(reader) = self.reader() else { return Ok(None) };
        let words = reader.inverted_index(self.field())?.total_num_tokens();
        Ok((words > 0).then(|| words as f32 / reader.max_doc() as f32))
    }
}

/// A file under a temporary name that, unlike most temporary files, whoever may read the folder's other files can read.
fn new_file(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    #[cfg(unix)]
    builder.permissions(mode);
    builder.prefix(".text-").tempfile_in(folder)
}

fn not_read(path: &Path, error: &tantivy::directory::error::OpenReadError) -> Error {
    Error::new(crate::error::ErrorKind::Io, format!("{} cannot be read: {error}", path.display()))
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let About { rows, analysis, words } = self.open.about;
        f.debug_struct("Segment").field("rows", &rows).field("words", &words).field("analysis", &analysis).finish()
    }
}
