//! A login under way: everything the callback needs travels sealed in the `state` parameter, so nothing is stored and any replica can finish it.
//!
//! * It finishes only in the browser that began it: one small cookie, shared by all tabs, holds a random secret. What is sealed names that
//!   secret, and PKCE verifier and nonce follow from it, so that not even we could finish a login without the cookie.
//! * The secret is not associated data of the seal on purpose. When several tabs begin at the same moment in a browser without the cookie,
//!   each answer sets another one and the last stays; the other tabs come back with a state that is genuine but bound to a secret that is gone.
//!   It still has to open, so that they can be sent where they wanted to go instead of to an error.
//! * Where a provider answers with a form that its own site posts, logins there have a cookie of their own, with another secret: it has to be
//!   `SameSite=None`, and everybody else's need not be.
//! * `state` is base64url and nothing else: there are providers that decode it once more than they should.

use std::{sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue};
use subtle::ConstantTimeEq;

use super::{
    CLOCK_LEEWAY, Settings,
    cookie::Cookie,
    record::{Reader, seconds},
    seal::{Id, Key, Ring, Unopened},
};
use crate::{
    clock::UnixTime,
    identity::ProviderTag,
    origin::{Origin, ReturnTo},
    remembered::Remembered,
    secret::{Secret, random},
};

const PURPOSE: &str = "doorward login v1";

/// States longer than 8 KiB are not even decoded; ours have at most 2.8.
const MAX_STATE_BYTES: usize = 6 * 1_024;

/// Used logins that are remembered at most, some 10 MB of them. Whoever can begin logins can fill it; then the provider still refuses a
/// code that comes twice (RFC 6749 §4.1.2).
pub(super) const MAX_USED: usize = 65_536;

/// Stands before the place that a check returns to; no such place begins with it.
const CHECK: u8 = 1;

/// What all tabs of a browser share; the value of the login cookie.
type BrowserSecret = Secret<Id>;

/// How a provider sends the browser back, which decides the cookie that a login there is bound by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnsBy {
    /// By a redirect, as nearly all do.
    Link,
    /// By a form that is posted from its site. On plain http no cookie comes along with that, so the one for links is set, and whoever gets the
    /// form has to make a link of it.
    Form,
}

/// Logins: began, and finished once.
pub(super) struct Logins {
    pub(super) cookie: Cookie,
    /// For [`ReturnsBy::Form`].
    pub(super) posted_cookie: Cookie,
    ring: Ring<MAX_STATE_BYTES>,
    timeout: Duration,
    origin: Origin,
    pub(super) used: Arc<Remembered>,
}

/// What the authorization request and the answer that redirects there need.
#[must_use]
pub struct StartedLogin {
    /// The `state` parameter.
    pub state: String,
    /// The `nonce` parameter.
    pub nonce: String,
    /// Whose S256 hash is the `code_challenge`.
    pub verifier: Secret<String>,
    /// Binds the login to this browser.
    pub set_cookie: HeaderValue,
}

/// A login that came back to the browser it was begun in.
#[must_use]
pub struct ResumedLogin {
    /// Where the browser wanted to go.
    pub return_to: ReturnTo,
    /// What the ID token has to repeat.
    pub nonce: String,
    /// For the token request.
    pub verifier: Secret<String>,
    /// When it was begun.
    pub started: UnixTime,
    /// Somebody was signed in already: the provider is only asked whether that still stands.
    pub is_check: bool,
    id: Id,
}

/// Why a `state` does not go on. None of the reasons needs the provider to be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginStateError {
    /// No state of ours is as long.
    #[error("the state is {0} characters long")]
    TooLong(usize),
    /// Absent, cut off, or not ours at all.
    #[error("the state is malformed")]
    Malformed,
    /// Tampered with, sealed with a key that is gone, or sealed for another gateway.
    #[error("the state does not open with any session key of this gateway")]
    DoesNotOpen,
    /// The browser sends no login cookie: it refuses cookies, or the login took longer than the cookie lives, or it began elsewhere.
    #[error("the browser sent no login cookie")]
    NoCookie {
        /// Where the login was meant to lead.
        return_to: ReturnTo,
    },
    /// The login was begun in another browser, or by several tabs at once in a browser that had no login cookie yet.
    #[error("the login was not begun with this browser's login cookie")]
    OtherBrowser {
        /// Where the login was meant to lead. Going there begins a new login, or finds that another tab has signed in.
        return_to: ReturnTo,
    },
    /// Another provider's answer (RFC 9700 §4.4).
    #[error("the login was begun at another provider")]
    OtherProvider,
    /// It took longer than `login_timeout`.
    #[error("the login was begun too long ago")]
    TooOld {
        /// Where the login was meant to lead.
        return_to: ReturnTo,
    },
    /// Begun later than now, by more than clocks differ.
    #[error("the login begins in the future")]
    FromTheFuture,
}

impl LoginStateError {
    /// Where the login was meant to lead, when it was a login of ours: there it can begin anew.
    #[must_use]
    pub fn return_to(&self) -> Option<&ReturnTo> {
        match self {
            Self::NoCookie { return_to } | Self::OtherBrowser { return_to } | Self::TooOld { return_to } => {
                Some(return_to)
            }
            Self::TooLong(_) | Self::Malformed | Self::DoesNotOpen | Self::OtherProvider | Self::FromTheFuture => None,
        }
    }
}

impl Logins {
    pub(super) fn new(settings: &Settings, used: Arc<Remembered>) -> Self {
        let cookie = Cookie::login(&settings.origin);
        Self {
            ring: Ring::new(&settings.keys, PURPOSE, cookie.name(), &settings.origin),
            cookie,
            posted_cookie: Cookie::posted_login(&settings.origin),
            timeout: settings.login_timeout,
            origin: settings.origin.clone(),
            used,
        }
    }

    pub(super) fn start(
        &self,
        headers: &HeaderMap,
        provider: ProviderTag,
        returns: ReturnsBy,
        return_to: &ReturnTo,
        is_check: bool,
        now: UnixTime,
    ) -> StartedLogin {
        let cookie = self.cookie_for(returns);
        // Kept when there is one, so that the tabs that are already at the provider can still come back.
        let browser = browsers(cookie, headers).next().unwrap_or_else(|| Secret::new(random()));
        let id: Id = random();
        let key = self.ring.newest();
        let derived = Derived::from(key, &id, &browser);
        let check: &[u8] = if is_check { &[CHECK] } else { &[] };
        let return_to = return_to.as_str().as_bytes();
        let record = [&provider.0, seconds(now).as_slice(), &derived.binding, check, return_to].concat();
        StartedLogin {
            state: self.ring.seal(&id, &record),
            nonce: derived.nonce,
            verifier: derived.verifier,
            set_cookie: cookie.set(&BASE64_URL_SAFE_NO_PAD.encode(browser.expose()), self.timeout),
        }
    }

    pub(super) fn resume(
        &self,
        headers: &HeaderMap,
        state: &str,
        provider: ProviderTag,
        returns: ReturnsBy,
        now: UnixTime,
    ) -> Result<ResumedLogin, LoginStateError> {
        let opened = self.ring.open(state.as_bytes()).map_err(|reason| match reason {
            Unopened::TooLong => LoginStateError::TooLong(state.len()),
            Unopened::Malformed => LoginStateError::Malformed,
            Unopened::Foreign => LoginStateError::DoesNotOpen,
        })?;
        let record = self.read(&opened.record).ok_or(LoginStateError::Malformed)?;
        let return_to = record.return_to;

        if record.provider != provider {
            return Err(LoginStateError::OtherProvider);
        }
        if record.started > now.plus(CLOCK_LEEWAY) {
            return Err(LoginStateError::FromTheFuture);
        }
        if now >= record.started.plus(self.timeout) {
            return Err(LoginStateError::TooOld { return_to });
        }
        let mut has_cookie = false;
        let derived = browsers(self.cookie_for(returns), headers)
            .map(|browser| Derived::from(opened.key, &opened.id, &browser))
            .find(|it| {
                has_cookie = true;
                it.binding.ct_eq(&record.binding).into()
            });
        match derived {
            Some(Derived { nonce, verifier, .. }) => {
                let Record { started, is_check, .. } = record;
                Ok(ResumedLogin { return_to, nonce, verifier, started, is_check, id: opened.id })
            }
            None if has_cookie => Err(LoginStateError::OtherBrowser { return_to }),
            None => Err(LoginStateError::NoCookie { return_to }),
        }
    }

    pub(super) fn use_once(&self, login: &ResumedLogin, now: UnixTime) -> bool {
        self.used.add(login.id, login.started.plus(self.timeout), now)
    }

    fn cookie_for(&self, returns: ReturnsBy) -> &Cookie {
        match returns {
            ReturnsBy::Form if self.origin.is_https() => &self.posted_cookie,
            ReturnsBy::Form | ReturnsBy::Link => &self.cookie,
        }
    }

    fn read(&self, record: &[u8]) -> Option<Record> {
        let mut rest = Reader(record);
        let provider = ProviderTag(rest.array()?);
        let started = rest.time()?;
        let binding = rest.array()?;
        // Ours, yet read as if a stranger had written it: the rules may have become stricter since it was sealed.
        let is_check = rest.0.first() == Some(&CHECK);
        let return_to = if is_check { rest.0.split_first()?.1 } else { rest.0 };
        let return_to = ReturnTo::parse(std::str::from_utf8(return_to).ok()?, &self.origin);
        Some(Record { provider, started, binding, is_check, return_to })
    }
}

/// The secrets in the well-formed cookies of the kind of `cookie` that `headers` bring.
fn browsers(cookie: &Cookie, headers: &HeaderMap) -> impl Iterator<Item = BrowserSecret> {
    cookie.values(headers).filter_map(|value| {
        let mut decoded = [0; 18];
        let length = BASE64_URL_SAFE_NO_PAD.decode_slice(value, &mut decoded).ok()?;
        decoded.get(..length)?.try_into().ok().map(Secret::new)
    })
}

/// What a state holds.
struct Record {
    provider: ProviderTag,
    started: UnixTime,
    binding: [u8; 16],
    is_check: bool,
    return_to: ReturnTo,
}

/// What follows from key, login and browser together, and is therefore not stored.
struct Derived {
    binding: [u8; 16],
    nonce: String,
    verifier: Secret<String>,
}

impl Derived {
    fn from(key: &Key, login: &Id, browser: &BrowserSecret) -> Self {
        let browser = browser.expose();
        Self {
            binding: key.derive("browser", login, browser),
            nonce: BASE64_URL_SAFE_NO_PAD.encode(key.derive::<16>("nonce", login, browser)),
            // RFC 7636 §4.1: 32 bytes make the 43 characters it recommends.
            verifier: Secret::new(BASE64_URL_SAFE_NO_PAD.encode(key.derive::<32>("verifier", login, browser))),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;
    use proptest::prelude::*;

    use super::{super::tests::settings, *};

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const A: ProviderTag = ProviderTag([1; 4]);
    const B: ProviderTag = ProviderTag([2; 4]);

    fn logins() -> Logins {
        Logins::new(&settings(), Arc::new(Remembered::new("used logins", MAX_USED)))
    }

    fn to(path: &str) -> ReturnTo {
        ReturnTo::parse(path, &settings().origin)
    }

    /// The request headers of a browser that stored `set_cookie`.
    fn with(set_cookie: &HeaderValue) -> HeaderMap {
        let pair = set_cookie.to_str().unwrap().split(';').next().unwrap();
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(pair).unwrap())])
    }

    fn error(result: Result<ResumedLogin, LoginStateError>) -> LoginStateError {
        result.err().expect("a refusal")
    }

    /// T-041, T-043, T-049, T-097.
    #[test]
    fn a_state_that_is_not_this_login_is_refused_and_says_why() {
        use LoginStateError as E;
        let logins = logins();
        let started = logins.start(&HeaderMap::new(), A, ReturnsBy::Link, &to("/deep?x=1"), false, NOW);
        let (browser, state) = (with(&started.set_cookie), started.state.as_str());
        let other_browser = with(&logins.start(&HeaderMap::new(), A, ReturnsBy::Link, &to("/"), false, NOW).set_cookie);
        let bad_cookie = |value: &str| {
            HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&format!("__Host-doorward-login={value}")).unwrap())])
        };
        let cookie_value = browser[COOKIE].to_str().unwrap().split_once('=').unwrap().1;
        let return_to = to("/deep?x=1");
        let later = |seconds| UnixTime(NOW.0 + seconds);
        for (headers, state, provider, now, answer) in [
            (&browser, "", A, NOW, E::Malformed),
            (&browser, "\0", A, NOW, E::Malformed),
            (&browser, &state[..48], A, NOW, E::DoesNotOpen),
            (&browser, &state[..20], A, NOW, E::Malformed),
            (&browser, &format!("{state}="), A, NOW, E::Malformed),
            (&browser, &format!("{state}AAAA"), A, NOW, E::DoesNotOpen),
            (&browser, &"A".repeat(8_192), A, NOW, E::Malformed),
            (&browser, &"A".repeat(8_193), A, NOW, E::TooLong(8_193)),
            (&browser, &"A".repeat(100_000), A, NOW, E::TooLong(100_000)),
            (&HeaderMap::new(), "", A, NOW, E::Malformed),
            (&HeaderMap::new(), state, A, NOW, E::NoCookie { return_to: return_to.clone() }),
            (&bad_cookie(""), state, A, NOW, E::NoCookie { return_to: return_to.clone() }),
            (&bad_cookie(&cookie_value[1..]), state, A, NOW, E::NoCookie { return_to: return_to.clone() }),
            (&bad_cookie(&"A".repeat(5_000)), state, A, NOW, E::NoCookie { return_to: return_to.clone() }),
            (&other_browser, state, A, NOW, E::OtherBrowser { return_to: return_to.clone() }),
            (&browser, state, B, NOW, E::OtherProvider),
            (&browser, state, A, later(600), E::TooOld { return_to: return_to.clone() }),
            (&browser, state, A, later(86_400), E::TooOld { return_to }),
            (&browser, state, A, UnixTime(NOW.0 - 61), E::FromTheFuture),
        ] {
            assert_eq!(
                error(logins.resume(headers, state, provider, ReturnsBy::Link, now)),
                answer,
                "{} at {now}",
                state.len()
            );
        }
        for now in [UnixTime(NOW.0 - 60), NOW, later(599)] {
            assert!(logins.resume(&browser, state, A, ReturnsBy::Link, now).is_ok(), "at {now}");
        }
    }

    #[test]
    fn a_login_comes_back_as_it_left() {
        let logins = logins();
        let started = logins.start(&HeaderMap::new(), A, ReturnsBy::Link, &to("/a/b?c=%2F&d"), false, NOW);
        let resumed = logins
            .resume(&with(&started.set_cookie), &started.state, A, ReturnsBy::Link, UnixTime(NOW.0 + 9))
            .ok()
            .unwrap();
        assert_eq!(resumed.return_to.as_str(), "/a/b?c=%2F&d");
        assert_eq!(resumed.nonce, started.nonce);
        assert_eq!(resumed.verifier.expose(), started.verifier.expose());
        assert_eq!(resumed.started, NOW);
    }

    /// T-130: the answer that another site posts brings a cookie of its own, and none but that counts for it.
    #[test]
    fn a_login_that_returns_by_a_form_has_its_own_cookie() {
        use ReturnsBy::{Form, Link};
        let logins = logins();
        let by_link = logins.start(&HeaderMap::new(), A, Link, &to("/x"), false, NOW);
        let by_form = logins.start(&with(&by_link.set_cookie), A, Form, &to("/x"), false, NOW);
        let text = by_form.set_cookie.to_str().unwrap();
        let (name, rest) = text.split_once('=').unwrap();
        assert_eq!(name, "__Host-doorward-login-post");
        assert_eq!(rest.len(), "; Max-Age=600; Path=/; Secure; HttpOnly; SameSite=None".len() + 22, "{text}");
        assert!(text.ends_with("; Max-Age=600; Path=/; Secure; HttpOnly; SameSite=None"), "{text}");

        // Both secrets under both names: no login opens with the other's, even where somebody renames a cookie.
        let value = |login: &StartedLogin| {
            with(&login.set_cookie)[COOKIE].to_str().unwrap().split_once('=').unwrap().1.to_owned()
        };
        let named = |name: &str, value: &str| {
            HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&format!("{name}={value}")).unwrap())])
        };
        let (link, form) = (value(&by_link), value(&by_form));
        for (login, returns, headers, ok) in [
            (&by_link, Link, named("__Host-doorward-login", &link), true),
            (&by_form, Form, named("__Host-doorward-login-post", &form), true),
            (&by_form, Form, named("__Host-doorward-login", &form), false),
            (&by_form, Form, named("__Host-doorward-login-post", &link), false),
            (&by_form, Link, named("__Host-doorward-login-post", &form), false),
            (&by_link, Form, named("__Host-doorward-login", &link), false),
            (&by_link, Link, named("__Host-doorward-login-post", &link), false),
        ] {
            let resumed = logins.resume(&headers, &login.state, A, returns, NOW);
            assert_eq!(resumed.is_ok(), ok, "{returns:?} {headers:?}");
        }
    }

    #[test]
    fn on_plain_http_a_form_has_the_cookie_of_links() {
        let origin = Origin::parse("http://localhost:4180").unwrap();
        let logins =
            Logins::new(&Settings { origin, ..settings() }, Arc::new(Remembered::new("used logins", MAX_USED)));
        let login = logins.start(&HeaderMap::new(), A, ReturnsBy::Form, &to("/x"), false, NOW);
        assert!(login.set_cookie.to_str().unwrap().starts_with("doorward-login="));
        assert!(logins.resume(&with(&login.set_cookie), &login.state, A, ReturnsBy::Form, NOW).is_ok());
    }

    /// T-100.
    #[test]
    fn parameters_are_base64url_and_nothing_else() {
        let logins = logins();
        let longest = to(&format!("/{}", "x".repeat(ReturnTo::MAX_BYTES - 1)));
        for return_to in [to("/"), to("/a?b=c&d=%20"), longest] {
            let started = logins.start(&HeaderMap::new(), A, ReturnsBy::Link, &return_to, false, NOW);
            let (nonce, verifier) = (started.nonce.as_str(), started.verifier.expose().as_str());
            for text in [started.state.as_str(), nonce, verifier] {
                assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{text}");
            }
            // RFC 7636 §4.1.
            assert_eq!((nonce.len(), verifier.len()), (22, 43));
            assert!(started.state.len() < 2_850, "{}", started.state.len());
            assert!(logins.resume(&with(&started.set_cookie), &started.state, A, ReturnsBy::Link, NOW).is_ok());
        }
        let set_cookie = logins.start(&HeaderMap::new(), A, ReturnsBy::Link, &to("/"), false, NOW).set_cookie;
        let (pair, attributes) = set_cookie.to_str().unwrap().split_once("; ").unwrap();
        assert_eq!(pair.len(), "__Host-doorward-login=".len() + 22);
        assert_eq!(attributes, "Max-Age=600; Path=/; Secure; HttpOnly; SameSite=Lax");
    }

    /// T-044.
    #[test]
    fn twenty_tabs_share_one_cookie_and_all_finish() {
        let logins = logins();
        let mut browser = HeaderMap::new();
        let mut tabs = Vec::new();
        for n in 0..20 {
            let started = logins.start(&browser, A, ReturnsBy::Link, &to(&format!("/tab/{n}")), false, NOW);
            browser = with(&started.set_cookie);
            tabs.push((n, started));
        }
        let secrets: std::collections::BTreeSet<_> =
            tabs.iter().map(|(_, tab)| tab.verifier.expose().as_str()).collect();
        let nonces: std::collections::BTreeSet<_> = tabs.iter().map(|(_, tab)| tab.nonce.as_str()).collect();
        assert_eq!((secrets.len(), nonces.len()), (20, 20), "no two logins share anything");
        for (n, tab) in tabs.iter().rev() {
            let resumed = logins.resume(&browser, &tab.state, A, ReturnsBy::Link, NOW).ok().unwrap();
            assert_eq!(resumed.return_to.as_str(), format!("/tab/{n}"));
            assert_eq!(resumed.verifier.expose(), tab.verifier.expose());
            assert!(logins.use_once(&resumed, NOW));
        }
    }

    /// T-044: a browser that restores its tabs has no cookie in any of the requests; the last answer wins.
    #[test]
    fn tabs_that_begin_at_once_still_know_where_they_wanted_to_go() {
        let logins = logins();
        let tabs: Vec<_> = (0..5)
            .map(|n| logins.start(&HeaderMap::new(), A, ReturnsBy::Link, &to(&format!("/tab/{n}")), false, NOW))
            .collect();
        let browser = with(&tabs[4].set_cookie);
        for (n, tab) in tabs.iter().enumerate() {
            let answer = logins.resume(&browser, &tab.state, A, ReturnsBy::Link, NOW);
            match answer {
                Ok(resumed) => assert_eq!((n, resumed.return_to.as_str()), (4, "/tab/4")),
                Err(error) => assert_eq!(error.return_to(), Some(&to(&format!("/tab/{n}")))),
            }
        }
    }

    /// Where another host of the domain could set a cookie of our name (plain http), the right one still counts.
    #[test]
    fn of_several_login_cookies_the_right_one_counts() {
        let logins = logins();
        let mine = logins.start(&HeaderMap::new(), A, ReturnsBy::Link, &to("/x"), false, NOW);
        let theirs = logins.start(&HeaderMap::new(), A, ReturnsBy::Link, &to("/"), false, NOW);
        let mut headers = with(&theirs.set_cookie);
        headers.append(COOKIE, with(&mine.set_cookie)[COOKIE].clone());
        assert!(logins.resume(&headers, &mine.state, A, ReturnsBy::Link, NOW).is_ok());
    }

    /// T-047.
    #[test]
    fn a_login_is_used_once() {
        let logins = logins();
        let started = logins.start(&HeaderMap::new(), A, ReturnsBy::Link, &to("/x"), false, NOW);
        let browser = with(&started.set_cookie);
        let first = logins.resume(&browser, &started.state, A, ReturnsBy::Link, NOW).ok().unwrap();
        assert!(logins.use_once(&first, NOW));
        let again = logins.resume(&browser, &started.state, A, ReturnsBy::Link, UnixTime(NOW.0 + 5)).ok().unwrap();
        assert!(!logins.use_once(&again, UnixTime(NOW.0 + 5)));
        assert_eq!(again.return_to, to("/x"), "the back button still leads somewhere");
    }

    /// T-049, T-055, T-077.
    #[test]
    fn a_login_survives_a_new_key_and_no_other_gateway() {
        let started = logins().start(&HeaderMap::new(), A, ReturnsBy::Link, &to("/x"), false, NOW);
        let browser = with(&started.set_cookie);
        let other = |change: fn(&mut Settings)| {
            let mut settings = settings();
            change(&mut settings);
            Logins::new(&settings, Arc::new(Remembered::new("used logins", MAX_USED)))
        };
        let rotated = other(|s| s.keys.insert(0, Secret::new([99; 32])));
        let resumed = rotated.resume(&browser, &started.state, A, ReturnsBy::Link, NOW).ok().unwrap();
        assert_eq!(resumed.verifier.expose(), started.verifier.expose());
        assert_eq!(resumed.nonce, started.nonce);

        for (why, gateway) in [
            ("the old key is gone", other(|s| s.keys = vec![Secret::new([99; 32])])),
            ("another host", other(|s| s.origin = Origin::parse("https://other.example.com").unwrap())),
            ("another port", other(|s| s.origin = Origin::parse("https://app.example.com:8443").unwrap())),
        ] {
            assert_eq!(
                error(gateway.resume(&browser, &started.state, A, ReturnsBy::Link, NOW)),
                LoginStateError::DoesNotOpen,
                "{why}"
            );
        }
    }

    /// T-049.
    #[test]
    fn every_changed_bit_is_noticed() {
        let logins = logins();
        let started = logins.start(&HeaderMap::new(), A, ReturnsBy::Link, &to("/x"), false, NOW);
        let browser = with(&started.set_cookie);
        for at in 0..started.state.len() {
            for bit in 0..7 {
                let mut state = started.state.clone().into_bytes();
                state[at] ^= 1 << bit;
                let state = String::from_utf8(state).unwrap();
                assert!(
                    logins.resume(&browser, &state, A, ReturnsBy::Link, NOW).is_err(),
                    "bit {bit} of character {at}"
                );
            }
        }
        let value = browser[COOKIE].to_str().unwrap().to_owned();
        let name = "__Host-doorward-login=".len();
        for at in name..value.len() {
            for bit in 0..7 {
                let mut changed = value.clone().into_bytes();
                changed[at] ^= 1 << bit;
                let Ok(changed) = HeaderValue::from_bytes(&changed) else { continue };
                let headers = HeaderMap::from_iter([(COOKIE, changed)]);
                assert!(
                    logins.resume(&headers, &started.state, A, ReturnsBy::Link, NOW).is_err(),
                    "bit {bit} of character {at}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn no_state_and_no_cookie_makes_it_panic(state in "[A-Za-z0-9_-]{0,200}|.{0,50}", cookie in "[A-Za-z0-9_-]{0,40}") {
            let headers = HeaderMap::from_iter([(
                COOKIE,
                HeaderValue::from_str(&format!("__Host-doorward-login={cookie}")).unwrap(),
            )]);
            prop_assert!(logins().resume(&headers, &state, A, ReturnsBy::Link, NOW).is_err());
        }
    }
}
