//! Words of a table: from the segments of an index, and gathered in memory for files that they do not cover.

use std::fmt;
use std::sync::Arc;

use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;
use futures::TryStreamExt;
use latentdb_text::{Hit, Query};
use roaring::RoaringBitmap;

use super::coverage::Coverage;
use super::failure::from_text;
use super::fresh::Fresh;
use super::index::Index;
use super::indexes::Indexes;
use super::read::located;
use super::rows::{Places, RowsOfFiles};
use super::segment::{Content, Segment, SegmentFiles};
use super::threads::blocking;
use super::values::Texts;
use crate::Result;
use crate::storage::files::LiveFile;
use crate::storage::rows_by_place::Place;
use crate::storage::scan::ScanTarget;

/// `text_match(column, 'query')` as a filter.
#[derive(Debug, Clone)]
pub(crate) struct TextFilter {
    pub column: String,
    pub text: String,
    pub query: Arc<Query>,
}

impl TextFilter {
    /// The match that `filter` is, if it is one of a column with a constant.
    pub(crate) fn of(filter: &Expr) -> Option<Self> {
        let Expr::ScalarFunction(ScalarFunction { func, args }) = filter else { return None };
        let [Expr::Column(column), Expr::Literal(text, _)] = args.as_slice() else { return None };
        let text = text.try_as_str().flatten().filter(|_| func.name() == super::text_functions::MATCH)?;
        let query = super::text_functions::parse(text).ok()?;
        Some(Self { column: column.name.clone(), text: text.to_owned(), query: Arc::new(query) })
    }
}

impl fmt::Display for TextFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} @@ '{}'", self.column, self.text)
    }
}

/// Rows that match, and all rows of files that the index does not cover.
pub(super) async fn matching(index: &Index, target: &ScanTarget, filter: &TextFilter) -> Result<RowsOfFiles> {
    let mut found = RowsOfFiles::new();
    let Coverage { parts, left } = Coverage::of(Some(index), target);
    for (place, file) in left.into_iter().filter_map(|place| Some((place, target.files.get(place)?))) {
        let rows = file.rows.and_then(|rows| u32::try_from(rows).ok()).unwrap_or(u32::MAX);
        found.entry(place).or_default().insert_range(0..rows);
    }
    let query = Arc::clone(&filter.query);
    blocking(move || {
        for (segment, places) in &parts {
            let Content::Text(words) = &segment.content else { continue };
            for (file, row) in
                latentdb_text::matching(words, &query).map_err(from_text)?.into_iter().filter_map(|row| places.of(row))
            {
                found.entry(file).or_default().insert(row);
            }
        }
        Ok(found)
    })
    .await
}

/// The words of a column of a table.
#[derive(Debug, Clone)]
pub(super) struct Words {
    pub(super) parts: Arc<Vec<Part>>,
}

/// Words of some files.
#[derive(Debug)]
pub(super) struct Part {
    words: Held,
    pub(super) places: Places,
}

#[derive(Debug)]
enum Held {
    OfIndex(Arc<Segment>),
    Fresh(latentdb_text::Segment),
}

impl Part {
    /// The segment.
    pub(super) fn segment(&self) -> Option<&latentdb_text::Segment> {
        match &self.words {
            Held::Fresh(segment) => Some(segment),
            Held::OfIndex(segment) => match &segment.content {
                Content::Text(segment) => Some(segment),
                Content::Vectors(_) => None,
            },
        }
    }

    /// Rows of the segment that count, among `allowed` ones; none if all do.
    pub(super) fn live(&self, allowed: Option<&RowsOfFiles>) -> Option<RoaringBitmap> {
        self.places.live(allowed)
    }
}

impl Words {
    /// Where a row is that a search of all parts found.
    pub(super) fn place(&self, hit: &Hit) -> Option<Place> {
        self.parts.get(hit.segment)?.places.of(hit.row)
    }

    /// Those of all files of `target`.
    pub(super) async fn gather(
        indexes: &Indexes,
        index: Option<&Index>,
        target: &ScanTarget,
        state: &SessionState,
        column: &str,
    ) -> Result<Self> {
        let Coverage { parts, left } = Coverage::of(index, target);
        let of_index = |(segment, places)| Part { words: Held::OfIndex(segment), places };
        let mut parts: Vec<Part> = parts.into_iter().map(of_index).collect();
        for (place, file) in left.into_iter().filter_map(|place| Some((place, target.files.get(place)?))) {
            let segment = fresh(indexes, target, file, state, column).await?;
            let rows = segment.rows();
            let files = SegmentFiles {
                name: String::new(),
                files: vec![super::segment::CoveredFile { path: file.path().to_owned(), rows }],
            };
            let only = std::iter::once((file.path(), place)).collect();
            parts.push(Part { words: Held::Fresh(segment), places: Places::new(&files, &only) });
        }
        Ok(Self { parts: Arc::new(parts) })
    }
}

/// The words of a file that no index covers.
async fn fresh(
    indexes: &Indexes,
    target: &ScanTarget,
    file: &Arc<LiveFile>,
    state: &SessionState,
    column: &str,
) -> Result<latentdb_text::Segment> {
    let key = (format!("{}/{}", target.folder, file.path()), column.to_owned());
    if let Some(segment) = indexes.fresh.get(&key) {
        return Ok(segment);
    }
    let mut one = target.clone();
    one.files = vec![Arc::clone(file)];
    let mut builder = latentdb_text::SegmentBuilder::new(latentdb_text::Analysis::default()).map_err(from_text)?;
    let mut bytes = 0;
    let mut batches = located(&one, state, Some(column), &[])?;
    while let Some(batch) = batches.try_next().await? {
        let Some(values) = batch.column_by_name(column) else { continue };
        let texts = Texts::new(values)?;
        for row in 0..batch.num_rows() {
            let text = texts.get(row);
            bytes += text.as_deref().map_or(0, str::len) as u64;
            builder.add(text.as_deref()).map_err(from_text)?;
        }
    }
    let segment = blocking(move || builder.finish().map_err(from_text)).await?;
    indexes.fresh.keep(key, Fresh { segment: segment.clone(), bytes });
    Ok(segment)
}
