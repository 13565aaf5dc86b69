//! TLS configuration from PEM files. Whatever is wrong with them is an error at start-up: a server that
//! was asked to encrypt never falls back to plain text.

use std::path::Path;
use std::sync::Arc;

use latentdb_engine::{Error, ErrorKind, Result};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Protocol name that clients send when they start TLS without asking first.
const ALPN: &[u8] = b"postgresql";

/// Reads a certificate chain and its private key, and checks that they belong together.
pub fn server_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|fault| unusable("certificate", certificate, &fault))?;
    if chain.is_empty() {
        return Err(unusable("certificate", certificate, &"the file holds none"));
    }
    let private_key = PrivateKeyDer::from_pem_file(key).map_err(|fault| unusable("private key", key, &fault))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|fault| unusable("certificate", certificate, &fault))?
        .with_no_client_auth()
        .with_single_cert(chain, private_key)
        .map_err(|fault| unusable("private key", key, &fault))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

fn unusable(what: &str, path: &Path, fault: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidValue, format!("cannot use TLS {what} {}: {fault}", path.display()))
        .with_hint("give a PEM certificate chain and its unencrypted PEM private key")
}
