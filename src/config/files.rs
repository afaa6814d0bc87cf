//! Files that the configuration names: secrets, certificates. Each is read whole, up to a limit.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// The largest file that is read, in bytes: a bundle of all public certification authorities has a quarter of it.
const LARGEST: u64 = 1 << 20;

/// The bytes of the file at `path`.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    Ok(bytes)
}

/// `path` as a message shows it. Where a secret stands in place of a path, it is not repeated.
pub(super) fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.contains(['/', '.']) { text.escape_debug().to_string() } else { "a file whose name is no path".to_owned() }
}

/// The text of the file at `path`, without a closing line break.
pub(super) fn text(path: &Path) -> Result<String, String> {
    let name = shown(path);
    let bytes = read(path).map_err(|error| format!("names {name}, which cannot be read: {error}"))?;
    let mut text = String::from_utf8(bytes).map_err(|_| format!("names {name}, which is not UTF-8"))?;
    text.truncate(text.strip_suffix('\n').map_or(text.len(), |text| text.strip_suffix('\r').unwrap_or(text).len()));
    if text.is_empty() { Err(format!("names {name}, which is empty")) } else { Ok(text) }
}

/// The PEM file at `path`, when every certificate in it can be used as an authority.
pub(super) fn authorities(path: &Path) -> Result<Vec<u8>, String> {
    let (name, pem) = (shown(path), pem(path)?);
    for certificate in certificates(&name, &pem)? {
        let usable = RootCertStore::empty().add(certificate);
        usable.map_err(|error| format!("names {name}, which holds a certificate that cannot be used: {error}"))?;
    }
    Ok(pem)
}

/// The first certificate of the PEM file at `path`.
pub(super) fn first_certificate(path: &Path) -> Result<CertificateDer<'static>, String> {
    let first = certificates(&shown(path), &pem(path)?)?.into_iter().next();
    first.ok_or_else(|| format!("names {}, which holds no PEM certificate", shown(path)))
}

/// Says what is wrong with the PEM file at `path` as a certificate chain.
pub(super) fn check_certificates(path: &Path) -> Result<(), String> {
    certificates(&shown(path), &pem(path)?).map(|_| ())
}

/// Says what is wrong with the PEM file at `path` as a private key.
pub(super) fn check_private_key(path: &Path) -> Result<(), String> {
    PrivateKeyDer::from_pem_slice(&pem(path)?)
        .map(|_| ())
        .map_err(|_| format!("names {}, which holds no PEM private key", shown(path)))
}

fn pem(path: &Path) -> Result<Vec<u8>, String> {
    read(path).map_err(|error| format!("names {}, which cannot be read: {error}", shown(path)))
}

fn certificates(name: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| format!("names {name}, which is not PEM: {error}"))?;
    if certificates.is_empty() {
        Err(format!("names {name}, which holds no PEM certificate"))
    } else {
        Ok(certificates)
    }
}
