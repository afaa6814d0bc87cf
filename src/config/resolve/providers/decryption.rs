//! The keys that a provider encrypts tokens for.

use rustls::pki_types::{PrivateKeyDer, pem::PemObject};

use super::table::Table;
use crate::{
    config::{provider::Provider, values::Pem},
    providers::{DecryptionKey, MAX_DECRYPTION_KEYS},
};

/// None when there are none, or when something is wrong with them, which has been said then.
pub(super) fn resolve(raw: &mut Provider, is_oauth2: bool, table: &mut Table<'_, '_>) -> Vec<DecryptionKey> {
    if is_oauth2 {
        let what = "is for `protocol = \"oidc\"`; with OAuth 2.0 alone there are no tokens that could be opened";
        table.refuse(&["decryption_key", "decryption_key_file"], what);
        return Vec::new();
    }
    let written_at = if raw.decryption_key.is_given() { "decryption_key" } else { "decryption_key_file" };
    let (inline, file) = (std::mem::take(&mut raw.decryption_key), std::mem::take(&mut raw.decryption_key_file));
    let Some(Pem(pem)) = table.reading.secret(inline, file, &table.key("decryption_key")) else { return Vec::new() };
    let usable = |der: PrivateKeyDer<'_>| {
        let PrivateKeyDer::Pkcs8(der) = der else { return None };
        DecryptionKey::from_pkcs8(der.secret_pkcs8_der())
    };
    let found = PrivateKeyDer::pem_slice_iter(pem.expose().as_bytes());
    let keys: Option<Vec<_>> = found.map(|der| der.ok().and_then(usable)).collect();
    match keys {
        Some(keys) if keys.len() > MAX_DECRYPTION_KEYS => {
            let what = format!("holds {} keys; a token is tried with {MAX_DECRYPTION_KEYS} at most", keys.len());
            table.wrong(written_at, what);
        }
        Some(keys) if !keys.is_empty() => return keys,
        Some(_) | None => {
            let what = "holds no PEM private key (PKCS#8) that can be used, RSA with 2048 to 4096 bits or P-256, or also something else";
            table.wrong(written_at, what);
        }
    }
    Vec::new()
}
