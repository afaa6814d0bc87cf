//! The token in a request's `Authorization` (RFC 6750 §2.1, RFC 9449 §7.1). Query and body are never looked at.

use http::{HeaderMap, header};

/// A token as a request brings it; nothing about it has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented<'h> {
    /// How.
    pub scheme: Scheme,
    /// The token: letters, digits, `-._~+/`, and `=` at its end.
    pub token: &'h str,
}

/// How a token is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Whoever has it may use it.
    Bearer,
    /// With a proof that its owner's key has signed.
    DPoP,
}

/// Why `Authorization` cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// More than one: two readers may pick different ones.
    #[error("there is more than one `Authorization`")]
    Several,
    /// Our scheme, but not one token behind it.
    #[error("`Authorization` does not hold one token")]
    Malformed,
}

/// The token that `headers` bring; `None` where there is no `Authorization`, or one of another scheme.
///
/// # Errors
/// [`Unreadable`].
pub fn presented(headers: &HeaderMap) -> Result<Option<Presented<'_>>, Unreadable> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Unreadable::Several);
    }
    read(value.as_bytes())
}

/// The same of one field's value.
///
/// # Errors
/// [`Unreadable::Malformed`].
pub fn read(value: &[u8]) -> Result<Option<Presented<'_>>, Unreadable> {
    let value = value.trim_ascii();
    let end = value.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(value.len());
    let (scheme, rest) = value.split_at_checked(end).ok_or(Unreadable::Malformed)?;
    let scheme = match scheme {
        scheme if scheme.eq_ignore_ascii_case(b"Bearer") => Scheme::Bearer,
        scheme if scheme.eq_ignore_ascii_case(b"DPoP") => Scheme::DPoP,
        _ => return Ok(None),
    };
    let token = rest.strip_prefix(b" ").ok_or(Unreadable::Malformed)?.trim_ascii_start();
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    let (body, _) = token.split_at_checked(token.len() - padding).ok_or(Unreadable::Malformed)?;
    // Not `all`: without a way out in the middle, many bytes are looked at in one step.
    if body.is_empty() || !body.iter().fold(true, |all, byte| all & fits(*byte)) {
        return Err(Unreadable::Malformed);
    }
    let token = str::from_utf8(token).map_err(|_| Unreadable::Malformed)?;
    Ok(Some(Presented { scheme, token }))
}

/// `b64token` without its padding.
fn fits(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_alone_behind_its_scheme() {
        let bearer = |token| Ok(Some(Presented { scheme: Scheme::Bearer, token }));
        for (value, found) in [
            // ours, but not one token
            ("Bearer", Err(Unreadable::Malformed)),
            ("Bearer ", Err(Unreadable::Malformed)),
            ("Bearer =", Err(Unreadable::Malformed)),
            ("Bearer a b", Err(Unreadable::Malformed)),
            ("Bearer a, Bearer b", Err(Unreadable::Malformed)),
            ("Bearer a,b", Err(Unreadable::Malformed)),
            ("Bearer a=b", Err(Unreadable::Malformed)),
            ("Bearer \"a\"", Err(Unreadable::Malformed)),
            ("Bearer\ta", Err(Unreadable::Malformed)),
            ("Bearer:a", Err(Unreadable::Malformed)),
            ("Bearer token=a", Err(Unreadable::Malformed)),
            ("Bearer \u{e9}", Err(Unreadable::Malformed)),
            ("DPoP", Err(Unreadable::Malformed)),
            // somebody else's
            ("", Ok(None)),
            ("Basic Zm9vOmJhcg==", Ok(None)),
            ("Negotiate abc", Ok(None)),
            ("Bearers abc", Ok(None)),
            ("BearerToken abc", Ok(None)),
            ("token abc", Ok(None)),
            ("\"Bearer\" a", Ok(None)),
            // ours
            ("Bearer a", bearer("a")),
            ("bearer a.b-c_d~e+f/g==", bearer("a.b-c_d~e+f/g==")),
            ("BEARER   a", bearer("a")),
            (" Bearer a ", bearer("a")),
            ("dpop a.b.c", Ok(Some(Presented { scheme: Scheme::DPoP, token: "a.b.c" }))),
        ] {
            assert_eq!(read(value.as_bytes()), found, "{value:?}");
        }
    }

    #[test]
    fn two_fields_are_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(presented(&headers), Ok(None));
        headers.append(header::AUTHORIZATION, "Basic x".parse().unwrap());
        assert_eq!(presented(&headers), Ok(None));
        headers.append(header::AUTHORIZATION, "Bearer a".parse().unwrap());
        assert_eq!(presented(&headers), Err(Unreadable::Several));
    }
}
