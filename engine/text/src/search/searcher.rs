//! The best rows of several segments.

use std::fmt;

use roaring::RoaringBitmap;
use tantivy::SegmentReader;
use tantivy::query::{EnableScoring, Weight};

use super::cursor::{Cursor, Weights};
use super::live::Part;
use super::statistics::Statistics;
use super::top::Top;
use super::{plan, same_analysis};
use crate::error::{Error, Result};
use crate::query::{Node, Query};
use crate::segment::{Segment, SegmentBuilder};

/// A row that a query matches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Which of the searcher's segments it is in.
    pub segment: usize,
    /// Its number there.
    pub row: u32,
    /// Its score; see [`crate::search`].
    pub score: f32,
}

/// How many rows of a filter are looked up one by one in the time of one row that is found by going through an index.
const LOOKUP_COST: u64 = 8;

/// Several segments searched as one.
pub struct Searcher {
    statistics: Statistics,
}

impl Searcher {
    /// A searcher of `segments`, in their order, and of each all rows or those in its bitmap.
    ///
    /// Where there is a bitmap it is read once; NULL rows do not count as rows.
    pub fn new<'b>(segments: impl IntoIterator<Item = (Segment, Option<&'b RoaringBitmap>)>) -> Self {
        let parts = segments.into_iter().map(|(segment, live)| Part::new(segment, live)).collect();
        Self { statistics: Statistics::new(parts) }
    }

    /// How many live rows with a text there are.
    pub fn rows(&self) -> u64 {
        self.statistics.rows()
    }

    /// The best `k` of the live rows that `query` matches, the best first; of equal scores those of earlier segments, and there
    /// of earlier rows, are better.
    ///
    /// `filters` is empty, or says for each segment which rows may be found. It does not change scores.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where query and segments are of different analyses, or there are more or fewer filters than segments.
    pub fn top_k(&self, query: &Query, k: usize, filters: &[Option<&RoaringBitmap>]) -> Result<Vec<Hit>> {
        let parts = &self.statistics.parts;
        if !filters.is_empty() && filters.len() != parts.len() {
            return Err(Error::invalid(format!("{} filters for {} text segments", filters.len(), parts.len())));
        }
        let (Some(search), true) = (self.search(query)?, k > 0) else { return Ok(Vec::new()) };
        let mut top = Top::new(k);
        for (segment, part) in parts.iter().enumerate() {
            let filter = filters.get(segment).copied().flatten();
            if let Some(reader) = part.segment.reader() {
                search.add(&mut top, segment, part, reader, filter)?;
            }
        }
        Ok(top.into_hits())
    }

    /// The scores of `rows` of the segment with this number, in their order; 0 for rows that `query` does not match.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where query and segments are of different analyses, or there is no such segment.
    pub fn scores(&self, query: &Query, segment: usize, rows: &[u32]) -> Result<Vec<f32>> {
        let part = self.statistics.parts.get(segment);
        let part = part.ok_or_else(|| Error::invalid(format!("there is no text segment {segment}")))?;
        let mut scores = vec![0.0; rows.len()];
        let (Some(search), Some(reader)) = (self.search(query)?, part.segment.reader()) else { return Ok(scores) };
        let mut cursor = search.weights.cursor(reader)?;
        let mut places: Vec<(u32, &mut f32)> = rows.iter().copied().zip(&mut scores).collect();
        places.sort_unstable_by_key(|(row, _)| *row);
        for (row, score) in places {
            let known = row < part.segment.rows() && !part.segment.nulls().contains(row);
            *score = known.then(|| cursor.score(row)).flatten().unwrap_or(0.0);
        }
        Ok(scores)
    }

    /// The scores that `texts` have, whether or not they are in a segment; `None` for NULL, 0 where `query` does not match.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where query and segments are of different analyses.
    pub fn scores_of<T: AsRef<str>>(
        &self,
        query: &Query,
        texts: impl IntoIterator<Item = Option<T>>,
    ) -> Result<Vec<Option<f32>>> {
        // Put into a segment of their own, texts are weighed by the same code as rows are, and so to the last bit.
        let mut builder = SegmentBuilder::new(query.analysis())?;
        for text in texts {
            builder.add(text.as_ref().map(AsRef::as_ref))?;
        }
        let own = builder.finish()?;
        let mut scores: Vec<_> = (0..own.rows()).map(|row| (!own.nulls().contains(row)).then_some(0.0)).collect();
        self.statistics.parts.iter().try_for_each(|part| same_analysis(&part.segment, query))?;
        let (Some(root), Some(reader)) = (query.root(), own.reader()) else { return Ok(scores) };
        let search = Search::new(&self.statistics, query, root, &own)?;
        let mut cursor = search.weights.cursor(reader)?;
        for (row, score) in (0..).zip(&mut scores) {
            if let Some(score) = score {
                *score = cursor.score(row).unwrap_or(0.0);
            }
        }
        Ok(scores)
    }

    /// `query` with the weights of its clauses; `None` where it matches nothing.
    fn search(&self, query: &Query) -> Result<Option<Search<'_>>> {
        self.statistics.parts.iter().try_for_each(|part| same_analysis(&part.segment, query))?;
        let (Some(root), Some(first)) = (query.root(), self.statistics.parts.first()) else { return Ok(None) };
        Search::new(&self.statistics, query, root, &first.segment).map(Some)
    }
}

impl fmt::Debug for Searcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segments: Vec<_> = self.statistics.parts.iter().map(|part| &part.segment).collect();
        f.debug_struct("Searcher").field("rows", &self.rows()).field("segments", &segments).finish()
    }
}

/// One query on its way through the segments.
struct Search<'s> {
    statistics: &'s Statistics,
    /// Tantivy's whole query, which leaves out blocks of rows that cannot be among the best.
    pruning: Box<dyn Weight>,
    weights: Weights,
    /// By how much, relatively, a score may differ when it is added up in another order; 0 where it cannot.
    rounding: f32,
}

impl<'s> Search<'s> {
    /// Every segment has the same schema, so that what is planned for the `first` holds for all.
    fn new(statistics: &'s Statistics, query: &Query, root: &Node, first: &Segment) -> Result<Self> {
        let scoring = EnableScoring::enabled_from_statistics_provider(statistics, first.searcher());
        let pruning = plan::node(query, root, first.field()).weight(scoring)?;
        let weights = Weights::new(query, root, first, scoring)?;
        // Two numbers add up to the same in both orders. Of more, each addition rounds by half of the precision.
        let clauses = query.positive().len();
        let rounding = if clauses > 2 { clauses as f32 * 2.0 * f32::EPSILON } else { 0.0 };
        Ok(Self { statistics, pruning, weights, rounding })
    }

    /// Offers the rows of one segment to `top`.
    fn add(
        &self,
        top: &mut Top,
        segment: usize,
        part: &Part,
        reader: &SegmentReader,
        filter: Option<&RoaringBitmap>,
    ) -> Result<()> {
        let hit = |row, score| Hit { segment, row, score };
        let cursor = match filter {
            None => None,
            Some(filter) => {
                let mut cursor = self.weights.cursor(reader)?;
                if filter.len() <= u64::from(cursor.estimate(part.segment.rows())) / LOOKUP_COST {
                    one_by_one(&mut cursor, part, filter, |row, score| top.offer(hit(row, score)));
                    return Ok(());
                }
                Some(cursor)
            }
        };
        let mut exact = match cursor {
            _ if self.rounding == 0.0 => None,
            Some(cursor) => Some(cursor),
            None => Some(self.weights.cursor(reader)?),
        };
        let scale = self.scale(part)?;
        let bound = |threshold: f32| if threshold > 0.0 { threshold * scale } else { threshold };
        self.pruning.for_each_pruning(bound(top.threshold()), reader, &mut |row, score| {
            if part.counts(row) && filter.is_none_or(|filter| filter.contains(row)) {
                let score = exact.as_mut().and_then(|cursor| cursor.score(row)).unwrap_or(score);
                top.offer(hit(row, score));
            }
            bound(top.threshold())
        })?;
        Ok(())
    }

    /// What a threshold is multiplied with so that the index leaves out nothing that exceeds it.
    ///
    /// For each block of rows the index knows which row scores highest under the mean length of its own rows, and takes that
    /// row's score as an upper bound. Under another mean another row may be higher, yet by no more than the ratio of the means:
    /// a score is `w · g / (1 + g)` with `g = tf / (k1 · (1 − b + b · length / mean))`, and no `g` changes by more than that.
    fn scale(&self, part: &Part) -> Result<f32> {
        let ratio = match (part.segment.bounded_by()?, self.statistics.mean_length()) {
            (Some(own), Some(all)) if own != all => (own / all).max(all / own) * (1.0 + 8.0 * f32::EPSILON),
            _ => 1.0,
        };
        Ok((1.0 - self.rounding) / ratio)
    }
}

/// Offers those rows of `filter` that match.
fn one_by_one(cursor: &mut Cursor, part: &Part, filter: &RoaringBitmap, mut offer: impl FnMut(u32, f32)) {
    let rows = filter.iter().take_while(|row| *row < part.segment.rows());
    for row in rows.filter(|row| part.counts(*row)) {
        if let Some(score) = cursor.score(row) {
            offer(row, score);
        }
    }
}
