//! How a request-target may be read: as it is written, and as any usual decoder behind us might read it.
//!
//! What is forwarded is what was written, byte for byte. What is decided on are all its readings: when they lead to different
//! routes, the request is refused, because nobody can say which of them the application would serve.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The longest path and query that is accepted, in bytes.
pub(super) const MAX_BYTES: usize = 8_192;

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadTarget {
    /// Longer than [`MAX_BYTES`].
    #[error("the request target is longer than 8192 bytes")]
    TooLong,
    /// `%` without two hexadecimal digits behind it.
    #[error("the path holds a `%` that does not begin a percent-encoded byte")]
    Percent,
    /// A NUL byte, encoded.
    #[error("the path holds an encoded NUL")]
    Nul,
    /// `*`, or a path that does not begin with `/`.
    #[error("the request target is not a path")]
    NotAPath,
}

/// Checks that `path` means anything at all.
///
/// # Errors
/// [`BadTarget`] says why not.
pub(super) fn check(path: &str) -> Result<(), BadTarget> {
    if !path.starts_with('/') {
        return Err(BadTarget::NotAPath);
    }
    let mut rest = path.as_bytes();
    while let Some(at) = rest.iter().position(|&b| b == b'%') {
        let (Some(&high), Some(&low)) = (rest.get(at + 1), rest.get(at + 2)) else { return Err(BadTarget::Percent) };
        if !high.is_ascii_hexdigit() || !low.is_ascii_hexdigit() {
            return Err(BadTarget::Percent);
        }
        if (high, low) == (b'0', b'0') {
            return Err(BadTarget::Nul);
        }
        rest = rest.get(at + 3..).unwrap_or_default();
    }
    Ok(())
}

/// Whether every usual decoder reads `path` alike: no percent-encoding, no `\`, no `;`, no empty segment, no dot segment.
#[must_use]
pub(super) fn has_one_reading(path: &str) -> bool {
    // One pass over a path that nearly always has nothing of it.
    let mut previous = b' ';
    for byte in path.bytes() {
        if matches!(byte, b'%' | b'\\' | b';') || !byte.is_ascii() || (previous == b'/' && matches!(byte, b'/' | b'.'))
        {
            return false;
        }
        previous = byte;
    }
    true
}

/// The paths that usual decoders make of `path`, the written one first: percent-encoding undone up to three times (invalid and overlong
/// UTF-8 as lenient decoders take it), `\` as `/`, `;` parameters dropped, empty segments merged or kept, dot segments resolved.
#[must_use]
pub(super) fn readings(path: &str) -> Vec<String> {
    let mut found = vec![path.to_owned()];
    let mut decoded = Cow::Borrowed(path);
    for _ in 0..=3 {
        for slashes in [decoded.clone(), Cow::Owned(decoded.replace('\\', "/"))] {
            // What stands behind an encoded `#` or `?` is no path to whoever decodes first and splits then.
            let cut = slashes.split(['#', '?']).next().unwrap_or_default();
            for text in [&*slashes, cut] {
                for text in [text.to_owned(), without_parameters(text)] {
                    for merge in [false, true] {
                        let text = resolve(&text, merge);
                        if !found.contains(&text) {
                            found.push(text);
                        }
                    }
                }
            }
        }
        let next = lenient_decode(&decoded);
        if next == *decoded {
            break;
        }
        decoded = Cow::Owned(next);
    }
    found
}

fn without_parameters(path: &str) -> String {
    path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect::<Vec<_>>().join("/")
}

/// Dot segments resolved (RFC 3986 §5.2.4); empty segments merged when `merge`.
fn resolve(path: &str, merge: bool) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let last = segments.len().saturating_sub(1);
    for (at, segment) in segments.into_iter().enumerate() {
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if at == last {
                    kept.push("");
                }
            }
            "" if merge && at != last => {}
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// Whether some decoder finds a `..` segment in `path`.
#[must_use]
pub(super) fn climbs(path: &str) -> bool {
    let mut decoded = Cow::Borrowed(path);
    (0..=3).any(|_| {
        let climbs = decoded.split(['/', '\\']).any(|segment| segment.split(';').next() == Some(".."));
        decoded = Cow::Owned(lenient_decode(&decoded));
        climbs
    })
}

/// Percent-decoding by a decoder that minds neither overlong forms (RFC 3629 §10: `C0 AE` is `.` to it) nor broken ones.
fn lenient_decode(text: &str) -> String {
    let mut bytes = percent_decode_str(text).peekable();
    let mut out = String::with_capacity(text.len());
    while let Some(first) = bytes.next() {
        let (mut code, continuations) = match first {
            0..=0x7f => (u32::from(first), 0),
            0xc0..=0xdf => (u32::from(first & 0x1f), 1),
            0xe0..=0xef => (u32::from(first & 0x0f), 2),
            0xf0..=0xf7 => (u32::from(first & 0x07), 3),
            0x80..=0xbf | 0xf8..=0xff => (u32::from(char::REPLACEMENT_CHARACTER), 0),
        };
        for _ in 0..continuations {
            match bytes.next_if(|byte| matches!(byte, 0x80..=0xbf)) {
                Some(byte) => code = code << 6 | u32::from(byte & 0x3f),
                None => {
                    code = u32::from(char::REPLACEMENT_CHARACTER);
                    break;
                }
            }
        }
        out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-026.
    #[test]
    fn a_target_that_means_nothing_is_refused() {
        for (path, answer) in [
            ("/", Ok(())),
            ("/a%2Fb//c;d", Ok(())),
            ("/a%zz", Err(BadTarget::Percent)),
            ("/%", Err(BadTarget::Percent)),
            ("/%2", Err(BadTarget::Percent)),
            ("/%00/x", Err(BadTarget::Nul)),
            ("*", Err(BadTarget::NotAPath)),
            ("", Err(BadTarget::NotAPath)),
        ] {
            assert_eq!(check(path), answer, "{path}");
        }
    }

    /// T-023: each of these is `/admin` to some decoder.
    #[test]
    fn every_spelling_of_a_path_is_among_its_readings() {
        for path in [
            "/public/../admin",
            "/public/%2e%2e/admin",
            "/public/..%2fadmin",
            "/public/%2e%2e%2fadmin",
            "/public//../../admin",
            "/public//../admin",
            "/public/..;/admin",
            "/public/..;x=y/admin",
            "/public/..\\admin",
            "/public/%5c..%5cadmin",
            "/public\\..\\admin",
            "/public/%252e%252e/admin",
            "/public/%25252e%25252e/admin",
            "/./admin",
            "//admin",
            "/%2fadmin",
            "/%61dmin",
            "/%2561dmin",
            "/public/%c0%ae%c0%ae/admin",
            "/public%c0%af../admin",
            "/public/%e0%80%ae%e0%80%ae/admin",
            "/public/%f0%80%80%ae%f0%80%80%ae/admin",
            "/public%e0%80%af../admin",
            "/admin%23/public",
            "/admin%3f/public",
            "/public/%23/../../admin",
        ] {
            assert!(!has_one_reading(path), "{path}");
            let readings = readings(path);
            assert!(readings.iter().any(|r| r == "/admin" || r.starts_with("/admin/")), "{path} reads {readings:?}");
        }
    }

    /// T-022.
    #[test]
    fn a_path_climbs_when_some_decoder_thinks_so() {
        for (path, climbs) in [
            ("/public/../x", true),
            ("/public/%23/../x", true),
            ("/public/..;a=b/x", true),
            ("/public\\..\\x", true),
            ("/public/%252e%252e", true),
            ("/public/%e0%80%ae.", true),
            ("/public/..x/...", false),
            ("/public/./x%20y", false),
            ("/caf%C3%A9/%ff%fe", false),
        ] {
            assert_eq!(super::climbs(path), climbs, "{path}");
        }
    }

    #[test]
    fn a_plain_path_has_one_reading() {
        for path in ["/", "/admin", "/a/b.c/d-e_f~g", "/app/", "/x.y/z", "/@user:me,you=1&2"] {
            assert!(has_one_reading(path), "{path}");
            assert_eq!(readings(path), [path]);
        }
    }
}
