//! Activation rows: sparse values, tokens replaced by their context's id, and a rank within the feature.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field};
use latentdb_engine::Result;

use super::contexts::Contexts;
use super::layout::{Kind, SourceAddress};
use super::record::{RecordReader, Slot};

/// Where a row was read: the file's place among the source's activation files, and the line.
pub(crate) type Place = (u32, u64);

/// Ranks of rows whose feature is spread over several data files, found by a survey of all of them.
pub(crate) type Ranks = HashMap<Place, i32>;

/// Collects activations.
pub(crate) struct Activations {
    pub(crate) reader: RecordReader,
    model_id: String,
    contexts: Arc<Contexts>,
    /// Contexts that rows of this reader refer to.
    seen: HashSet<i64>,
    /// Contexts that nobody had before.
    owned: Vec<i64>,
    new_ids: Vec<i64>,
    new_tokens: ListBuilder<StringBuilder>,
    new_bytes: usize,
    places: Vec<Place>,
    ranks: Option<Arc<Ranks>>,
    short: u64,
    slots: Slots,
}

#[derive(Debug, Clone, Copy)]
struct Slots {
    index: Slot,
    context_id: Slot,
    positions: Slot,
    acts: Slot,
    max_value: Slot,
    max_position: Slot,
    min_value: Slot,
    zk_indices: Slot,
    zq_indices: Slot,
}

impl Activations {
    pub(crate) fn new(address: &SourceAddress, contexts: Arc<Contexts>, ranks: Option<Arc<Ranks>>) -> Result<Self> {
        let reader = RecordReader::new(Kind::Activations, address)?;
        let slots = Slots {
            index: reader.slot("index")?,
            context_id: reader.slot("context_id")?,
            positions: reader.slot("positions")?,
            acts: reader.slot("acts")?,
            max_value: reader.slot("max_value")?,
            max_position: reader.slot("max_position")?,
            min_value: reader.slot("min_value")?,
            zk_indices: reader.slot("zk_indices")?,
            zq_indices: reader.slot("zq_indices")?,
        };
        Ok(Self {
            reader,
            model_id: address.model_id.clone(),
            contexts,
            seen: HashSet::new(),
            owned: Vec::new(),
            new_ids: Vec::new(),
            new_tokens: token_lists(),
            new_bytes: 0,
            places: Vec::new(),
            ranks,
            short: 0,
            slots,
        })
    }

    /// Reads a line.
    pub(crate) fn read(&mut self, place: Place, line: &[u8]) -> Result<(), String> {
        self.reader.read(line)?;
        self.complete()?;
        self.reader.close_row()?;
        self.places.push(place);
        Ok(())
    }

    /// Fills the columns that come from the tokens and the values together.
    fn complete(&mut self) -> Result<(), String> {
        let sample = &self.reader.sample;
        let tokens = sample.token_count().ok_or("there is no tokens")?;
        let extent = sample.extent().ok_or("there is no values")?;
        if extent.count > tokens {
            return Err(format!("there are {} values for {tokens} tokens", extent.count));
        }
        self.short += u64::from(extent.count < tokens);

        let id = sample.context_id();
        if self.seen.insert(id) && self.contexts.claim(id) {
            self.owned.push(id);
            self.new_ids.push(id);
            for token in sample.each_token() {
                self.new_tokens.values().append_value(token);
                self.new_bytes += token.len() + 4;
            }
            self.new_tokens.append(true);
        }

        // The lists move out and back, so that their memory is used again for the next line.
        let positions = std::mem::take(&mut self.reader.sample.positions);
        let acts = std::mem::take(&mut self.reader.sample.acts);
        self.fill(self.slots.context_id, |column| column.push_integer(id))?;
        self.fill(self.slots.positions, |column| column.push_integers(&positions))?;
        self.fill(self.slots.acts, |column| column.push_reals(&acts))?;
        self.reader.sample.positions = positions;
        self.reader.sample.acts = acts;

        self.fill(self.slots.max_value, |column| column.push_number(f64::from(extent.max)))?;
        self.fill(self.slots.max_position, |column| column.push_integer(i64::from(extent.max_position)))?;
        self.fill(self.slots.min_value, |column| column.push_number(f64::from(extent.min)))?;
        if let Some((keys, queries)) = self.reader.sample.head_positions.take() {
            self.fill(self.slots.zk_indices, |column| column.push_integers(&keys))?;
            self.fill(self.slots.zq_indices, |column| column.push_integers(&queries))?;
        }
        Ok(())
    }

    /// Appends to a column unless the line gave it a value itself.
    fn fill<E: std::fmt::Display>(
        &mut self,
        slot: Slot,
        push: impl FnOnce(&mut super::column::Column) -> Result<(), E>,
    ) -> Result<(), String> {
        match self.reader.vacant(slot) {
            Some(column) => push(column).map_err(|error| format!("{}: {error}", column.definition.name)),
            None => Ok(()),
        }
    }

    /// Feature of the row read last.
    pub(crate) fn last_index(&self) -> Option<i32> {
        self.reader.integers(self.slots.index).last().copied()
    }

    /// Largest value of the row read last.
    pub(crate) fn last_max(&self) -> Option<f32> {
        self.reader.reals(self.slots.max_value).last().copied()
    }

    /// Features of the rows that have not been taken.
    pub(crate) fn indices(&self) -> &[i32] {
        self.reader.integers(self.slots.index)
    }

    /// Rough size in memory of what has not been taken.
    pub(crate) fn bytes(&self) -> usize {
        self.reader.bytes() + self.new_bytes
    }

    /// The part of it that is new contexts.
    pub(crate) fn context_bytes(&self) -> usize {
        self.new_bytes
    }

    /// Rows with fewer values than tokens.
    pub(crate) fn short(&self) -> u64 {
        self.short
    }

    /// Contexts that rows refer to, and those among them that are new.
    pub(crate) fn into_contexts(self) -> (Vec<i64>, Vec<i64>) {
        (self.seen.into_iter().collect(), self.owned)
    }

    /// Takes the rows out as named columns.
    pub(crate) fn take(&mut self) -> Vec<(&'static str, ArrayRef)> {
        let ranks = self.rank_rows();
        let mut columns = self.reader.take();
        columns.push(("rank", Arc::new(Int32Array::from(ranks))));
        self.places.clear();
        columns
    }

    /// Takes the new contexts out as named columns.
    pub(crate) fn take_contexts(&mut self) -> Vec<(&'static str, ArrayRef)> {
        let ids = std::mem::take(&mut self.new_ids);
        self.new_bytes = 0;
        let models = StringArray::from_iter_values(std::iter::repeat_n(&self.model_id, ids.len()));
        vec![
            ("context_id", Arc::new(Int64Array::from(ids)) as ArrayRef),
            ("model_id", Arc::new(models)),
            ("tokens", Arc::new(self.new_tokens.finish())),
        ]
    }

    /// Places among each feature's rows, from 0: by largest value, and in the order read where those are equal.
    fn rank_rows(&self) -> Vec<i32> {
        let index = self.indices();
        let max = self.reader.reals(self.slots.max_value);
        let keys: Vec<(i32, f32)> = index.iter().copied().zip(max.iter().copied()).collect();
        let mut ranks = rank(&keys);
        if let Some(known) = &self.ranks {
            for (rank, place) in ranks.iter_mut().zip(&self.places) {
                if let Some(known) = known.get(place) {
                    *rank = *known;
                }
            }
        }
        ranks
    }
}

/// For each of `rows` (feature and largest value, in the order read), its place among the feature's rows.
pub(crate) fn rank(rows: &[(i32, f32)]) -> Vec<i32> {
    let key = |row: usize| rows.get(row).copied().unwrap_or_default();
    let mut order: Vec<usize> = (0..rows.len()).collect();
    // Stable, so equal values keep the order in which they were read.
    order.sort_by(|a, b| {
        let ((index_a, max_a), (index_b, max_b)) = (key(*a), key(*b));
        index_a.cmp(&index_b).then(max_b.total_cmp(&max_a))
    });
    let mut ranks = vec![0; rows.len()];
    let mut previous = None;
    let mut next = 0;
    for row in order {
        let (index, _) = key(row);
        next = if previous == Some(index) { next + 1 } else { 0 };
        previous = Some(index);
        if let Some(rank) = ranks.get_mut(row) {
            *rank = next;
        }
    }
    ranks
}

fn token_lists() -> ListBuilder<StringBuilder> {
    ListBuilder::new(StringBuilder::new()).with_field(Arc::new(Field::new("element", DataType::Utf8, true)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Float32Type, Int32Type, Int64Type};

    use super::*;

    fn reader() -> Activations {
        let address = SourceAddress::parse("m/0-res").unwrap();
        Activations::new(&address, Arc::new(Contexts::empty()), None).unwrap()
    }

    fn line(index: &str, tokens: &str, values: &str, rest: &str) -> Vec<u8> {
        format!(
            r#"{{"id":"x","modelId":"m","layer":"0-res","index":{index},"tokens":{tokens},"values":{values}{rest}}}"#
        )
        .into_bytes()
    }

    fn column(columns: &[(&'static str, ArrayRef)], name: &str) -> ArrayRef {
        columns.iter().find(|(column, _)| *column == name).map(|(_, array)| Arc::clone(array)).unwrap()
    }

    #[test]
    fn values_are_sparse_and_ranked_and_contexts_shared() {
        let mut rows = reader();
        let tokens = r#"["a","\u0000","\"é"]"#;
        rows.read((0, 1), &line("7", tokens, "[0.0,1.5,0]", r#","dfaValues":[],"binMin":-1"#)).unwrap();
        rows.read((0, 2), &line("\"7\"", tokens, "[0,2.25,-0.5]", r#","zIndices":[[1,2],[3,4]],"zValues":[0.5,1]"#))
            .unwrap();
        rows.read((0, 3), &line("6", r#"["a","\u0000\"","é"]"#, "[]", "")).unwrap();
        assert_eq!(rows.short(), 1);
        let contexts = rows.take_contexts();
        let taken = rows.take();
        let texts = column(&contexts, "tokens");
        let texts = texts.as_list::<i32>();
        assert_eq!(texts.len(), 2, "the same tokens are one context, the same text cut otherwise is another");
        let first = texts.value(0);
        assert_eq!(first.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["a", "\0", "\"é"]);
        let ids = column(&taken, "context_id");
        let ids = ids.as_primitive::<Int64Type>();
        assert_eq!(ids.value(0), ids.value(1));
        assert_ne!(ids.value(0), ids.value(2));
        assert!(ids.values().iter().all(|id| *id >= 0));
        assert_eq!(column(&taken, "rank").as_primitive::<Int32Type>().values(), &[1, 0, 0]);
        let positions = column(&taken, "positions");
        assert_eq!(positions.as_list::<i32>().value(1).as_primitive::<Int32Type>().values(), &[1, 2]);
        let acts = column(&taken, "acts");
        assert_eq!(acts.as_list::<i32>().value(1).as_primitive::<Float32Type>().values(), &[2.25, -0.5]);
        assert!(!acts.is_null(2) && acts.as_list::<i32>().value(2).is_empty());
        assert_eq!(column(&taken, "max_value").as_primitive::<Float32Type>().values(), &[1.5, 2.25, 0.0]);
        assert_eq!(column(&taken, "min_value").as_primitive::<Float32Type>().values(), &[0.0, -0.5, 0.0]);
        assert_eq!(column(&taken, "max_position").as_primitive::<Int32Type>().values(), &[1, 1, 0]);
        assert!(column(&taken, "dfa_values").is_null(0));
        let queries = column(&taken, "zq_indices");
        assert_eq!(queries.as_list::<i32>().value(1).as_primitive::<Int32Type>().values(), &[3, 4]);
    }

    #[test]
    fn the_same_tokens_have_another_id_in_another_model() {
        let id = |model: &str| {
            let mut sample = super::super::sample::Sample::new(model);
            let mut json = sonic_rs::Deserializer::from_str(r#"["a","b"]"#);
            serde::de::DeserializeSeed::deserialize(sample.tokens(), &mut json).unwrap();
            sample.context_id()
        };
        assert_ne!(id("m"), id("n"));
        assert_eq!(id("m"), id("m"));
    }

    #[test]
    fn malformed_rows_say_what_is_wrong() {
        for (bad, reason) in [
            (line("1", "[\"a\"]", "[1,2]", ""), "2 values for 1 tokens"),
            (line("1", "[\"a\"]", "[NaN]", ""), "NaN"),
            (line("1", "[\"a\"]", "[1e99]", ""), "values"),
            (line("1", "[\"a\"]", "[null]", ""), "values"),
            (line("1.5", "[\"a\"]", "[1]", ""), "index"),
            (line("99999999999", "[\"a\"]", "[1]", ""), "out of range"),
            (line("null", "[\"a\"]", "[1]", ""), "index is null"),
            (line("1", "[\"a\"]", "[1]", ",\"maxValue\":null"), "max_value is null"),
            (line("1", "[\"a\"]", "[1]", ",\"layer\":\"1-res\""), "belongs to"),
            (line("1", "null", "[1]", ""), "tokens"),
            (br#"{"tokens":["a"],"values":[1]}"#.to_vec(), "no index"),
            (br#"{"index":1,"tokens":["a"],"values":[1]"#.to_vec(), "EOF"),
            (br#"{"index":1,"tokens":["a"],"values":[1]} {}"#.to_vec(), "trailing"),
            (br#"[1]"#.to_vec(), ""),
        ] {
            let error = reader().read((0, 1), &bad).unwrap_err();
            assert!(error.contains(reason), "{error} should mention {reason}");
        }
    }

    #[test]
    fn unknown_keys_are_counted() {
        let mut rows = reader();
        for at in 0..3 {
            rows.read((0, at), &line("1", "[\"a\"]", "[1]", r#","new":{"deep":[1]},"newer":"x""#)).unwrap();
        }
        let unknown: Vec<_> = rows.reader.unknown().iter().map(|(key, count)| (key.as_str(), *count)).collect();
        assert_eq!(unknown, [("new", 3), ("newer", 3)]);
    }

    #[test]
    fn ranks_follow_the_largest_value_and_then_the_order() {
        let rows = [(2, 1.0), (1, 5.0), (2, 3.0), (2, 1.0), (1, 7.0)];
        assert_eq!(rank(&rows), [1, 1, 0, 2, 0]);
    }
}
