//! Which texts go through the encoder together.

use crate::model::Batch;
use crate::{Error, ErrorKind, Result};

/// Numbers of texts of `lengths` tokens, the longest first, in batches of at most `budget` tokens. Texts of like length
/// lie together, so that devices that pad have little to pad. A text longer than the budget rides alone.
pub(super) fn batches(lengths: &[usize], budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<(usize, usize)> = lengths.iter().copied().enumerate().collect();
    order.sort_by_key(|(_, length)| std::cmp::Reverse(*length));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for (text, length) in order {
        match batches.last_mut().filter(|_| length <= room) {
            Some(batch) => batch.push(text),
            None => {
                batches.push(vec![text]);
                room = budget;
            }
        }
        room = room.saturating_sub(length);
    }
    batches
}

/// Packs the texts of a batch.
pub(super) fn pack(tokens: &[Vec<u32>], texts: &[usize]) -> Result<Batch> {
    let chosen: Vec<&[u32]> = texts.iter().filter_map(|text| tokens.get(*text)).map(Vec::as_slice).collect();
    if chosen.iter().any(|tokens| tokens.is_empty()) {
        return Err(Error::new(ErrorKind::BadFile, "the tokenizer gives no token for a text").with_hint(
            "a BERT's tokenizer puts [CLS] and [SEP] around every text; this one's post_processor does not",
        ));
    }
    Batch::new(&chosen)
}

#[cfg(test)]
mod tests {
    use super::batches;

    #[test]
    fn batches_keep_to_the_budget_and_have_every_text_once() {
        let lengths = [3, 9, 2, 2, 30, 4, 1, 9];
        let found = batches(&lengths, 12);
        assert_eq!(found[0], [4], "the one beyond the budget");
        for batch in &found[1..] {
            assert!(batch.iter().map(|text| lengths[*text]).sum::<usize>() <= 12, "{batch:?}");
        }
        let mut all: Vec<usize> = found.concat();
        all.sort_unstable();
        assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
        assert!(batches(&[], 12).is_empty());
    }
}
