//! What a model thinks before it answers, told from the answer, in text that comes in pieces.
//!
//! Models that think do it between `<think>` and `</think>`, at the start of what they write; many templates have written the
//! first already. Pieces are given out as soon as it is certain what they are.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// A part of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// What is thought.
    pub thinking: String,
    /// What is answered.
    pub answer: String,
}

/// Tells the one from the other.
#[derive(Debug, Clone)]
pub struct Thoughts {
    state: State,
    /// Text that may be a part of a tag, or blanks that may be the last before one.
    held: String,
    has_thought: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing but blanks has come.
    Start,
    /// `blank` while nothing but blanks was thought.
    Thinking {
        blank: bool,
    },
    /// The blanks between the thoughts and the answer.
    Between,
    Answer,
}

impl Thoughts {
    /// Of what follows a conversation's text.
    pub(super) fn after(prompt: &str) -> Self {
        let is_open = prompt.trim_end().ends_with(OPEN);
        Self::new(if is_open { State::Thinking { blank: true } } else { State::Start })
    }

    /// Of a text in which nothing is thought.
    pub(super) fn none() -> Self {
        Self::new(State::Answer)
    }

    fn new(state: State) -> Self {
        Self { state, held: String::new(), has_thought: false }
    }

    /// Whether anything was thought.
    pub fn has_thought(&self) -> bool {
        self.has_thought
    }

    /// Takes a piece; gives what is certain.
    pub fn push(&mut self, piece: &str) -> Part {
        self.held.push_str(piece);
        let mut part = Part::default();
        while self.step(&mut part) {}
        self.has_thought |= !part.thinking.is_empty();
        part
    }

    /// What is left at the end.
    pub fn finish(&mut self) -> Part {
        let held = std::mem::take(&mut self.held);
        let part = match self.state {
            State::Thinking { .. } => Part { thinking: held.trim_end().to_owned(), answer: String::new() },
            State::Start | State::Between | State::Answer => Part { thinking: String::new(), answer: held },
        };
        self.has_thought |= !part.thinking.is_empty();
        part
    }

    /// Goes on by one state. Whether there is more to do.
    fn step(&mut self, part: &mut Part) -> bool {
        match self.state {
            State::Start => {
                let text = self.held.trim_start();
                if let Some(rest) = text.strip_prefix(OPEN) {
                    self.held = rest.to_owned();
                    self.state = State::Thinking { blank: true };
                    return true;
                }
                if OPEN.starts_with(text) {
                    return false;
                }
                self.state = State::Answer;
                true
            }
            State::Thinking { blank } => {
                if blank {
                    self.held = self.held.trim_start().to_owned();
                    self.state = State::Thinking { blank: self.held.is_empty() };
                }
                if let Some((thought, rest)) = self.held.split_once(CLOSE) {
                    part.thinking.push_str(thought.trim_end());
                    self.held = rest.to_owned();
                    self.state = State::Between;
                    return true;
                }
                part.thinking.push_str(&self.certain_thought());
                false
            }
            State::Between => {
                self.held = self.held.trim_start().to_owned();
                if self.held.is_empty() {
                    return false;
                }
                self.state = State::Answer;
                true
            }
            State::Answer => {
                part.answer.push_str(&std::mem::take(&mut self.held));
                false
            }
        }
    }

    /// Takes what cannot belong to the end of the thoughts any more: all but blanks and the start of a tag at the end.
    fn certain_thought(&mut self) -> String {
        let starts = self.held.char_indices().map(|(start, _)| start);
        let tag = starts.filter(|start| self.held.get(*start..).is_some_and(|rest| CLOSE.starts_with(rest))).min();
        let before = self.held.get(..tag.unwrap_or(self.held.len())).unwrap_or_default();
        let rest = self.held.split_off(before.trim_end().len());
        std::mem::replace(&mut self.held, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, Thoughts};

    /// What a text comes to that is cut into pieces of so many bytes.
    fn whole(mut thoughts: Thoughts, text: &str, length: usize) -> (String, String) {
        let mut all = Part::default();
        let chars: Vec<char> = text.chars().collect();
        let pieces = chars.chunks(length).map(|piece| piece.iter().collect::<String>());
        for part in pieces.map(|piece| thoughts.push(&piece)).collect::<Vec<_>>() {
            all.thinking.push_str(&part.thinking);
            all.answer.push_str(&part.answer);
        }
        let last = thoughts.finish();
        assert_eq!(thoughts.has_thought(), !(all.thinking.clone() + &last.thinking).is_empty());
        (all.thinking + &last.thinking, all.answer + &last.answer)
    }

    #[test]
    fn thoughts_are_told_from_the_answer_wherever_the_text_is_cut() {
        for (prompt, text, thinking, answer) in [
            ("<a>", "<think>\nHm, 1 < 2.\n\nYes.\n</think>\n\nIt is so.\n", "Hm, 1 < 2.\n\nYes.", "It is so.\n"),
            ("<a><think>\n", "Hm.\n</think>\n\nYes </think> no", "Hm.", "Yes </think> no"),
            ("<a>", "\n<think>\n\n</think>\n\nYes", "", "Yes"),
            ("<a><think>\n\n</think>\n\n", "Yes, <think> is a tag.", "", "Yes, <think> is a tag."),
            ("<a>", " <thin ice>", "", " <thin ice>"),
            ("<a>", "<think>I never end </thin", "I never end </thin", ""),
            ("<a>", "<thi", "", "<thi"),
            ("<a>", "", "", ""),
        ] {
            for length in 1..=text.len().max(1) {
                let found = whole(Thoughts::after(prompt), text, length);
                assert_eq!(found, (thinking.to_owned(), answer.to_owned()), "{text:?} in pieces of {length}");
            }
        }
        assert_eq!(whole(Thoughts::none(), "<think>x</think>", 3), (String::new(), "<think>x</think>".to_owned()));
    }
}
