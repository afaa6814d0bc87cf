//! Sessions: their keys and how long they live.

use std::{path::PathBuf, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use figment::value::Value;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Reading, store};
use crate::{
    config::{
        files,
        leaf::{Given, Leaf},
        raw::Session,
    },
    origin::Origin,
    secret::Secret,
    sessions::Settings,
};

type Key = Secret<[u8; 32]>;

/// Routes say whether access tokens are kept.
pub(super) fn resolve(
    raw: Session,
    origin: Option<Origin>,
    keeps_access_tokens: bool,
    reading: &mut Reading<'_>,
) -> Option<Settings> {
    let keys = keys(raw.key, raw.key_file, raw.previous_keys, raw.previous_keys_file, reading);
    let max_age = whole_seconds(raw.max_age, "session.max_age", reading);
    let idle_timeout = whole_seconds(raw.idle_timeout, "session.idle_timeout", reading);
    let login_timeout = whole_seconds(raw.login_timeout, "session.login_timeout", reading);
    if let (Some(max_age), Some(idle_timeout)) = (max_age, idle_timeout)
        && idle_timeout > max_age
    {
        let max_age = reading.named("session.max_age");
        reading.wrong("session.idle_timeout", format!("is longer than {max_age}; it would never end a session"));
    }
    let revalidate = time(raw.revalidate, "session.revalidate", reading);
    let outage_grace = time(raw.outage_grace, "session.outage_grace", reading);
    let cut_off_grace = time(raw.cut_off_grace, "session.cut_off_grace", reading);
    let per_user = reading.count(raw.per_user, "session.per_user", 0..=1_000);
    let revocations = reading.count(raw.revocations, "session.revocations", 1..=10_000_000);
    let store = store::resolve(
        store::Written {
            store: raw.store,
            username: raw.store_username,
            password: raw.store_password,
            password_file: raw.store_password_file,
            sentinel_password: raw.store_sentinel_password,
            sentinel_password_file: raw.store_sentinel_password_file,
            ca_file: raw.store_ca_file,
            prefix: raw.store_prefix,
            timeout: raw.store_timeout,
            memory_bytes: raw.store_memory_bytes,
        },
        reading,
    );
    Some(Settings {
        keys: keys?,
        max_age: max_age?,
        idle_timeout: idle_timeout?,
        login_timeout: login_timeout?,
        origin: origin?,
        revocations: revocations?,
        revalidate: revalidate?,
        outage_grace: outage_grace?,
        cut_off_grace: cut_off_grace?,
        per_user: per_user?,
        keeps_access_tokens,
        store: store?,
    })
}

/// Sessions count in whole seconds.
fn whole_seconds(given: Given<Duration>, key: &str, reading: &mut Reading<'_>) -> Option<Duration> {
    let time = time(given, key, reading)?;
    if time.as_secs() == 0 {
        reading.wrong(key, "is less than a second");
    }
    Some(time)
}

/// The same, or none at all.
fn time(given: Given<Duration>, key: &str, reading: &mut Reading<'_>) -> Option<Duration> {
    let time = reading.required(given, key)?;
    if time.subsec_nanos() != 0 && time.as_secs() != 0 {
        reading.wrong(key, "has a part of a second; sessions count in whole ones");
    } else if time.subsec_nanos() != 0 {
        reading.wrong(key, "is less than a second");
        return None;
    }
    Some(time)
}

fn keys(
    key: Given<Secret<String>>,
    key_file: Given<PathBuf>,
    previous: Given<Vec<Secret<String>>>,
    previous_file: Given<PathBuf>,
    reading: &mut Reading<'_>,
) -> Option<Vec<Key>> {
    let (previous_inline, previous_path) = (previous.is_given(), previous_file.is_given());
    if !key.is_given() && !key_file.is_given() {
        const REQUIRED: &str = "is required, or `session.key_file`; `doorward key` makes one";
        reading.missing("session.key", REQUIRED);
    }
    let written_at = if key.is_given() { "session.key" } else { "session.key_file" };
    let current = reading.secret(key, key_file, "session.key").and_then(|text| {
        parse(&text)
            .map_err(|why| reading.wrong(written_at, format!("is no session key: {why}; `doorward key` makes one")))
            .ok()
    });

    let (written_at, texts) = match (previous_inline, previous_path) {
        (true, true) => {
            let inline = reading.named("session.previous_keys");
            reading.wrong("session.previous_keys_file", format!("stands beside {inline}; give one of the two"));
            return None;
        }
        (true, false) => ("session.previous_keys", reading.value(previous, "session.previous_keys")?),
        (false, true) => {
            let path = reading.value(previous_file, "session.previous_keys_file")?;
            let text = files::text(&path).map_err(|what| reading.wrong("session.previous_keys_file", what)).ok()?;
            let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
            ("session.previous_keys_file", lines.map(|line| Secret::new(line.to_owned())).collect())
        }
        (false, false) => ("session.previous_keys", Vec::new()),
    };
    let mut keys = vec![current?];
    for (number, text) in texts.iter().enumerate() {
        let number = number + 1;
        match parse(text) {
            Ok(key) if keys.iter().any(|known| bool::from(known.expose().ct_eq(key.expose()))) => {
                reading.wrong(
                    written_at,
                    format!("has key {number} twice: it is also the current key or stands before it"),
                );
            }
            Ok(key) => keys.push(key),
            Err(why) => reading.wrong(written_at, format!("has a wrong key {number}: {why}")),
        }
    }
    Some(keys)
}

/// 32 bytes in base64url without padding. The reason never repeats them.
fn parse(text: &Secret<String>) -> Result<Key, String> {
    let text = text.expose();
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.contains(['+', '/', '=']) {
        return Err("it is base64 with `+`, `/` or `=`; base64url without padding is expected".to_owned());
    }
    let bytes = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| "it is not base64url".to_owned())?);
    let key: [u8; 32] =
        bytes.as_slice().try_into().map_err(|_| format!("it holds {} bytes instead of 32", bytes.len()))?;
    // A placeholder such as AAAA…: everybody's guess.
    if key.iter().all(|byte| Some(byte) == key.first()) {
        return Err("it is one byte, 32 times".to_owned());
    }
    Ok(Secret::new(key))
}

impl Reading<'_> {
    /// The secret `key`, a text or PEM, written there or in the file that `key` + `_file` names, not both. `None` when it is neither.
    pub(super) fn secret<T: Leaf>(&mut self, inline: Given<T>, file: Given<PathBuf>, key: &str) -> Option<T> {
        let key_file = format!("{key}_file");
        if inline.is_given() && file.is_given() {
            let inline = self.named(key);
            self.wrong(&key_file, format!("stands beside {inline}; give exactly one of the two"));
            return None;
        }
        if inline.is_given() {
            return self.value(inline, key);
        }
        let path = self.value(file, &key_file)?;
        let text = files::text(&path).and_then(|text| {
            let wrong = |what| format!("names {}, whose content {what}", files::shown(&path));
            T::parse(&Value::from(text)).map_err(wrong)
        });
        text.map_err(|what| self.wrong(&key_file, what)).ok()
    }
}
