//! How far a download is.

use std::fmt;
use std::sync::Arc;

use hf_hub::api::tokio::Progress;

use crate::location::HubPlace;

/// Hears how far downloads are.
pub trait Downloads: fmt::Debug + Send + Sync {
    /// A file of so many bytes begins: `place` is what was asked for, `file` its name in the repository.
    fn begin(&self, place: &str, file: &str, bytes: u64);

    /// So many more bytes are here.
    fn advance(&self, bytes: u64);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Downloads for Unwatched {
    fn begin(&self, _place: &str, _file: &str, _bytes: u64) {}
    fn advance(&self, _bytes: u64) {}
}

/// Tells of one file.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    place: String,
    file: String,
    downloads: Arc<dyn Downloads>,
}

impl Meter {
    pub(super) fn new(place: &HubPlace, file: &str, downloads: Arc<dyn Downloads>) -> Self {
        Self { place: place.to_string(), file: file.to_owned(), downloads }
    }
}

impl Progress for Meter {
    async fn init(&mut self, size: usize, _filename: &str) {
        self.downloads.begin(&self.place, &self.file, size as u64);
    }

    async fn update(&mut self, size: usize) {
        self.downloads.advance(size as u64);
    }

    async fn finish(&mut self) {}
}
