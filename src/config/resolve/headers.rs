//! What the application is told: which headers, from which claims, written how.
//!
//! Two headers that an application may take for one are refused, wherever they are named.

use std::collections::BTreeMap;

use http::HeaderName;

use super::Reading;
use crate::{
    config::{
        formats::ClaimSource,
        raw::{HeaderFormat, Headers},
        shape::dotted,
        values::{as_read_upstream, header_name},
    },
    gateway::settings::{ClaimFormat, ClaimHeader, HeaderSettings, ListForm},
};

/// Headers that are spoken for, as applications read them, each with the key that names it.
#[derive(Default)]
pub(super) struct Taken(BTreeMap<String, String>);

impl Taken {
    /// Speaks for `name`, which stands at `key`.
    fn take(&mut self, name: &HeaderName, key: &str, reading: &mut Reading<'_>) {
        if let Some(other) = self.0.insert(as_read_upstream(name), key.to_owned()) {
            let other = reading.named(&other);
            reading.wrong(
                key,
                format!("is the same header as {other}: case, `_` and `.` make no difference to applications"),
            );
        }
    }
}

pub(super) fn resolve(raw: Headers, reading: &mut Reading<'_>) -> Option<HeaderSettings> {
    let mut taken = Taken::default();
    // Settled in `presets`; whatever it is, it has been applied.
    let _preset = reading.required(raw.preset, "headers.preset");
    let user = reading.required(raw.user, "headers.user");
    if let Some(user) = &user {
        taken.take(user, "headers.user", reading);
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
