//! The signed assertion: its header, its keys, its lifetime.

use std::{path::PathBuf, time::Duration};

use rustls::pki_types::{PrivateKeyDer, pem::PemObject};

use super::{Reading, headers::Taken};
use crate::{
    assertion::{Key, Settings},
    config::{leaf::Given, raw::Assertion, values::Pem},
};

const HEADER: &str = "assertion.header";
const KEY: &str = "assertion.key";
const PREVIOUS: &str = "assertion.previous_keys";

/// A signed word lives for minutes: it is used again for one, and whoever gets hold of it is believed until it ends.
const SHORTEST: Duration = Duration::from_secs(120);
const LONGEST: Duration = Duration::from_secs(3_600);

/// `None` when there is none, or when something is wrong with it, which has been said then.
pub(super) fn resolve(raw: Assertion, taken: &mut Taken, reading: &mut Reading<'_>) -> Option<Settings> {
    let is_on = raw.header.is_given();
    let header = reading.value(raw.header, HEADER);
    if let Some(header) = &header {
        taken.take(header, HEADER, reading);
    }
    let has_key = raw.key.is_given() || raw.key_file.is_given();
    let has_previous = raw.previous_keys.is_given() || raw.previous_keys_file.is_given();
    if is_on && !has_key {
        let what = "is required, or `assertion.key_file`; \
                    `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` makes one";
        reading.missing(KEY, what);
    }
    for (key, is_given) in [(KEY, has_key), (PREVIOUS, has_previous)] {
        if is_given && !is_on {
            reading.wrong_near(
                &written_at(key, reading),
                format!("is for the signed assertion, but there is no `{HEADER}`"),
            );
        }
    }
    let lifetime = reading.required(raw.lifetime, "assertion.lifetime");
    if lifetime.is_some_and(|lifetime| !(SHORTEST..=LONGEST).contains(&lifetime)) {
        reading.wrong("assertion.lifetime", "is not within `2m` and `1h`: it is used again for a minute");
    }
    let mut keys = keys(raw.key, raw.key_file, KEY, reading);
    if keys.len() > 1 {
        reading.wrong(&written_at(KEY, reading), format!("holds more than one key; others belong into `{PREVIOUS}`"));
    }
    let key = keys.pop();
    let previous_keys = self::keys(raw.previous_keys, raw.previous_keys_file, PREVIOUS, reading);
    let mut kids: Vec<&str> = key.iter().chain(&previous_keys).map(Key::kid).collect();
    kids.sort_unstable();
    if kids.windows(2).any(|pair| pair.first() == pair.last()) {
        reading
            .wrong(&written_at(PREVIOUS, reading), "has a key twice: it is also the current key or stands before it");
    }
    Some(Settings { header: header?, key: key?, previous_keys, lifetime: lifetime? })
}

/// `key`, or the key of the file it is in.
fn written_at(key: &str, reading: &Reading<'_>) -> String {
    let file = format!("{key}_file");
    if reading.place(&file).is_some() { file } else { key.to_owned() }
}

/// The private keys that are written at `key` or in its file; none when there are none or when they cannot be read, which has been said
/// then.
fn keys(inline: Given<Pem>, file: Given<PathBuf>, key: &str, reading: &mut Reading<'_>) -> Vec<Key> {
    let Some(Pem(pem)) = reading.secret(inline, file, key) else { return Vec::new() };
    let found: Vec<_> = PrivateKeyDer::pem_slice_iter(pem.expose().as_bytes()).collect();
    let keys: Option<Vec<Key>> = found.iter().map(|der| Key::from_der(der.as_ref().ok()?.secret_der())).collect();
    match keys {
        Some(keys) if !keys.is_empty() => keys,
        _ => {
            let at = written_at(key, reading);
            reading.wrong(&at, "holds no PEM private key on P-256 (PKCS#8), or also something else");
            Vec::new()
        }
    }
}
