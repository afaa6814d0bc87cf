//! TLS towards callers: certificate and key from PEM files, HTTP/2 and HTTP/1.1 by ALPN, replaced as a whole on reload.
//!
//! Sessions are resumed from memory, which keeps the caller's certificate with them; it is a new memory after a reload, so that nobody
//! resumes what was agreed under other settings.

use std::{fs, io, path::Path, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{Tls, client_certificate::PossessionOnly};

/// Speaks TLS on accepted connections. Clones share the certificate.
#[derive(Clone, Debug)]
pub struct Acceptor(Arc<ArcSwap<ServerConfig>>);

/// Why a certificate and key cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not there, or not permitted.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Not PEM, or without what is looked for.
    #[error("{path} holds no {what} in PEM form")]
    Pem {
        /// The file.
        path: String,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// They do not belong together, or are of a kind rustls does not serve.
    #[error("{cert} and {key} cannot be served together")]
    Pair {
        /// The certificate's file.
        cert: String,
        /// The key's file.
        key: String,
        /// What rustls said.
        source: rustls::Error,
    },
}

impl Acceptor {
    /// Reads the files of `settings`.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub fn load(settings: &Tls) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(read(settings)?))))
    }

    /// Reads the files anew; connections to come get them, and are asked for a certificate or not. After an error everything stays as it is.
    ///
    /// # Errors
    /// As [`Acceptor::load`].
    pub fn reload(&self, settings: &Tls) -> Result<(), TlsError> {
        self.0.store(Arc::new(read(settings)?));
        Ok(())
    }

    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        TlsAcceptor::from(self.0.load_full()).accept(stream).await
    }
}

fn read(settings: &Tls) -> Result<ServerConfig, TlsError> {
    let cert = settings.cert.display().to_string();
    let key = settings.key.display().to_string();
    let pem =
        |path: &Path| fs::read(path).map_err(|source| TlsError::Read { path: path.display().to_string(), source });
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem(&settings.cert)?)
        .collect::<Result<_, _>>()
        .ok()
        .filter(|chain: &Vec<_>| !chain.is_empty())
        .ok_or_else(|| TlsError::Pem { path: cert.clone(), what: "certificate" })?;
    let private = PrivateKeyDer::from_pem_slice(&pem(&settings.key)?)
        .map_err(|_| TlsError::Pem { path: key.clone(), what: "private key" })?;
    let provider = aws_lc_rs::default_provider();
    let algorithms = provider.signature_verification_algorithms;
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            let builder = if settings.client_certificates {
                builder.with_client_cert_verifier(Arc::new(PossessionOnly(algorithms)))
            } else {
                builder.with_no_client_auth()
            };
            builder.with_single_cert(chain, private)
        })
        .map_err(|source| TlsError::Pair { cert, key, source })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
