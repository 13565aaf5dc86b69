//! The prompts of a run.

/// A token sequence that the model is run on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prompt {
    /// Number of the row of the corpus that it comes from (or ends in).
    pub(crate) document: i64,
    pub(crate) tokens: Vec<u32>,
}

/// The prompts of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Prompts {
    all: Vec<Prompt>,
}

impl Prompts {
    pub(crate) fn push(&mut self, prompt: Prompt) {
        self.all.push(prompt);
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn get(&self, number: usize) -> Option<&Prompt> {
        self.all.get(number)
    }

    /// Up to `count` prompts from `first` on.
    pub(crate) fn some(&self, first: usize, count: usize) -> Vec<Vec<u32>> {
        self.all.iter().skip(first).take(count).map(|prompt| prompt.tokens.clone()).collect()
    }

    /// Tokens of all prompts.
    pub(crate) fn tokens(&self) -> u64 {
        self.all.iter().map(|prompt| prompt.tokens.len() as u64).sum()
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Prompt> {
        self.all.iter()
    }
}

impl FromIterator<Prompt> for Prompts {
    fn from_iter<I: IntoIterator<Item = Prompt>>(prompts: I) -> Self {
        Self { all: prompts.into_iter().collect() }
    }
}
