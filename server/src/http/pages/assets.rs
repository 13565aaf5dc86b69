//! The built files of the web app (`web/dist`), which are part of the binary.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::sync::{LazyLock, OnceLock};

use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::{Embed, EmbeddedFile};

/// Files shorter than this are not worth compressing.
const SHORT: usize = 1024;
/// The folder whose files have a hash of what they hold in their names.
const HASHED: &str = "assets/";

#[derive(Embed)]
#[folder = "../web/dist"]
struct Built;

/// A file of the app.
#[derive(Debug)]
pub(super) struct Asset {
    pub(super) body: Bytes,
    pub(super) media_type: String,
    /// Weak: the same for both encodings.
    pub(super) etag: String,
    /// Whether the name changes with the content.
    pub(super) is_hashed: bool,
    gzip: OnceLock<Option<Bytes>>,
}

/// The file called `name`.
pub(super) fn asset(name: &str) -> Option<&'static Asset> {
    static ASSETS: LazyLock<HashMap<String, Asset>> = LazyLock::new(|| {
        let found = |name: Cow<'static, str>| {
            let EmbeddedFile { data, metadata } = Built::get(&name)?;
            let file = Asset::new(&name, data, metadata.mimetype(), &metadata.sha256_hash());
            Some((name.into_owned(), file))
        };
        Built::iter().filter_map(found).collect()
    });
    ASSETS.get(name)
}

impl Asset {
    /// A file called `name`; `hash` tells what it holds.
    pub(super) fn new(name: &str, data: Cow<'static, [u8]>, media_type: &str, hash: &[u8]) -> Self {
        let mut media_type = media_type.to_owned();
        if media_type.starts_with("text/") {
            media_type.push_str("; charset=utf-8");
        }
        Self {
            media_type,
            etag: format!("W/\"{}\"", URL_SAFE_NO_PAD.encode(hash)),
            is_hashed: name.starts_with(HASHED),
            body: match data {
                Cow::Borrowed(data) => Bytes::from_static(data),
                Cow::Owned(data) => Bytes::from(data),
            },
            gzip: OnceLock::new(),
        }
    }

    /// The file compressed, if that makes it shorter; done once.
    pub(super) fn gzip(&self) -> Option<Bytes> {
        self.gzip.get_or_init(|| self.compress()).clone()
    }

    fn compress(&self) -> Option<Bytes> {
        if self.body.len() < SHORT {
            return None;
        }
        let mut packed = GzEncoder::new(Vec::with_capacity(self.body.len() / 3), Compression::default());
        packed.write_all(&self.body).ok()?;
        packed.finish().ok().filter(|packed| packed.len() < self.body.len()).map(Bytes::from)
    }
}
