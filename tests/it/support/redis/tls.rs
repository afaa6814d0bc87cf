//! An authority of our own, and a certificate for `localhost` and `127.0.0.1`.

use std::{fs, path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

#[derive(Clone)]
pub struct Certificates(Arc<TempDir>);

impl Certificates {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes a certificate whose issuer has its own name for self-signed.
        params.distinguished_name.push(DnType::CommonName, "An authority");
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &ca).unwrap();
        for (name, pem) in [("ca.pem", ca.pem()), ("server.pem", certificate.pem()), ("key.pem", key.serialize_pem())] {
            fs::write(folder.path().join(name), pem).unwrap();
        }
        Self(Arc::new(folder))
    }

    pub fn ca_file(&self) -> PathBuf {
        self.0.path().join("ca.pem")
    }

    /// What `redis-server` is told.
    pub fn args(&self) -> Vec<String> {
        let file = |name| self.0.path().join(name).to_str().unwrap().to_owned();
        let args = ["--tls-cert-file", &file("server.pem"), "--tls-key-file", &file("key.pem")];
        let more = ["--tls-ca-cert-file", &file("ca.pem"), "--tls-auth-clients", "no"];
        args.into_iter().chain(more).map(str::to_owned).collect()
    }
}
