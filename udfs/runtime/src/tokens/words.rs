//! Which tokens are words, for views that leave the others out.

/// Whether a token's text is a word or a number: letters and digits only, with hyphens and apostrophes between them, whatever
/// blanks are around it. Special tokens, which are in angle brackets, are none.
pub(super) fn is_word_like(text: &str) -> bool {
    let text = text.trim();
    let joins = |c: char| matches!(c, '\'' | '-' | '\u{2019}');
    let (Some(first), Some(last)) = (text.chars().next(), text.chars().next_back()) else { return false };
    !joins(first) && !joins(last) && text.chars().all(|c| c.is_alphanumeric() || joins(c))
}

#[cfg(test)]
mod tests {
    use super::is_word_like;

    #[test]
    fn words_and_numbers_are_told_from_marks_and_special_tokens() {
        for word in [" cat", "don't", "1984", "Köln", "猫", "self-made\n", "l\u{2019}eau"] {
            assert!(is_word_like(word), "{word:?}");
        }
        for other in ["", "  ", "...", "-", "'s", "cat.", "<|endoftext|>", "<bos>", "\u{fffd}", "a b"] {
            assert!(!is_word_like(other), "{other:?}");
        }
    }
}
