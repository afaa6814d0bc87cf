use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::header::COOKIE;
use proptest::prelude::*;

use super::*;
use crate::identity::{ClaimValue, Claims, UserId};

const T0: UnixTime = UnixTime(1_800_000_000);
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

pub(super) fn settings() -> Settings {
    Settings {
        keys: vec![Secret::new([1; 32])],
        max_age: Duration::from_secs(12 * HOUR),
        idle_timeout: Duration::from_secs(HOUR),
        login_timeout: Duration::from_secs(10 * MINUTE),
        origin: Origin::parse("https://app.example.com").unwrap(),
        revocations: 100,
        revalidate: Duration::from_secs(5 * MINUTE),
        outage_grace: Duration::from_secs(HOUR),
        cut_off_grace: Duration::from_secs(HOUR),
        per_user: 0,
        keeps_access_tokens: false,
        store: store::Settings::Memory { bytes: 1 << 20 },
    }
}

fn sessions(change: impl FnOnce(&mut Settings)) -> Sessions {
    let mut settings = settings();
    change(&mut settings);
    Sessions::new(&settings, Clock::stopped(T0))
}

pub(super) fn session(user: &str) -> Session {
    Session {
        id: SessionId::random(),
        identity: Identity { user: UserId::parse(user).unwrap(), claims: Claims::new() },
        provider: ProviderTag([1; 4]),
        subject: SubjectTag([2; 8]),
        provider_session: Some(ProviderSessionTag([3; 8])),
        signed_in: T0,
        seen: T0,
        due: None,
        record: None,
        refreshes: false,
        has_stored_claims: false,
    }
}

fn with_claims(session: Session, claims: Claims) -> Session {
    Session { identity: Identity { claims, ..session.identity }, ..session }
}

fn groups(count: usize, bytes: usize) -> Claims {
    let values = (0..count).map(|n| format!("{n:0>bytes$}").into_boxed_str()).collect();
    Claims::from([("groups".into(), ClaimValue::Many(values))])
}

fn at(seconds: u64) -> UnixTime {
    UnixTime(T0.0 + seconds)
}

/// `name=value` of a `Set-Cookie`.
fn pair(set_cookie: &HeaderValue) -> String {
    set_cookie.to_str().unwrap().split(';').next().unwrap().to_owned()
}

fn value(sessions: &Sessions, session: &Session) -> String {
    pair(&sessions.seal(session).unwrap()).split_once('=').unwrap().1.to_owned()
}

fn brings(cookie: &str) -> HeaderMap {
    HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(cookie).unwrap())])
}

/// What a request with the session cookie `value` finds.
fn found(sessions: &Sessions, value: &str, now: UnixTime) -> Option<Session> {
    sessions.find(&brings(&format!("{}={value}", sessions.cookie_name())), now)
}

/// T-071.
#[test]
fn every_changed_bit_ends_the_session() {
    let sessions = sessions(|_| ());
    let good = value(&sessions, &session("alice"));
    assert!(found(&sessions, &good, T0).is_some());
    let sealed = BASE64_URL_SAFE_NO_PAD.decode(&good).unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(found(&sessions, &BASE64_URL_SAFE_NO_PAD.encode(changed), T0), None, "bit {bit}");
    }
    // The same in the text, where the last character has bits that stand for nothing.
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut changed = good.clone().into_bytes();
            changed[at] ^= 1 << bit;
            let Ok(changed) = HeaderValue::from_bytes(&[b"__Host-doorward=", changed.as_slice()].concat()) else {
                continue;
            };
            let headers = HeaderMap::from_iter([(COOKIE, changed)]);
            assert_eq!(sessions.find(&headers, T0), None, "bit {bit} of character {at}");
        }
    }
}

/// T-071.
#[test]
fn a_cut_or_lengthened_cookie_is_no_session() {
    let sessions = sessions(|_| ());
    let good = value(&sessions, &session("alice"));
    for end in 0..good.len() {
        assert_eq!(found(&sessions, &good[..end], T0), None, "{end} characters");
    }
    for tail in ["A", "AA", "AAAA", "=", "==", "%3D", "\"", "."] {
        assert_eq!(found(&sessions, &format!("{good}{tail}"), T0), None, "{tail}");
    }
    assert_eq!(found(&sessions, &"A".repeat(100_000), T0), None);
}

/// T-073.
#[test]
fn bytes_cannot_change_places() {
    let sessions = sessions(|_| ());
    let good = value(&sessions, &session("alice"));
    let sealed = BASE64_URL_SAFE_NO_PAD.decode(&good).unwrap();
    for one in 0..sealed.len() {
        for other in one + 1..sealed.len() {
            let mut changed = sealed.clone();
            changed.swap(one, other);
            if changed != sealed {
                assert_eq!(found(&sessions, &BASE64_URL_SAFE_NO_PAD.encode(changed), T0), None, "{one} and {other}");
            }
        }
    }
}

/// T-052, T-056, T-073.
#[test]
fn two_sessions_cannot_be_mixed() {
    let sessions = sessions(|_| ());
    let (alice, admin) = (session("alice"), session("admin"));
    assert_ne!(alice.id, admin.id);
    let sealed = [&alice, &admin].map(|s| BASE64_URL_SAFE_NO_PAD.decode(value(&sessions, s)).unwrap());
    for at in 1..sealed[0].len() {
        let mixed = [&sealed[0][..at], &sealed[1][at..]].concat();
        let other = [&sealed[1][..at], &sealed[0][at..]].concat();
        for mixed in [mixed, other] {
            if !sealed.contains(&mixed) {
                assert_eq!(found(&sessions, &BASE64_URL_SAFE_NO_PAD.encode(mixed), T0), None, "cut at {at}");
            }
        }
    }
    for (own, sealed) in [alice, admin].iter().zip(&sealed) {
        assert_eq!(found(&sessions, &BASE64_URL_SAFE_NO_PAD.encode(sealed), T0).as_ref(), Some(own));
    }
}

/// T-056.
#[tokio::test]
async fn the_same_user_twice_is_two_sessions() {
    let sessions = sessions(|_| ());
    let (laptop, phone) = (session("alice"), session("alice"));
    let (on_laptop, on_phone) = (value(&sessions, &laptop), value(&sessions, &phone));
    assert_ne!(on_laptop, on_phone);
    let _told = sessions.end(&laptop).await;
    assert_eq!(found(&sessions, &on_laptop, T0), None);
    assert_eq!(found(&sessions, &on_phone, T0), Some(phone));
}

/// T-074.
#[test]
fn a_session_is_no_login_and_a_login_is_no_session() {
    let sessions = sessions(|_| ());
    let sealed = value(&sessions, &session("alice"));
    let login =
        sessions.start_login(&HeaderMap::new(), ProviderTag([1; 4]), ReturnsBy::Link, &ReturnTo::root(), false, T0);
    let browser = pair(&login.set_cookie);
    let secret = browser.split_once('=').unwrap().1;
    assert_eq!(found(&sessions, &login.state, T0), None, "a state as session cookie");
    assert_eq!(found(&sessions, secret, T0), None, "a login cookie as session cookie");
    let as_state = sessions.resume_login(&brings(&browser), &sealed, ProviderTag([1; 4]), ReturnsBy::Link, T0);
    assert_eq!(as_state.err(), Some(LoginStateError::DoesNotOpen), "a session cookie as state");
    let as_login_cookie = brings(&format!("{}={sealed}", sessions.login_cookie_name()));
    let resumed = sessions.resume_login(&as_login_cookie, &login.state, ProviderTag([1; 4]), ReturnsBy::Link, T0);
    assert_eq!(resumed.err(), Some(LoginStateError::NoCookie { return_to: ReturnTo::root() }));
    assert_eq!(sessions.find(&as_login_cookie, T0), None);
}

/// T-055, T-077.
#[test]
fn a_session_counts_at_one_gateway_and_as_long_as_its_key() {
    let old = value(&sessions(|_| ()), &session("alice"));
    let origin = |text| move |s: &mut Settings| s.origin = Origin::parse(text).unwrap();
    for (why, gateway, counts) in [
        ("the same", sessions(|_| ()), true),
        ("a new key first", sessions(|s| s.keys.insert(0, Secret::new([2; 32]))), true),
        ("a new key last", sessions(|s| s.keys.push(Secret::new([2; 32]))), true),
        ("the old key removed", sessions(|s| s.keys = vec![Secret::new([2; 32])]), false),
        ("another host", sessions(origin("https://other.example.com")), false),
        ("another port", sessions(origin("https://app.example.com:8443")), false),
        ("without TLS", sessions(origin("http://app.example.com")), false),
    ] {
        assert_eq!(found(&gateway, &old, T0).is_some(), counts, "{why}");
    }
}

/// T-077.
#[test]
fn a_renewal_moves_a_session_to_the_new_key() {
    let before = sessions(|_| ());
    let both = sessions(|s| s.keys.insert(0, Secret::new([2; 32])));
    let after = sessions(|s| s.keys = vec![Secret::new([2; 32])]);
    let old = value(&before, &session("alice"));
    let session = found(&both, &old, T0).unwrap();
    let new = value(&both, &both.renewed(&session, at(MINUTE)));
    assert_eq!(found(&after, &old, at(MINUTE)), None);
    assert_eq!(found(&after, &new, at(MINUTE)).unwrap().identity.user.as_str(), "alice");
}

/// T-059.
#[test]
fn a_session_ends_on_the_second() {
    let (max, idle) = (12 * HOUR, HOUR);
    for (signed_in, seen, now, alive) in [
        (0, 0, 0, true),
        (0, 0, idle - 1, true),
        (0, 0, idle, false),
        (0, idle, 2 * idle - 1, true),
        (0, idle, 2 * idle, false),
        (0, max - 1, max - 1, true),
        (0, max - 1, max, false),
        (0, max + 10, max + 10, false),
        (0, 0, 100 * max, false),
    ] {
        let sessions = sessions(|_| ());
        let sealed = value(&sessions, &Session { signed_in: at(signed_in), seen: at(seen), ..session("alice") });
        assert_eq!(found(&sessions, &sealed, at(now)).is_some(), alive, "in {signed_in}, seen {seen}, now {now}");
    }
}

/// T-059.
#[test]
fn a_session_from_the_future_counts_within_the_leeway() {
    let sessions = sessions(|_| ());
    for (signed_in, seen, alive) in
        [(60, 60, true), (61, 61, false), (0, 60, true), (0, 61, false), (61, 0, false), (1_000_000, 0, false)]
    {
        let sealed = value(&sessions, &Session { signed_in: at(signed_in), seen: at(seen), ..session("alice") });
        assert_eq!(found(&sessions, &sealed, T0).is_some(), alive, "in {signed_in}, seen {seen}");
    }
}

/// T-059.
#[test]
fn dates_beyond_2038_count_and_beyond_2106_end() {
    let sessions = sessions(|_| ());
    for (now, alive) in [(1 << 31, true), (3_000_000_000, true), (u64::from(u32::MAX), true), (1 << 33, false)] {
        let now = UnixTime(now);
        let sealed = value(&sessions, &Session { signed_in: now, seen: now, ..session("alice") });
        assert_eq!(found(&sessions, &sealed, now).is_some(), alive, "{now}");
    }
}

/// T-059.
#[test]
fn a_shorter_lifetime_holds_at_once() {
    let sealed = value(&sessions(|_| ()), &session("alice"));
    let short_age = sessions(|s| s.max_age = Duration::from_secs(10 * MINUTE));
    let short_idle = sessions(|s| s.idle_timeout = Duration::from_secs(10 * MINUTE));
    for gateway in [short_age, short_idle] {
        assert!(found(&gateway, &sealed, at(10 * MINUTE - 1)).is_some());
        assert!(found(&gateway, &sealed, at(10 * MINUTE)).is_none());
    }
}

#[test]
fn a_session_is_due_after_a_tenth_of_the_idle_time() {
    for (idle, since, is_due) in
        [(HOUR, 0, false), (HOUR, 6 * MINUTE - 1, false), (HOUR, 6 * MINUTE, true), (5, 0, false), (5, 1, true)]
    {
        let sessions = sessions(|s| s.idle_timeout = Duration::from_secs(idle));
        assert_eq!(sessions.is_due(&session("alice"), at(since)), is_due, "idle {idle}, {since} later");
    }
    let sessions = sessions(|_| ());
    assert!(!sessions.is_due(&session("alice"), UnixTime(T0.0 - 30)));
}

#[test]
fn a_renewal_changes_the_time_and_nothing_else() {
    let sessions = sessions(|_| ());
    let before = with_claims(session("alice"), groups(3, 8));
    let after = sessions.renewed(&before, at(HOUR));
    assert_eq!(after, Session { seen: at(HOUR), ..before });
    assert_eq!(sessions.renewed(&after, at(HOUR - 30)).seen, at(HOUR), "never backwards");
    assert_eq!(found(&sessions, &value(&sessions, &after), at(2 * HOUR - 1)), Some(after));
}

#[test]
fn the_browser_keeps_the_cookie_until_the_absolute_end() {
    let sessions = sessions(|_| ());
    for (seen, max_age) in [(0, 12 * HOUR), (HOUR, 11 * HOUR), (12 * HOUR, 0)] {
        let set_cookie = sessions.seal(&Session { seen: at(seen), ..session("alice") }).unwrap();
        let (pair, attributes) = set_cookie.to_str().unwrap().split_once("; ").unwrap();
        assert!(pair.starts_with("__Host-doorward="), "{pair}");
        assert_eq!(attributes, format!("Max-Age={max_age}; Path=/; Secure; HttpOnly; SameSite=Lax"));
    }
}

#[test]
fn of_several_cookies_the_first_that_is_a_session_counts() {
    let sessions = sessions(|_| ());
    let [alice, bob] = ["alice", "bob"].map(|user| pair(&sessions.seal(&session(user)).unwrap()));
    let ended = pair(&sessions.seal(&Session { seen: UnixTime(T0.0 - HOUR), ..session("carol") }).unwrap());
    let bad = "__Host-doorward=forged";
    for (cookies, user) in [
        (vec![&*alice, &bob], Some("alice")),
        (vec![&bob, &alice], Some("bob")),
        (vec![bad, &alice], Some("alice")),
        (vec![&ended, &alice], Some("alice")),
        (vec![bad, bad, bad, &alice], Some("alice")),
        (vec![bad, bad, bad, bad, &alice], None),
        (vec!["a=1", "b=2", "c=3", "d=4", &alice], Some("alice")),
    ] {
        let found = sessions.find(&brings(&cookies.join("; ")), T0);
        assert_eq!(found.as_ref().map(|session| session.identity.user.as_str()), user, "{} cookies", cookies.len());
    }
}

/// T-058, as far as one replica goes.
#[tokio::test]
async fn after_logout_every_copy_of_the_cookie_is_dead() {
    let sessions = sessions(|_| ());
    let session = session("alice");
    let first = value(&sessions, &session);
    let renewed = value(&sessions, &sessions.renewed(&session, at(MINUTE)));
    let _told = sessions.end(&session).await;
    for copy in [first, renewed] {
        assert_eq!(found(&sessions, &copy, at(MINUTE)), None);
        assert_eq!(found(&sessions, &copy, at(HOUR)), None);
    }
}

/// The figures the README quotes.
/// The contract's limit, with everything that a session without claims can have.
#[test]
fn a_cookie_with_a_record_keeps_the_promise_too() {
    let session =
        Session { due: Some(T0), record: Some(RecordKey::random()), refreshes: true, ..session(&"u".repeat(32)) };
    let sealed = sessions(|settings| settings.origin = Origin::parse("https://app.example.com").unwrap())
        .seal(&session)
        .unwrap();
    assert_eq!(pair(&sealed).len(), 172);
}

#[test]
fn a_cookie_is_as_small_as_promised() {
    let sessions = sessions(|_| ());
    for (user, group_count, expected) in [
        (6, 0, Ok(111)),
        (6, 5, Ok(262)),
        (6, 200, Err(5_723)),
        (32, 0, Ok(146)),
        (32, 5, Ok(296)),
        (32, 200, Err(5_758)),
        (64, 0, Ok(188)),
        (64, 5, Ok(339)),
        (64, 200, Err(5_800)),
    ] {
        let claims = if group_count == 0 { Claims::new() } else { groups(group_count, 20) };
        let sealed = sessions.seal(&with_claims(session(&"u".repeat(user)), claims));
        let bytes = sealed.map(|set_cookie| pair(&set_cookie).len()).map_err(|TooLarge { bytes, limit }| {
            assert_eq!(limit, 1_024);
            bytes
        });
        #[expect(clippy::print_stdout, reason = "the table is what this test is read for")]
        let () = println!("user of {user:>2} bytes, {group_count:>3} groups of 20: {bytes:?} bytes of cookie");
        assert_eq!(bytes, expected, "user of {user} bytes, {group_count} groups");
    }
}

#[test]
fn the_limit_is_on_the_byte_and_what_is_sealed_can_be_opened() {
    let sessions = sessions(|_| ());
    let mut longest = 0;
    for bytes in 1..1_000 {
        let claims = Claims::from([("c".into(), ClaimValue::One("x".repeat(bytes).into()))]);
        let session = with_claims(session("alice"), claims);
        match sessions.seal(&session) {
            Ok(set_cookie) => {
                longest = longest.max(pair(&set_cookie).len());
                assert_eq!(found(&sessions, pair(&set_cookie).split_once('=').unwrap().1, T0), Some(session));
            }
            Err(TooLarge { bytes, limit }) => assert!(bytes > 1_024 && limit == 1_024, "{bytes}"),
        }
    }
    assert!((1_020..=1_024).contains(&longest), "{longest}");
    let longest_user = session(&"u".repeat(255));
    assert!(sessions.seal(&longest_user).is_ok());
}

#[test]
fn on_plain_http_the_cookies_have_their_short_names() {
    let sessions = sessions(|s| s.origin = Origin::parse("http://localhost:4180").unwrap());
    assert_eq!((sessions.cookie_name(), sessions.login_cookie_name()), ("doorward", "doorward-login"));
    let set_cookie = sessions.seal(&session("alice")).unwrap();
    assert!(!set_cookie.to_str().unwrap().contains("Secure"));
    assert_eq!(sessions.find(&brings(&pair(&set_cookie)), T0).unwrap().identity.user.as_str(), "alice");
}

/// T-115: neither a session cookie nor a login leaves through debug output.
#[test]
fn set_cookies_do_not_show_in_debug_output() {
    let sessions = sessions(|_| ());
    let login =
        sessions.start_login(&HeaderMap::new(), ProviderTag([1; 4]), ReturnsBy::Link, &ReturnTo::root(), false, T0);
    for set_cookie in [sessions.seal(&session("alice")).unwrap(), login.set_cookie] {
        assert_eq!(format!("{set_cookie:?}"), "Sensitive");
    }
}

#[test]
fn tags_tell_issuers_subjects_and_sessions_apart() {
    let (a, b) = ("https://a.example", "https://b.example");
    let tags = [
        SubjectTag::of(a, "1").0,
        SubjectTag::of(a, "2").0,
        SubjectTag::of(b, "1").0,
        SubjectTag::of(a, "").0,
        SubjectTag::of("https://a.exampl", "e1").0,
        ProviderSessionTag::of(a, "1").0,
    ];
    assert_eq!(tags.iter().collect::<BTreeSet<_>>().len(), tags.len());
    assert_eq!(SubjectTag::of(a, "1"), SubjectTag::of(a, "1"));
}

proptest! {
    /// T-103.
    #[test]
    fn no_cookie_makes_it_panic_or_sign_anybody_in(bytes: Vec<u8>, text in "[A-Za-z0-9_-]{0,200}", raw: Vec<u8>) {
        let sessions = sessions(|_| ());
        prop_assert_eq!(found(&sessions, &BASE64_URL_SAFE_NO_PAD.encode(bytes), T0), None);
        prop_assert_eq!(found(&sessions, &text, T0), None);
        if let Ok(header) = HeaderValue::from_bytes(&[b"__Host-doorward=", raw.as_slice()].concat()) {
            prop_assert_eq!(sessions.find(&HeaderMap::from_iter([(COOKIE, header)]), T0), None);
        }
    }
}

/// A reload must not bring ended sessions back, nor let a callback be used again.
#[tokio::test]
async fn a_reload_forgets_nothing() {
    let before = sessions(|_| {});
    let ended = session("alice");
    let cookie = brings(&pair(&before.seal(&ended).unwrap()));
    let login =
        before.start_login(&HeaderMap::new(), ProviderTag([1; 4]), ReturnsBy::Link, &ReturnTo::root(), false, T0);
    let browser = brings(&pair(&login.set_cookie));
    let _told = before.end(&ended).await;
    let resumed = before.resume_login(&browser, &login.state, ProviderTag([1; 4]), ReturnsBy::Link, T0).ok().unwrap();
    assert!(before.use_once(&resumed, T0));

    let after = before.reconfigured(&settings());
    assert!(after.find(&cookie, T0).is_none());
    let resumed = after.resume_login(&browser, &login.state, ProviderTag([1; 4]), ReturnsBy::Link, T0).ok().unwrap();
    assert!(!after.use_once(&resumed, T0));
}
