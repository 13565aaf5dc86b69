//! Names of sources and features: `gpt2-small/10-res-jb/16899`.

use latentdb_engine::{Error, ErrorKind, Result};

/// A feature's address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FeatureAddress {
    pub(crate) model: String,
    pub(crate) source: String,
    pub(crate) index: usize,
}

impl FeatureAddress {
    /// Reads `model/source/index`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let malformed = || {
            Error::new(ErrorKind::InvalidValue, format!("{text:?} is no feature's address"))
                .with_hint("write model/source/index, as in gpt2-small/10-res-jb/16899")
        };
        let mut parts = text.split('/');
        let (Some(model), Some(source), Some(index), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed());
        };
        if model.is_empty() || source.is_empty() {
            return Err(malformed());
        }
        Ok(Self { model: model.to_owned(), source: source.to_owned(), index: index.parse().map_err(|_| malformed())? })
    }
}

/// Something whose value at each token can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ProbeAddress {
    /// A source's feature: `model/source/index`.
    Feature(FeatureAddress),
    /// A row of the table `vectors`: `vectors/id`.
    Vector(String),
}

impl ProbeAddress {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        match text.strip_prefix("vectors/").filter(|id| !id.is_empty() && !id.contains('/')) {
            Some(id) => Ok(Self::Vector(id.to_owned())),
            None => FeatureAddress::parse(text).map(Self::Feature),
        }
    }
}

/// The layer that a source id starts with: 10 of `10-res-jb`; also whether the id is a bare number, which names neurons.
pub(crate) fn layer_of(source: &str) -> Option<(usize, bool)> {
    let (layer, is_bare) = match source.split_once('-') {
        Some((layer, _)) => (layer, false),
        None => (source, true),
    };
    layer.parse().ok().map(|layer| (layer, is_bare))
}

#[cfg(test)]
mod tests {
    use super::{FeatureAddress, ProbeAddress, layer_of};

    #[test]
    fn an_address_is_read_and_a_malformed_one_is_refused() {
        let address = FeatureAddress::parse("gpt2-small/10-res-jb/16899").unwrap();
        assert_eq!(
            (address.model.as_str(), address.source.as_str(), address.index),
            ("gpt2-small", "10-res-jb", 16899)
        );
        for text in ["", "a/b", "a/b/c", "a/b/-1", "/b/1", "a/b/1/2"] {
            assert!(FeatureAddress::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_vector_is_named_by_its_id() {
        assert_eq!(ProbeAddress::parse("vectors/truth").unwrap(), ProbeAddress::Vector("truth".to_owned()));
        // A model may be called so too.
        assert!(matches!(ProbeAddress::parse("vectors/1-res/5").unwrap(), ProbeAddress::Feature(_)));
        assert!(ProbeAddress::parse("vectors/").is_err());
    }

    #[test]
    fn a_bare_number_names_neurons() {
        assert_eq!(layer_of("10-res-jb"), Some((10, false)));
        assert_eq!(layer_of("3"), Some((3, true)));
        assert_eq!(layer_of("res-jb"), None);
    }
}
