//! Connections we open: whom we believe at their other end, and how they are made.

use std::{sync::Arc, time::Duration};

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// Makes connections, with TLS where the URL says `https`.
pub type Connector = HttpsConnector<HttpConnector>;

/// What the system trusts; where it has nothing (an image from scratch), the roots that browsers trust.
#[must_use]
pub fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "Some of the system's certificates cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::info!("The system has no trusted certificates: using the built-in ones");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// The certificates in `pem`; `None` when there are none or one cannot be read.
#[must_use]
pub fn roots_from(pem: &[u8]) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.ok()?).ok()?;
    }
    (!roots.is_empty()).then_some(roots)
}

/// TLS that believes `roots`, and only them.
///
/// # Errors
/// None that can be provoked: the library's own defaults fit each other.
pub fn tls(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    Ok(ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// HTTP/1.1 over TCP or TLS.
#[must_use]
pub fn connector(tls: ClientConfig, connect_timeout: Duration) -> Connector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    // Small requests must not wait for the peer's delayed ACK.
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect_timeout));
    HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp)
}
