//! Our own public origin, and targets on it: the only places a browser is ever sent back to.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// The origin browsers use for us: `https://app.example.com`, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    url: Url,
    text: Box<str>,
}

/// Why a text is not an origin.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrigin {
    /// Not an absolute URL.
    #[error("it is not a URL such as https://app.example.com ({0})")]
    NotAUrl(#[from] url::ParseError),
    /// Neither `https` nor `http`.
    #[error("its scheme is `{0}`; https is needed (http on loopback only)")]
    Scheme(String),
    /// A path, a query, a fragment or credentials.
    #[error("it has more than scheme, host and port")]
    MoreThanAnOrigin,
}

impl Origin {
    /// Accepts `scheme://host[:port]`, with or without the closing slash.
    ///
    /// # Errors
    /// [`InvalidOrigin`] names the part that does not belong.
    pub fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        let url = Url::parse(text)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidOrigin::Scheme(url.scheme().to_owned()));
        }
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidOrigin::MoreThanAnOrigin);
        }
        let text = url.origin().ascii_serialization().into();
        Ok(Self { url, text })
    }

    /// `https://app.example.com`, without a closing slash, the default port left out.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether browsers reach us over TLS, so that cookies can be `Secure` and carry `__Host-`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether the host is this machine: `localhost`, `*.localhost`, `127.0.0.0/8` or `[::1]`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }

    /// The host in lower case, without the port.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The port, the scheme's own when none is written.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or_default()
    }

    /// The URL of `path` (which begins with `/`) on this origin.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether `url` points at this machine.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// A path and query on our own origin, safe to put into `Location`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// The longest target that is kept, in bytes: it travels in the `state` parameter. Longer ones end at `/`.
    pub const MAX_BYTES: usize = 2_048;

    /// Where `asked` leads when it stays on `home`; `/` for everything else.
    ///
    /// Compared as browsers read it (WHATWG URL: `\` is `/`, tabs and line breaks vanish), once as written and once more
    /// with percent-encoding undone, because something behind us may undo it too.
    #[must_use]
    pub fn parse(asked: &str, home: &Origin) -> Self {
        Self::on(asked, home).unwrap_or_else(Self::root)
    }

    /// `/`.
    #[must_use]
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// The path and query, which begins with exactly one `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn on(asked: &str, home: &Origin) -> Option<Self> {
        let path_query = match asked.strip_prefix(home.as_str()) {
            Some("") => "/",
            Some(rest) => rest,
            None => asked,
        };
        if !path_query.starts_with('/')
            || path_query.len() > Self::MAX_BYTES
            || path_query.chars().any(char::is_control)
        {
            return None;
        }
        // Undone until nothing changes: `%255c` is a backslash to whoever decodes twice.
        let mut reading = path_query.to_owned();
        for _ in 0..4 {
            stays(&reading, home)?;
            let decoded = percent_decode_str(&reading).decode_utf8().ok()?.into_owned();
            if decoded == reading {
                break;
            }
            reading = decoded;
        }
        // The fragment never reaches a server; a Location without one keeps the browser's own (RFC 9110 §10.2.2).
        let sent = path_query.split('#').next().unwrap_or("/");
        sent.bytes().all(|b| b.is_ascii_graphic()).then(|| Self(sent.to_owned()))
    }
}

/// `target`, read as a browser reads it, begins with one slash and stays on `home`.
fn stays(target: &str, home: &Origin) -> Option<()> {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let mut bytes = path.bytes();
    let one_slash = bytes.next() == Some(b'/') && !matches!(bytes.next(), Some(b'/' | b'\\'));
    // A backslash or a control character has no business in a path of ours; after decoding it is somebody's trick.
    let plain = !path.contains('\\') && !path.chars().any(char::is_control);
    let url = home.url.join(target).ok()?;
    (one_slash && plain && url.origin() == home.url.origin()).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Origin {
        Origin::parse("https://app.example.com").unwrap()
    }

    #[test]
    fn an_origin_has_nothing_behind_the_port() {
        for (text, ok) in [
            ("https://app.example.com", true),
            ("https://app.example.com/", true),
            ("http://127.0.0.1:4180", true),
            ("https://app.example.com/x", false),
            ("https://app.example.com?x", false),
            ("https://user@app.example.com", false),
            ("ftp://app.example.com", false),
            ("app.example.com", false),
        ] {
            assert_eq!(Origin::parse(text).is_ok(), ok, "{text}");
        }
        assert_eq!(Origin::parse("https://APP.example.com:443/").unwrap().as_str(), "https://app.example.com");
    }

    #[test]
    fn loopback_is_this_machine() {
        for (text, loopback) in [
            ("http://localhost", true),
            ("http://app.localhost:80", true),
            ("http://127.8.8.8", true),
            ("http://[::1]:4180", true),
            ("http://localhost.evil.com", false),
            ("http://10.0.0.1", false),
            ("http://0.0.0.0", false),
        ] {
            assert_eq!(Origin::parse(text).unwrap().is_loopback(), loopback, "{text}");
        }
    }

    #[test]
    fn a_target_on_our_own_origin_is_kept_as_it_is() {
        for asked in
            ["/", "/a/b?c=d&e=%2F", "/app//double", "/x?next=https://other.example/", "/caf%C3%A9", "/a;b=c/@me", "/x?"]
        {
            assert_eq!(ReturnTo::parse(asked, &home()).as_str(), asked);
        }
        assert_eq!(ReturnTo::parse("https://app.example.com/deep?x=1", &home()).as_str(), "/deep?x=1");
        assert_eq!(ReturnTo::parse("https://app.example.com", &home()).as_str(), "/");
        assert_eq!(ReturnTo::parse("/page#part", &home()).as_str(), "/page");
    }

    /// T-061, T-062, T-064, T-065.
    #[test]
    fn every_other_target_ends_at_the_root() {
        for asked in [
            "https://evil.com",
            "http:evil.com",
            "https:evil.com",
            "//evil.com",
            "///evil.com",
            "////evil",
            "/\\evil.com",
            "\\/evil.com",
            "\\\\evil",
            "/%5cevil.com",
            "/%5Cevil.com",
            "/%2fevil.com",
            "/%2f%2fevil.com",
            "/%255cevil.com",
            "/%25252fevil.com",
            "/\t/evil.com",
            "/%09/evil.com",
            "/%0a/evil.com",
            "/\n/evil",
            " //evil.com",
            "https://app.example.com.evil.com",
            "https://evilexample.com",
            "https://app.example.com:8443",
            "https://app.example.com:8443/x",
            "https://app.example.com@evil.com",
            "https://evil.com#@app.example.com",
            "https://app.example.com%00.evil.com",
            "https://app.example.com\\@evil.com",
            "https://[::1]",
            "https://2130706433",
            "https://0177.0.0.1",
            "javascript:alert(1)",
            "data:text/html,x",
            "evil",
            "",
            "/x\r\nSet-Cookie: a=b",
            "/%00",
            "/%c0%ae%c0%ae/",
            "/a\\b",
            "/caf\u{e9}",
        ] {
            assert_eq!(ReturnTo::parse(asked, &home()).as_str(), "/", "{asked:?}");
        }
        assert_eq!(ReturnTo::parse(&format!("/{}", "x".repeat(4_000)), &home()).as_str(), "/");
    }
}
