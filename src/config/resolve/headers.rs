//! What the application is told: which headers, from which claims, written how.
//!
//! Two headers that an application may take for one are refused, wherever they are named.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};

use super::Reading;
use crate::{
    config::{
        formats::ClaimSource,
        leaf::Given,
        raw::{HeaderFormat, Headers, SecretHeader},
        shape::dotted,
        values::{as_read_upstream, header_name},
    },
    gateway::settings::{self, ClaimFormat, ClaimHeader, HeaderSettings, ListForm},
};

/// Headers that are spoken for, as applications read them, each with the key that names it.
#[derive(Clone, Default)]
pub(super) struct Taken(BTreeMap<String, String>);

impl Taken {
    /// Speaks for `name`, which stands at `key`.
    pub(super) fn take(&mut self, name: &HeaderName, key: &str, reading: &mut Reading<'_>) {
        if let Some(other) = self.0.insert(as_read_upstream(name), key.to_owned()) {
            let other = reading.named(&other);
            reading.wrong_near(
                key,
                format!("is the same header as {other}: case, `_` and `.` make no difference to applications"),
            );
        }
    }

    /// The same at one route, whose identifier is in `user`, written at `key`, if anything is.
    pub(super) fn at_route(&self, user: Option<&HeaderName>, key: &str, reading: &mut Reading<'_>) -> Self {
        let mut taken = self.clone();
        // It takes the place of the usual one, so it may be that.
        if let Some(user) = user
            && self.0.get(&as_read_upstream(user)).is_none_or(|other| other != USER)
        {
            taken.take(user, key, reading);
        }
        taken
    }

    /// The header that `given` names, which is spoken for from now on.
    pub(super) fn with(
        &mut self,
        given: Given<HeaderName>,
        key: &str,
        reading: &mut Reading<'_>,
    ) -> Option<HeaderName> {
        let header = reading.value(given, key)?;
        self.take(&header, key, reading);
        Some(header)
    }
}

/// The key of the usual header.
const USER: &str = "headers.user";

/// The headers of every route, and which names are spoken for by them.
pub(super) fn resolve(raw: Headers, reading: &mut Reading<'_>) -> (Option<HeaderSettings>, Taken) {
    let mut taken = Taken::default();
    let settings = headers(raw, &mut taken, reading);
    (settings, taken)
}

/// Headers that say that a request comes from us, of the table `key`. `taken` are the others of that route.
pub(super) fn secret(
    raw: BTreeMap<String, SecretHeader>,
    key: &str,
    mut taken: Taken,
    reading: &mut Reading<'_>,
) -> Option<Box<[settings::SecretHeader]>> {
    let secrets = raw.into_iter().map(|(name, raw)| {
        let key = dotted(key, &name);
        let name = header_name(&name).map_err(|what| reading.wrong_near(&key, what)).ok();
        if let Some(name) = &name {
            taken.take(name, &key, reading);
        }
        let value_key = dotted(&key, "value");
        if !raw.value.is_given() && !raw.value_file.is_given() {
            reading.missing(&value_key, format!("is required, or `{value_key}_file`"));
        }
        let value = reading.secret(raw.value, raw.value_file, &value_key)?;
        let value = HeaderValue::from_bytes(value.expose().as_bytes());
        let mut value = value.map_err(|_| reading.wrong_near(&key, "has a value that no header can carry")).ok()?;
        value.set_sensitive(true);
        Some(settings::SecretHeader { name: name?, value })
    });
    secrets.collect::<Vec<_>>().into_iter().collect()
}

fn headers(raw: Headers, taken: &mut Taken, reading: &mut Reading<'_>) -> Option<HeaderSettings> {
    // Settled in `presets`; whatever it is, it has been applied.
    let _preset = reading.required(raw.preset, "headers.preset");
    let user = reading.required(raw.user, USER);
    if let Some(user) = &user {
        taken.take(user, USER, reading);
    }
    let user_encoding = reading.required(raw.user_encoding, "headers.user_encoding");
    let mut formats = formats(raw.formats, reading);
    let mut claims = Vec::with_capacity(raw.claims.len());
    for (name, claim) in raw.claims {
        let key = dotted("headers.claims", &name);
        let header = header_name(&name).map_err(|what| reading.wrong(&key, what)).ok();
        if let Some(header) = &header {
            taken.take(header, &key, reading);
        }
        let format = header.as_ref().and_then(|header| formats.remove(&as_read_upstream(header)));
        let format = format.map(|(_, format)| format).unwrap_or_default();
        let claim = reading.value(claim, &key).and_then(|ClaimSource(claim)| claim);
        claims.extend(header.zip(claim).map(|(header, claim)| ClaimHeader { header, claim: claim.into(), format }));
    }
    for (key, _) in formats.into_values() {
        reading.wrong_near(&key, "is for a header that `headers.claims` does not name");
    }
    Some(HeaderSettings { user: user?, user_encoding: user_encoding?, claims })
}

/// The formats by header, as applications read its name, each with its key.
fn formats(raw: BTreeMap<String, HeaderFormat>, reading: &mut Reading<'_>) -> BTreeMap<String, (String, ClaimFormat)> {
    let mut formats = BTreeMap::new();
    for (name, raw) in raw {
        let key = dotted("headers.formats", &name);
        let format = format(&key, raw, reading);
        let header = match header_name(&name) {
            Ok(header) => header,
            Err(what) => {
                reading.wrong_near(&key, what);
                continue;
            }
        };
        if let Some((other, _)) = formats.insert(as_read_upstream(&header), (key.clone(), format)) {
            reading.wrong_near(&key, format!("is for the same header as `{other}`"));
        }
    }
    formats
}

fn format(key: &str, raw: HeaderFormat, reading: &mut Reading<'_>) -> ClaimFormat {
    let is_separated = raw.separator.is_given();
    let list = reading.value(raw.list, &dotted(key, "list"));
    if is_separated && list == Some(ListForm::Json) {
        let list = reading.named(&dotted(key, "list"));
        reading.wrong(&dotted(key, "separator"), format!("stands beside {list}; a JSON array has its own"));
    }
    let usual = ClaimFormat::default();
    let separator = reading.value(raw.separator, &dotted(key, "separator"));
    let encoding = reading.value(raw.encoding, &dotted(key, "encoding"));
    let max_bytes = match raw.max_bytes.is_given() {
        true => reading.size(raw.max_bytes, &dotted(key, "max_bytes"), 1..=64 << 10),
        false => None,
    };
    let too_long = reading.value(raw.too_long, &dotted(key, "too_long"));
    ClaimFormat {
        list,
        separator: separator.map_or(usual.separator, |separator| separator.0),
        encoding: encoding.unwrap_or(usual.encoding),
        max_bytes: max_bytes.unwrap_or(usual.max_bytes),
        too_long: too_long.unwrap_or(usual.too_long),
    }
}
