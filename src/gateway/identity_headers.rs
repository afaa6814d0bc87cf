//! Step 5: what the upstream is told about the caller. Relies on `hygiene` having removed every such header of the caller's own.

use http::{HeaderMap, HeaderValue};

use super::{authorise::Permit, settings::HeaderSettings};
use crate::{identity::ClaimValue, sessions::Sessions};

/// Writes the identity headers of `permit` into `headers` and takes our own cookies out. On an anonymous route nobody is named.
pub(super) fn apply(headers: &mut HeaderMap, permit: &Permit<'_>, settings: &HeaderSettings, sessions: &Sessions) {
    sessions.strip(headers);
    let Some(caller) = permit.caller() else { return };
    // A UserId holds nothing a header cannot carry; were it otherwise, the application would be told nobody.
    if let Ok(user) = HeaderValue::from_bytes(caller.identity.user.as_str().as_bytes()) {
        headers.insert(settings.user.clone(), user);
    }
    for claim in &settings.claims {
        let value = caller.identity.claims.get(&claim.claim).and_then(header_value);
        if let Some(value) = value {
            headers.insert(claim.header.clone(), value);
        }
    }
}

/// A list becomes one line, its values separated by commas. A value that holds a comma or a control character could be read as another:
/// then there is no header at all.
fn header_value(value: &ClaimValue) -> Option<HeaderValue> {
    let text = match value {
        ClaimValue::One(value) => value.to_string(),
        ClaimValue::Many(values) if values.is_empty() || values.iter().any(|value| value.contains(',')) => return None,
        ClaimValue::Many(values) => values.join(","),
    };
    let fits = !text.is_empty() && text.trim() == text && !text.chars().any(char::is_control);
    fits.then(|| HeaderValue::from_bytes(text.as_bytes()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_could_be_misread_gets_no_header() {
        let many = |values: &[&str]| ClaimValue::Many(values.iter().map(|&value| value.into()).collect());
        for (value, header) in [
            (ClaimValue::One("Ada Lovelace".into()), Some("Ada Lovelace")),
            (many(&["staff", "admin"]), Some("staff,admin")),
            (many(&["staff,admin"]), None),
            (many(&[]), None),
            (ClaimValue::One("a\r\nX-Admin: 1".into()), None),
            (ClaimValue::One(" a".into()), None),
            (ClaimValue::One("".into()), None),
        ] {
            assert_eq!(header_value(&value).as_ref().map(|v| v.to_str().unwrap()), header, "{value:?}");
        }
    }
}
