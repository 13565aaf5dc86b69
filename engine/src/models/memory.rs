//! What a call has been asked already, and where its answer is or will be.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};

use arrow::array::ArrayRef;
use arrow::row::OwnedRow;

/// Bytes of questions and answers that a call remembers.
const WINDOW: usize = 32 << 20;

/// The answer to a request, once it is there.
pub(super) type Cell = Arc<OnceLock<ArrayRef>>;

/// Row `row` of the answer in `cell`.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub cell: Cell,
    pub row: usize,
}

/// The questions of the last requests. Rows that were cut from the input already hold on to their answers
/// themselves, so a request can be forgotten at any time.
#[derive(Debug, Default)]
pub(super) struct Memory {
    places: HashMap<OwnedRow, Place>,
    /// Requests, oldest first, with their questions.
    requests: VecDeque<Sent>,
}

#[derive(Debug)]
struct Sent {
    cell: Cell,
    questions: Vec<OwnedRow>,
    /// Bytes of the questions, each kept twice: to find it, and to forget it.
    bytes: usize,
}

impl Memory {
    pub(super) fn find(&self, question: &OwnedRow) -> Option<&Place> {
        self.places.get(question)
    }

    pub(super) fn insert(&mut self, question: OwnedRow, place: Place) {
        self.places.insert(question, place);
    }

    /// Takes note of a request whose questions were inserted.
    pub(super) fn sent(&mut self, cell: Cell, questions: Vec<OwnedRow>) {
        let bytes = questions.iter().map(|question| 2 * question.as_ref().len()).sum();
        self.requests.push_back(Sent { cell, questions, bytes });
    }

    /// Bytes of everything remembered.
    pub(super) fn bytes(&self) -> usize {
        let answers = |sent: &Sent| sent.cell.get().map_or(0, |answers| answers.get_array_memory_size());
        self.requests.iter().map(|sent| sent.bytes + answers(sent)).sum()
    }

    /// Forgets old requests until the rest fits.
    pub(super) fn trim(&mut self) {
        while self.requests.len() > 1 && self.bytes() > WINDOW {
            self.forget_oldest();
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        while !self.requests.is_empty() {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(sent) = self.requests.pop_front() {
            for question in sent.questions {
                self.places.remove(&question);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::DataType;
    use arrow::row::{RowConverter, SortField};

    use super::*;

    fn questions(texts: &[&str]) -> Vec<OwnedRow> {
        let converter = RowConverter::new(vec![SortField::new(DataType::Utf8)]).unwrap();
        let column: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        let rows = converter.convert_columns(&[column]).unwrap();
        rows.iter().map(|row| row.owned()).collect()
    }

    #[test]
    fn the_oldest_request_is_forgotten_first_and_the_last_one_stays() {
        let mut memory = Memory::default();
        let texts = ["a", "b"].map(|letter| letter.repeat(WINDOW));
        let asked: Vec<OwnedRow> = questions(&[&texts[0], &texts[1]]);
        for question in &asked {
            let cell = Cell::default();
            memory.insert(question.clone(), Place { cell: Arc::clone(&cell), row: 0 });
            memory.sent(cell, vec![question.clone()]);
            memory.trim();
        }
        assert!(memory.find(&asked[0]).is_none());
        assert!(memory.find(&asked[1]).is_some());
        memory.clear();
        assert_eq!((memory.bytes(), memory.find(&asked[1]).is_none()), (0, true));
    }

    #[test]
    fn answers_count_once_they_are_there() {
        let mut memory = Memory::default();
        let cell = Cell::default();
        memory.sent(Arc::clone(&cell), questions(&["a"]));
        let before = memory.bytes();
        cell.set(Arc::new(Int64Array::from(vec![1; 1000]))).unwrap();
        assert!(memory.bytes() >= before + 8000);
    }
}
