//! Certificates of callers, for tokens that are bound to one (RFC 8705 §3).
//!
//! A caller is asked for a certificate and may have none. What counts of one is that the caller holds its key, and which one it is: the
//! token names its hash. So nobody has to vouch for it (RFC 8705 §6.2), and its names and dates mean nothing here.

use aws_lc_rs::digest::{SHA256, digest};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::{
        ParsedCertificate,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

/// Asks for a certificate and believes nothing of it but that the caller holds its key.
#[derive(Debug)]
pub(super) struct PossessionOnly(pub(super) WebPkiSupportedAlgorithms);

impl ClientCertVerifier for PossessionOnly {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // RFC 8446 §4.2.4: without names, whichever the caller has.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // What cannot be read has no key that a signature could be checked with.
        ParsedCertificate::try_from(end_entity).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// The hash by which a token names the certificate of the handshake (RFC 8705 §3.1, `x5t#S256`); `None` where none was shown. A resumed
/// session has that of the handshake it resumes.
pub(super) fn thumbprint(connection: &rustls::ServerConnection) -> Option<[u8; 32]> {
    let leaf = connection.peer_certificates()?.first()?;
    digest(&SHA256, leaf).as_ref().try_into().ok()
}
