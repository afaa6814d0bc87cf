//! The store of sessions: where it is, and how we get in.

use std::{path::PathBuf, time::Duration};

use super::Reading;
use crate::{
    config::{
        files,
        leaf::{Given, Size},
        store::{Prefix, RedisUrl, Store},
    },
    secret::Secret,
    sessions::store::{Location, RedisSettings, RedisTls, Settings},
};

const STORE: &str = "session.store";
const USERNAME: &str = "session.store_username";
const PASSWORD: &str = "session.store_password";
const PASSWORD_FILE: &str = "session.store_password_file";
const SENTINEL_PASSWORD: &str = "session.store_sentinel_password";
const SENTINEL_PASSWORD_FILE: &str = "session.store_sentinel_password_file";
const CA_FILE: &str = "session.store_ca_file";
const TIMEOUT: &str = "session.store_timeout";

/// What is written of it.
pub(super) struct Written {
    pub(super) store: Given<Store>,
    pub(super) username: Given<String>,
    pub(super) password: Given<Secret<String>>,
    pub(super) password_file: Given<PathBuf>,
    pub(super) sentinel_password: Given<Secret<String>>,
    pub(super) sentinel_password_file: Given<PathBuf>,
    pub(super) ca_file: Given<PathBuf>,
    pub(super) prefix: Given<Prefix>,
    pub(super) timeout: Given<Duration>,
    pub(super) memory_bytes: Given<Size>,
}

pub(super) fn resolve(written: Written, reading: &mut Reading<'_>) -> Option<Settings> {
    const MIB: usize = 1 << 20;
    const GIB: usize = 1 << 30;
    let bytes = reading.size(written.memory_bytes, "session.store_memory_bytes", MIB..=64 * GIB);
    let prefix = reading.required(written.prefix, "session.store_prefix");
    let timeout = timeout(written.timeout, reading);
    let access = [
        (USERNAME, written.username.is_given()),
        (PASSWORD, written.password.is_given()),
        (PASSWORD_FILE, written.password_file.is_given()),
        (SENTINEL_PASSWORD, written.sentinel_password.is_given()),
        (SENTINEL_PASSWORD_FILE, written.sentinel_password_file.is_given()),
        (CA_FILE, written.ca_file.is_given()),
    ];
    let username = reading.value(written.username, USERNAME);
    let password = reading.secret(written.password, written.password_file, PASSWORD);
    let sentinel_password =
        reading.secret(written.sentinel_password, written.sentinel_password_file, SENTINEL_PASSWORD);
    let ca = reading.value(written.ca_file, CA_FILE).and_then(|path| {
        let pem = files::authorities(&path);
        pem.map_err(|what| reading.wrong(CA_FILE, what)).ok()
    });
    let RedisUrl { location, has_tls, username: own_username, password: own_password, far_hosts } =
        match reading.required(written.store, STORE)? {
            Store::Memory => {
                let store = reading.named(STORE);
                for (key, _) in access.into_iter().filter(|(_, is_given)| *is_given) {
                    reading.wrong(key, format!("is of no use: {store} is `memory`"));
                }
                return Some(Settings::Memory { bytes: bytes? });
            }
            Store::Redis(url) => url,
        };
    let is_given = |key: &str| access.iter().any(|(known, is_given)| *known == key && *is_given);
    let has_password = [PASSWORD, PASSWORD_FILE].into_iter().find(|key| is_given(key));
    let store = reading.named(STORE);
    if let Some(key) = has_password.filter(|_| own_password.is_some()) {
        reading.wrong(key, format!("stands beside the password in {store}; give one of the two"));
    }
    if own_username.is_some() && is_given(USERNAME) {
        reading.wrong(USERNAME, format!("stands beside the user in {store}; give one of the two"));
    }
    let has_password = has_password.is_some() || own_password.is_some();
    if !has_password && (own_username.is_some() || is_given(USERNAME)) {
        let key = if own_username.is_some() { STORE } else { USERNAME };
        reading.wrong(key, format!("names a user, but there is no password; `{PASSWORD}` is needed with it"));
    }
    if !matches!(location, Location::Sentinel { .. }) {
        for key in [SENTINEL_PASSWORD, SENTINEL_PASSWORD_FILE].into_iter().filter(|key| is_given(key)) {
            reading.wrong(key, format!("is of no use: {store} has no sentinels"));
        }
    }
    if !has_tls && is_given(CA_FILE) {
        reading.wrong(CA_FILE, format!("is of no use: {store} is without TLS, which `rediss` in place of `redis` has"));
    }
    if !has_tls && !far_hosts.is_empty() {
        let far = far_hosts.join("`, `");
        let sent = if has_password { "the password goes" } else { "ids of sessions and what has ended go" };
        reading
            .warn(STORE, format!("is without TLS: {sent} in clear to `{far}`; `rediss` in place of `redis` has TLS"));
    }
    let settings = RedisSettings {
        location,
        tls: has_tls.then(|| RedisTls { ca: ca.map(Into::into) }),
        username: own_username.or(username.map(Into::into)),
        password: own_password.or(password),
        sentinel_password,
        prefix: prefix?.0,
        timeout: timeout?,
    };
    Some(Settings::Redis(Box::new(settings)))
}

/// A request may wait for so long; what takes longer does not count as an answer.
fn timeout(given: Given<Duration>, reading: &mut Reading<'_>) -> Option<Duration> {
    let timeout = reading.required(given, TIMEOUT)?;
    if !(Duration::from_millis(50)..=Duration::from_secs(10)).contains(&timeout) {
        reading.wrong(TIMEOUT, format!("is {timeout:?}; it must be 50ms to 10s"));
    }
    Some(timeout)
}
