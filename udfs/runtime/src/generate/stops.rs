//! Stop strings, looked for in text that comes in pieces.

/// Holds back what may be the start of a stop string.
#[derive(Debug)]
pub(super) struct Stops {
    strings: Vec<String>,
    held: String,
}

/// What a piece of text comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text that is certain.
    Text(String),
    /// The text before a stop string, and which one.
    Stopped(String, String),
}

impl Stops {
    pub(super) fn new(strings: Vec<String>) -> Self {
        Self { strings, held: String::new() }
    }

    /// Takes a piece. Of several stop strings, the one that starts first counts.
    pub(super) fn push(&mut self, piece: &str) -> Piece {
        self.held.push_str(piece);
        let found = self.strings.iter().filter_map(|stop| Some((self.held.find(stop.as_str())?, stop)));
        if let Some((start, stop)) = found.min_by_key(|(start, stop)| (*start, std::cmp::Reverse(stop.len()))) {
            let stop = stop.clone();
            self.held.truncate(start);
            return Piece::Stopped(std::mem::take(&mut self.held), stop);
        }
        let open = self.held.char_indices().map(|(start, _)| start).find(|start| self.may_stop(*start));
        let rest = self.held.split_off(open.unwrap_or(self.held.len()));
        Piece::Text(std::mem::replace(&mut self.held, rest))
    }

    /// What is held back at the end.
    pub(super) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Whether the text from `start` on is the start of a stop string.
    fn may_stop(&self, start: usize) -> bool {
        self.held.get(start..).is_some_and(|rest| self.strings.iter().any(|stop| stop.starts_with(rest)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Piece, Stops};

    fn text(piece: &str) -> Piece {
        Piece::Text(piece.to_owned())
    }

    #[test]
    fn a_stop_string_is_found_across_pieces_and_only_its_start_is_held() {
        let mut stops = Stops::new(vec!["END".to_owned(), "ß!".to_owned()]);
        assert_eq!(stops.push("one E"), text("one "));
        assert_eq!(stops.push("N"), text(""));
        assert_eq!(stops.push("E"), text("EN"));
        assert_eq!(stops.push("ß"), text("E"));
        assert_eq!(stops.push("? ß"), text("ß? "));
        assert_eq!(stops.push("! more"), Piece::Stopped(String::new(), "ß!".to_owned()));
        let mut stops = Stops::new(vec!["ab".to_owned(), "b".to_owned()]);
        assert_eq!(stops.push("xaby"), Piece::Stopped("x".to_owned(), "ab".to_owned()));
        let mut stops = Stops::new(vec!["xyz".to_owned()]);
        assert_eq!(stops.push("wxy"), text("w"));
        assert_eq!(stops.finish(), "xy");
    }
}
