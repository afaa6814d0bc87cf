//! Our cookies in other people's headers: found, set, cleared, kept from the application.
//!
//! * `__Host-` and `Secure` when browsers reach us over TLS; on plain http (loopback) neither would be stored.
//! * `SameSite=Lax`, except for the one cookie that has to come along when another site posts a form to us.
//! * What is not ours stays as it is, byte for byte: odd spacing, `;;`, duplicates, bytes outside ASCII.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header::COOKIE};
use memchr::memchr_iter;

use crate::origin::Origin;

/// How many cookies of one name are looked at: a browser sends one, or a few when another host of the domain set some too.
const TRIES: usize = 4;

/// How many cookies are ours.
const OURS: usize = 3;

/// One of our cookies.
pub(super) struct Cookie {
    name: &'static str,
    attributes: &'static str,
    cleared: HeaderValue,
}

impl Cookie {
    /// The one that is the session.
    pub(super) fn session(origin: &Origin) -> Self {
        Self::new(if origin.is_https() { "__Host-doorward" } else { "doorward" }, origin)
    }

    /// The one that logins under way are bound to.
    pub(super) fn login(origin: &Origin) -> Self {
        Self::new(if origin.is_https() { "__Host-doorward-login" } else { "doorward-login" }, origin)
    }

    /// The same for logins whose answer is a form that the provider's site posts. Browsers send none but `SameSite=None` with that (RFC 6265bis
    /// §5.6.7.1), and store such a one only over TLS: on plain http it is never set.
    pub(super) fn posted_login(origin: &Origin) -> Self {
        if origin.is_https() {
            Self::with("__Host-doorward-login-post", "; Path=/; Secure; HttpOnly; SameSite=None")
        } else {
            Self::new("doorward-login-post", origin)
        }
    }

    fn new(name: &'static str, origin: &Origin) -> Self {
        // `Lax`, not `Strict`: the provider sends the browser back to us from its own site.
        let attributes = if origin.is_https() {
            "; Path=/; Secure; HttpOnly; SameSite=Lax"
        } else {
            "; Path=/; HttpOnly; SameSite=Lax"
        };
        Self::with(name, attributes)
    }

    fn with(name: &'static str, attributes: &'static str) -> Self {
        Self { name, attributes, cleared: value(format!("{name}=; Max-Age=0{attributes}")) }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// What `headers` bring under this name, in order; of many, the first few.
    pub(super) fn values<'h>(&self, headers: &'h HeaderMap) -> impl Iterator<Item = &'h [u8]> {
        // HTTP/2 may split the field into several (RFC 9113 §8.2.3).
        headers
            .get_all(COOKIE)
            .into_iter()
            .flat_map(|header| segments(header.as_bytes()))
            .filter_map(|segment| self.value_in(segment))
            .take(TRIES)
    }

    /// The `Set-Cookie` that stores `value` for `max_age`.
    pub(super) fn set(&self, text: &str, max_age: Duration) -> HeaderValue {
        value(format!("{}={text}; Max-Age={}{}", self.name, max_age.as_secs(), self.attributes))
    }

    /// The `Set-Cookie` that removes it.
    pub(super) fn clear(&self) -> HeaderValue {
        self.cleared.clone()
    }

    /// The value, when `segment` of a `Cookie` field is this cookie.
    fn value_in<'s>(&self, segment: &'s [u8]) -> Option<&'s [u8]> {
        let rest = segment.trim_ascii_start().strip_prefix(self.name.as_bytes())?;
        Some(rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii())
    }
}

/// Takes `ours` out of `headers`; a field of which nothing is left goes.
pub(super) fn strip(headers: &mut HeaderMap, ours: [&Cookie; OURS]) {
    let mut is_one_empty = false;
    // Not `entry(COOKIE)`: that makes room for a new field first.
    for (_, value) in headers.iter_mut().filter(|(name, _)| *name == COOKIE) {
        if let Some(rest) = without(value, ours) {
            is_one_empty |= rest.is_empty();
            *value = rest;
        }
    }
    if !is_one_empty {
        return;
    }
    // Nearly always there is one field, and it held nothing but ours.
    let is_any_kept = headers.get_all(COOKIE).into_iter().any(|value| !value.is_empty());
    if is_any_kept {
        let kept: Vec<_> = headers.get_all(COOKIE).into_iter().filter(|value| !value.is_empty()).cloned().collect();
        headers.remove(COOKIE);
        for value in kept {
            headers.append(COOKIE, value);
        }
    } else {
        headers.remove(COOKIE);
    }
}

/// Whether `set_cookie`, which the application sends, would store one of `ours`.
pub(super) fn would_set(set_cookie: &HeaderValue, ours: [&Cookie; OURS]) -> bool {
    let pair = segments(set_cookie.as_bytes()).next().unwrap_or_default();
    // A cookie without a name is sent back as its value alone: `=doorward=x` returns as `doorward=x`.
    let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'=';
    let pair = pair.get(pair.iter().position(|byte| !blank(byte)).unwrap_or_default()..).unwrap_or_default();
    let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
    // In any case: names are case-sensitive, but browsers compare the `__Host-` prefix in any case.
    ours.iter().any(|cookie| name.eq_ignore_ascii_case(cookie.name.as_bytes()))
}

/// `value` without `ours`; `None` when none of them is in it. Empty when only separators would be left.
fn without(value: &HeaderValue, ours: [&Cookie; OURS]) -> Option<HeaderValue> {
    let is_ours = |segment: &&[u8]| ours.iter().any(|cookie| cookie.value_in(segment).is_some());
    let bytes = value.as_bytes();
    if !segments(bytes).any(|segment| is_ours(&segment)) {
        return None;
    }
    let mut rest = Vec::with_capacity(bytes.len());
    for (i, segment) in segments(bytes).filter(|segment| !is_ours(segment)).enumerate() {
        if i > 0 {
            rest.push(b';');
        }
        rest.extend_from_slice(segment);
    }
    // The space after a `;` whose cookie is gone; a field value never begins with one.
    let rest = if bytes.first().is_some_and(u8::is_ascii_whitespace) { &rest } else { rest.trim_ascii_start() };
    let nothing = rest.iter().all(|byte| *byte == b';' || byte.is_ascii_whitespace());
    // Parts of a field value, joined by `;`, are a field value; were they not, dropping them would be the safe answer.
    let rest = HeaderValue::from_bytes(if nothing { b"" } else { rest });
    let mut rest = rest.unwrap_or_else(|_| HeaderValue::from_static(""));
    rest.set_sensitive(value.is_sensitive());
    Some(rest)
}

/// What stands between the `;` of `field`.
fn segments(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr_iter(b';', field).chain([field.len()]);
    ends.scan(0, |start, end| {
        let segment = field.get(*start..end);
        *start = end + 1;
        segment
    })
}

fn value(text: String) -> HeaderValue {
    #[expect(clippy::expect_used, reason = "names, numbers and base64url are visible ASCII")]
    let mut value = HeaderValue::try_from(text).expect("visible ASCII");
    // Out of debug output and out of HPACK tables (RFC 7541 §7.1.3).
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ours(origin: &str) -> [Cookie; OURS] {
        let origin = Origin::parse(origin).unwrap();
        [Cookie::session(&origin), Cookie::login(&origin), Cookie::posted_login(&origin)]
    }

    fn https() -> [Cookie; OURS] {
        ours("https://app.example.com")
    }

    fn headers(fields: &[&[u8]]) -> HeaderMap {
        fields.iter().map(|field| (COOKIE, HeaderValue::from_bytes(field).unwrap())).collect()
    }

    fn fields(headers: &HeaderMap) -> Vec<&[u8]> {
        headers.get_all(COOKIE).into_iter().map(HeaderValue::as_bytes).collect()
    }

    #[test]
    fn attributes_are_as_strict_as_the_origin_allows() {
        let [session, login, posted] = https();
        let set = session.set("v", Duration::from_secs(60));
        assert_eq!(set, "__Host-doorward=v; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Lax");
        assert!(set.is_sensitive());
        assert_eq!(session.clear(), "__Host-doorward=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax");
        assert_eq!(login.clear(), "__Host-doorward-login=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax");
        let set = posted.set("v", Duration::from_secs(60));
        assert_eq!(set, "__Host-doorward-login-post=v; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=None");
        assert!(set.is_sensitive());

        let [session, login, posted] = ours("http://localhost:4180");
        assert_eq!(session.set("v", Duration::from_secs(60)), "doorward=v; Max-Age=60; Path=/; HttpOnly; SameSite=Lax");
        assert_eq!(login.clear(), "doorward-login=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax");
        assert_eq!(posted.clear(), "doorward-login-post=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let [session, ..] = https();
        for (field, found) in [
            ("__Host-doorward=v", vec!["v"]),
            ("a=1; __Host-doorward=v; b=2", vec!["v"]),
            ("a=1;__Host-doorward=v;b=2", vec!["v"]),
            ("\t__Host-doorward = v ;", vec!["v"]),
            ("__Host-doorward=v=w=", vec!["v=w="]),
            ("__Host-doorward=", vec![""]),
            ("__Host-doorward=1; __Host-doorward=2", vec!["1", "2"]),
            (
                "__Host-doorward=1; a; __Host-doorward=2;; __Host-doorward=3;__Host-doorward=4;__Host-doorward=5",
                vec!["1", "2", "3", "4"],
            ),
            ("", vec![]),
            (";;;", vec![]),
            ("=;=;=", vec![]),
            ("__Host-doorward", vec![]),
            ("__Host-doorward-login=v", vec![]),
            ("x__Host-doorward=v", vec![]),
            ("__host-doorward=v", vec![]),
            ("doorward=v", vec![]),
            ("a=__Host-doorward=v", vec![]),
        ] {
            let headers = headers(&[field.as_bytes()]);
            let values: Vec<_> = session.values(&headers).map(|value| std::str::from_utf8(value).unwrap()).collect();
            assert_eq!(values, found, "{field:?}");
        }
        let split = headers(&[b"a=1", b"__Host-doorward=1", b"b=2; __Host-doorward=2"]);
        assert_eq!(session.values(&split).collect::<Vec<_>>(), [b"1", b"2"]);
    }

    /// T-103.
    #[test]
    fn the_application_gets_every_cookie_but_ours() {
        const S: &str = "__Host-doorward=abc_-";
        const L: &str = "__Host-doorward-login=abc";
        const P: &str = "__Host-doorward-login-post=abc";
        for (before, after) in [
            (S.to_owned(), None),
            (format!("{S}; {L}"), None),
            (P.to_owned(), None),
            (format!("a=1; {P}; {L}; b=2;{P}"), Some("a=1; b=2")),
            (
                format!("x{P}; __Host-doorward-login-posted=1"),
                Some("x__Host-doorward-login-post=abc; __Host-doorward-login-posted=1"),
            ),
            (format!(";; {S} ; ;"), None),
            (format!("{S}; a=1"), Some("a=1")),
            (format!("a=1; {S}"), Some("a=1")),
            (format!("a=1; {S}; b=2"), Some("a=1; b=2")),
            (format!("a=1; {S}; {L}; b=2"), Some("a=1; b=2")),
            (format!("a=1;{S};b=2"), Some("a=1;b=2")),
            (format!("{S};  a = 1 ;;b; {L};=;  c=\"x y\";"), Some("a = 1 ;;b;=;  c=\"x y\";")),
            (format!("a=1; a=1; {S}; a=1"), Some("a=1; a=1; a=1")),
            (format!("a=caf\u{e9}; {S}; \u{1f980}=b"), Some("a=caf\u{e9}; \u{1f980}=b")),
            (format!("{S}; {S}x; x{S}"), Some("x__Host-doorward=abc_-")),
            ("doorward=mine; __host-doorward=x".to_owned(), Some("doorward=mine; __host-doorward=x")),
            (format!("a={S}"), Some("a=__Host-doorward=abc_-")),
            (" ;; a ".to_owned(), Some(" ;; a ")),
            (String::new(), Some("")),
        ] {
            let mut headers = headers(&[before.as_bytes()]);
            let [session, login, posted] = &https();
            strip(&mut headers, [session, login, posted]);
            let expected: Vec<_> = after.iter().map(|after| after.as_bytes()).collect();
            assert_eq!(fields(&headers), expected, "{before:?}");
        }
    }

    #[test]
    fn of_several_fields_only_the_emptied_go() {
        let [session, login, posted] = &https();
        let mut headers = headers(&[b"a=1", b"__Host-doorward=x", b"b=\xff; __Host-doorward-login=y", b"a=1"]);
        headers.insert("x-other", HeaderValue::from_static("stays"));
        strip(&mut headers, [session, login, posted]);
        assert_eq!(fields(&headers), [b"a=1".as_slice(), b"b=\xff", b"a=1"]);
        assert_eq!(headers["x-other"], "stays");
    }

    #[test]
    fn on_plain_http_the_short_names_are_ours() {
        let [session, login, posted] = &ours("http://localhost:4180");
        let mut headers =
            headers(&[b"doorward=x; __Host-doorward=y; doorward-login=z; doorward-login-post=v; doorward2=w"]);
        strip(&mut headers, [session, login, posted]);
        assert_eq!(fields(&headers), [b"__Host-doorward=y; doorward2=w"]);
    }

    /// T-017.
    #[test]
    fn an_application_cannot_set_our_cookies() {
        for (set_cookie, is_ours) in [
            ("__Host-doorward=evil; Path=/; Secure", true),
            ("__Host-doorward-login=evil", true),
            ("__Host-doorward-login-post=evil; SameSite=None", true),
            ("__Host-doorward-login-post2=theirs", false),
            ("  __Host-doorward  =evil", true),
            ("\t__HOST-Doorward\t=evil", true),
            ("__Host-doorward=", true),
            ("__Host-doorward", true),
            ("__Host-doorward; Max-Age=0", true),
            ("=__Host-doorward=evil", true),
            (" = = __Host-doorward=evil", true),
            ("__Host-doorward=; Max-Age=0", true),
            ("doorward=theirs", false),
            ("__Host-doorward2=theirs", false),
            ("x__Host-doorward=theirs", false),
            ("a=__Host-doorward=theirs", false),
            ("a=1; __Host-doorward=x", false),
            ("", false),
            ("=", false),
            (";", false),
        ] {
            let [session, login, posted] = &https();
            assert_eq!(
                would_set(&HeaderValue::from_static(set_cookie), [session, login, posted]),
                is_ours,
                "{set_cookie:?}"
            );
        }
        let [session, login, posted] = &ours("http://localhost:4180");
        for (set_cookie, is_ours) in [("doorward=evil", true), ("=DOORWARD-login=evil", true), ("door=theirs", false)] {
            assert_eq!(
                would_set(&HeaderValue::from_static(set_cookie), [session, login, posted]),
                is_ours,
                "{set_cookie:?}"
            );
        }
    }

    fn field() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just(b"__Host-doorward".to_vec()),
            Just(b"-login".to_vec()),
            Just(b"-post".to_vec()),
            Just(b"=".to_vec()),
            Just(b";".to_vec()),
            Just(b"; ".to_vec()),
            Just(b" ".to_vec()),
            Just(b"\t".to_vec()),
            Just(b"a".to_vec()),
            Just(b"\xe9".to_vec()),
        ];
        prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn whatever_comes_ours_go_and_the_others_stay(raw in prop::collection::vec(field(), 0..4)) {
            let [session, login, posted] = &https();
            let raw: Vec<_> = raw.iter().map(Vec::as_slice).collect();
            let before = headers(&raw);
            let mut after = before.clone();
            strip(&mut after, [session, login, posted]);
            let pairs = |headers: &HeaderMap| -> Vec<Vec<u8>> {
                let all = headers.get_all(COOKIE).into_iter().flat_map(|v| segments(v.as_bytes()));
                all.map(|segment| segment.trim_ascii().to_vec()).filter(|segment| !segment.is_empty()).collect()
            };
            let is_ours = |pair: &Vec<u8>| [session, login, posted].iter().any(|cookie| cookie.value_in(pair).is_some());
            prop_assert!(!pairs(&after).iter().any(is_ours));
            let expected: Vec<_> = pairs(&before).into_iter().filter(|pair| !is_ours(pair)).collect();
            prop_assert_eq!(pairs(&after), expected);
            if !pairs(&before).iter().any(is_ours) {
                prop_assert_eq!(fields(&before), fields(&after));
            }
            let _ = session.values(&before).count();
            for field in raw {
                would_set(&HeaderValue::from_bytes(field).unwrap(), [session, login, posted]);
            }
        }
    }
}
