//! Where a link or a form of ours may lead: a path on our own origin.

use minijinja::{HtmlEscape, Value};
use url::form_urlencoded;

use crate::origin::ReturnTo;

/// A path with or without a query, never anything a browser takes for another origin or for a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Href(String);

/// Why a text cannot be a link on a page of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHref {
    /// It does not begin with exactly one slash.
    #[error("it is not a path on this origin")]
    NotAPath,
    /// A space, a backslash, a `#`, a control character, or anything outside ASCII.
    #[error("it holds a character that does not belong into a path or query")]
    Character,
}

impl Href {
    /// Accepts `/path` and `/path?query`, percent-encoded where it has to be.
    ///
    /// # Errors
    /// [`InvalidHref`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidHref> {
        // To a browser `\` is `/`, and tabs and line breaks are not there (WHATWG URL, basic URL parser): `/\evil` and
        // `/<tab>/evil` are `//evil`. The first is caught here, the second by the characters.
        if !text.starts_with('/') || text.starts_with("//") {
            return Err(InvalidHref::NotAPath);
        }
        let ok = |b: u8| b.is_ascii_graphic() && !matches!(b, b'\\' | b'#');
        if !text.bytes().all(ok) {
            return Err(InvalidHref::Character);
        }
        Ok(Self(text.to_owned()))
    }

    /// The same with one more parameter in its query, whatever `value` holds.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        let query = self.0.find('?').map_or_else(
            || {
                self.0.push('?');
                self.0.len()
            },
            |mark| mark + 1,
        );
        self.0 = form_urlencoded::Serializer::for_suffix(self.0, query).append_pair(key, value).finish();
        self
    }

    /// The path and query.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Escaped for an attribute in double quotes. The slashes stay as they are, for those who read the source.
    pub(super) fn in_html(&self) -> Value {
        Value::from_safe_string(HtmlEscape(&self.0).to_string().replace("&#x2f;", "/"))
    }
}

impl From<&ReturnTo> for Href {
    /// A [`ReturnTo`] keeps the same promise already.
    fn from(target: &ReturnTo) -> Self {
        Self(target.as_str().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::origin::Origin;

    #[test]
    fn a_link_stays_on_our_origin_or_is_none() {
        use InvalidHref as E;
        for (text, answer) in [
            ("", Err(E::NotAPath)),
            ("login", Err(E::NotAPath)),
            ("javascript:alert(1)", Err(E::NotAPath)),
            ("JAVASCRIPT:alert(1)", Err(E::NotAPath)),
            (" javascript:alert(1)", Err(E::NotAPath)),
            ("data:text/html,x", Err(E::NotAPath)),
            ("https://evil.com/", Err(E::NotAPath)),
            ("//evil.com", Err(E::NotAPath)),
            ("///evil.com", Err(E::NotAPath)),
            ("\\/evil.com", Err(E::NotAPath)),
            ("/\\evil.com", Err(E::Character)),
            ("/\t/evil.com", Err(E::Character)),
            ("/\n/evil.com", Err(E::Character)),
            ("/\0", Err(E::Character)),
            ("/a b", Err(E::Character)),
            ("/a#b", Err(E::Character)),
            ("/caf\u{e9}", Err(E::Character)),
            ("/", Ok(())),
            ("/_auth/login?rd=%2Fa%3Fb&provider=google", Ok(())),
            ("/a/;b='c'\"<d>", Ok(())),
            ("/.//evil.com", Ok(())),
            ("/..//evil.com", Ok(())),
            ("/@evil.com", Ok(())),
        ] {
            assert_eq!(Href::parse(text).map(|_| ()), answer, "{text:?}");
            if answer.is_ok() {
                let home = Url::parse("https://app.example.com/x/y").unwrap();
                assert_eq!(home.join(text).unwrap().origin(), home.origin(), "{text:?} as a browser reads it");
            }
        }
    }

    #[test]
    fn a_parameter_is_encoded_whatever_it_holds() {
        let href = Href::parse("/_auth/login").unwrap().with("provider", "google").with("rd", "/a?b=c&d=\"é#\\");
        assert_eq!(href.as_str(), "/_auth/login?provider=google&rd=%2Fa%3Fb%3Dc%26d%3D%22%C3%A9%23%5C");
        assert_eq!(Href::parse(href.as_str()), Ok(href));
        assert_eq!(Href::parse("/?").unwrap().with("a", "").as_str(), "/?a=");
    }

    #[test]
    fn an_attribute_cannot_be_left() {
        let href = Href::parse("/a?b=\"><script>&c='&#x2f;").err();
        assert_eq!(href, Some(InvalidHref::Character), "`#` is no part of it");
        let href = Href::parse("/a?b=\"><script>&c='&amp;").unwrap();
        assert_eq!(href.in_html().to_string(), "/a?b=&quot;&gt;&lt;script&gt;&amp;c=&#x27;&amp;amp;");
    }

    #[test]
    fn every_return_target_is_a_link() {
        let home = Origin::parse("https://app.example.com").unwrap();
        for asked in ["/", "/a/b?c=d&e=%2F", "//evil", "/\\evil", "/x#y", "/a;b=c/@me?\"<>"] {
            let target = ReturnTo::parse(asked, &home);
            assert_eq!(Href::parse(target.as_str()), Ok(Href::from(&target)), "{asked}");
        }
    }
}
