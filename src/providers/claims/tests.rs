//! Documents in, a user and claims out.

use serde_json::json;

use super::*;
use crate::{
    identity::{InvalidUserId, ProviderName},
    providers::{
        Groups,
        settings::{Limits, UserTransform},
    },
};

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { unreachable!() };
    map
}

fn needed(list: &[(&str, Option<&[&str]>)]) -> NeededClaims {
    let mut needed = NeededClaims::default();
    for (name, values) in list {
        match values {
            None => needed.add_whole(name),
            Some(values) => needed.add_values(name, &values.iter().map(|v| (*v).into()).collect()),
        }
    }
    needed
}

fn settings() -> Settings {
    let second = std::time::Duration::from_secs(1);
    let limits = Limits { timeout: second, answer_bytes: 1, renew_after: second, min_interval: second, concurrency: 1 };
    Settings::standard(ProviderName::parse("op").unwrap(), "https://op.example", "us", limits)
}

/// The user is the first of `claims` that is there.
fn named_by(claims: &[&str]) -> Settings {
    let user =
        UserRules { claims: claims.iter().map(|claim| (*claim).into()).collect(), transform: UserTransform::default() };
    Settings { user, ..settings() }
}

fn user(settings: &Settings, id_token: Value, userinfo: Option<Value>) -> Result<String, UserError> {
    let (id_token, userinfo) = (map(id_token), userinfo.map(map));
    let sources = Sources { userinfo: userinfo.as_ref(), ..Sources::alone(&id_token) };
    Wanted::of(settings).user(sources).map(|user| user.as_str().to_owned())
}

/// T-008, T-020.
#[test]
fn what_cannot_name_a_user_is_refused_and_the_claim_is_named() {
    let settings = named_by(&["upn"]);
    let claim = || "upn".into();
    let invalid = |error| Err(UserError::Invalid { claim: claim(), error });
    for (value, answer) in [
        (json!(null), Err(UserError::Missing { claim: claim() })),
        (json!(""), invalid(InvalidUserId::Empty)),
        (json!("  "), invalid(InvalidUserId::Empty)),
        (json!("x".repeat(300)), invalid(InvalidUserId::TooLong(300))),
        (json!("alice\r\nX-Admin: 1"), invalid(InvalidUserId::ControlCharacter)),
        (json!("a\rb"), invalid(InvalidUserId::ControlCharacter)),
        (json!("a\u{0}b"), invalid(InvalidUserId::ControlCharacter)),
        (json!(" alice"), invalid(InvalidUserId::SurroundingSpace)),
        (json!(["alice"]), Err(UserError::NotText { claim: claim() })),
        (json!({"name": "alice"}), Err(UserError::NotText { claim: claim() })),
        (json!(true), Err(UserError::NotText { claim: claim() })),
        (json!(1.5), Err(UserError::NotText { claim: claim() })),
        (json!(1e30), Err(UserError::NotText { claim: claim() })),
        (json!(1234567), Ok("1234567".to_owned())),
        (json!("alice"), Ok("alice".to_owned())),
    ] {
        let found = user(&settings, json!({"upn": value, "sub": "s"}), None);
        assert_eq!(found, answer, "{value}");
        if let Err(error) = found {
            assert!(error.to_string().contains("`upn`"), "{error}");
        }
    }
    assert_eq!(user(&settings, json!({"sub": "s"}), None), Err(UserError::Missing { claim: claim() }));
}

/// T-008, T-020.
#[test]
fn what_is_made_of_a_claim_must_be_a_user_too() {
    let made = |prefix: &str, value: &str| {
        let transform =
            UserTransform { lower_case: true, strip_domain: Some("corp.com".into()), prefix: Some(prefix.into()) };
        let user_rules = UserRules { claims: vec![Box::<str>::from("upn")], transform };
        user(&Settings { user: user_rules, ..settings() }, json!({ "upn": value }), None)
    };
    let invalid = |error| Err(UserError::Invalid { claim: "upn".into(), error });
    assert_eq!(made("c:", "Bob@Corp.com"), Ok("c:bob".to_owned()));
    assert_eq!(made("", "@corp.com"), invalid(InvalidUserId::Empty));
    assert_eq!(made("", " @corp.com"), invalid(InvalidUserId::SurroundingSpace));
    assert_eq!(made("", "bob @corp.com"), invalid(InvalidUserId::SurroundingSpace));
    assert_eq!(made(&"x".repeat(250), "robert@corp.com"), invalid(InvalidUserId::TooLong(256)));
    let other = made("c:", "bob@evil.org").unwrap_err();
    assert_eq!(other, UserError::OtherDomain { claim: "upn".into(), domain: "corp.com".into() });
    assert!(!other.to_string().contains("evil"));
}

#[test]
fn the_id_token_wins_and_the_others_fill_gaps_in_their_order() {
    let settings = named_by(&["name"]);
    let three = |documents: [Value; 3]| {
        let [id_token, userinfo, access_token] = documents.map(map);
        let sources =
            Sources { userinfo: Some(&userinfo), access_token: Some(&access_token), ..Sources::alone(&id_token) };
        Wanted::of(&settings).user(sources).map(|user| user.as_str().to_owned()).ok()
    };
    let named = |name: &str| json!({ "name": name });
    let null = || json!({ "name": null });
    for (documents, answer) in [
        ([named("a"), named("b"), named("c")], Some("a")),
        ([json!({}), named("b"), named("c")], Some("b")),
        ([null(), null(), named("c")], Some("c")),
        ([json!({}), json!({}), json!({})], None),
        // Empty is not a gap.
        ([named(""), named("b"), named("c")], None),
    ] {
        assert_eq!(three(documents.clone()).as_deref(), answer, "{documents:?}");
    }
}

#[test]
fn the_first_user_claim_that_is_there_counts() {
    let settings = named_by(&["upn", "/profile/login", "email"]);
    let missing = Err(UserError::Missing { claim: "upn` or `/profile/login` or `email".into() });
    for (id_token, userinfo, answer) in [
        (json!({"upn": "u", "profile": {"login": "l"}}), None, Ok("u".to_owned())),
        (json!({"profile": {"login": "l"}}), None, Ok("l".to_owned())),
        (json!({"profile": {"login": "l"}}), Some(json!({"upn": "u"})), Ok("u".to_owned())),
        (json!({"profile": "l"}), None, missing),
        (json!({"email": "a@x.org"}), None, Err(UserError::UnverifiedEmail)),
        (json!({"email": "a@x.org", "email_verified": true}), None, Ok("a@x.org".to_owned())),
        // What is there but cannot be used is not passed over: who somebody is must not depend on that.
        (json!({"upn": "", "profile": {"login": "l"}}), None, user(&named_by(&["upn"]), json!({"upn": ""}), None)),
    ] {
        assert_eq!(user(&settings, id_token.clone(), userinfo), answer, "{id_token}");
    }
}

/// T-095.
#[test]
fn an_email_address_names_a_user_only_when_it_is_verified() {
    for (id_token, userinfo, ok) in [
        (json!({"email": "a@x.org", "email_verified": true}), None, true),
        (json!({"email": "a@x.org", "email_verified": "true"}), None, true),
        (json!({"email": "a@x.org", "email_verified": "1"}), None, true),
        (json!({"email": "a@x.org", "email_verified": 1}), None, true),
        (json!({"email": "a@x.org", "email_verified": false}), None, false),
        (json!({"email": "a@x.org", "email_verified": "false"}), None, false),
        (json!({"email": "a@x.org", "email_verified": "0"}), None, false),
        (json!({"email": "a@x.org", "email_verified": 0}), None, false),
        (json!({"email": "a@x.org", "email_verified": 1.0}), None, false),
        (json!({"email": "a@x.org", "email_verified": "yes"}), None, false),
        (json!({"email": "a@x.org", "email_verified": ""}), None, false),
        (json!({"email": "a@x.org", "email_verified": [true]}), None, false),
        (json!({"email": "a@x.org"}), None, false),
        (json!({"email": "a@x.org"}), Some(json!({"email_verified": true})), false),
        (json!({"email": "a@x.org"}), Some(json!({"email": "b@x.org", "email_verified": true})), false),
        (json!({"email": "a@x.org"}), Some(json!({"email": "a@x.org", "email_verified": true})), true),
        (
            json!({"email": "a@x.org", "email_verified": false}),
            Some(json!({"email": "a@x.org", "email_verified": true})),
            false,
        ),
        (json!({"email_verified": true}), Some(json!({"email": "b@x.org"})), false),
        (json!({}), Some(json!({"email": "b@x.org", "email_verified": true})), true),
    ] {
        // However the claim is spelt.
        for claim in ["email", "/email"] {
            let found = user(&named_by(&[claim]), id_token.clone(), userinfo.clone());
            assert_eq!(found.is_ok(), ok, "{claim}: {id_token} {userinfo:?}");
            assert!(ok || found == Err(UserError::UnverifiedEmail));
        }
    }
    let standard = named_by(&["email"]);
    let insecure = Settings { email: EmailRules { insecure_unverified: true, ..standard.email.clone() }, ..standard };
    assert!(user(&insecure, json!({"email": "a@x.org"}), None).is_ok());
}

/// T-095: another claim's word, in all its spellings, and another name of the address.
#[test]
fn the_address_and_its_verification_can_be_called_otherwise() {
    let rules = EmailRules { claim: "mail".into(), verified_claim: "xms_edov".into(), ..settings().email };
    for (claims, answer) in [
        (json!({"mail": "a@x.org", "xms_edov": true}), Ok("a@x.org".to_owned())),
        (json!({"mail": "a@x.org", "xms_edov": "true"}), Ok("a@x.org".to_owned())),
        (json!({"mail": "a@x.org", "xms_edov": "1"}), Ok("a@x.org".to_owned())),
        (json!({"mail": "a@x.org", "xms_edov": 1}), Ok("a@x.org".to_owned())),
        (json!({"mail": "a@x.org", "xms_edov": false}), Err(UserError::UnverifiedEmail)),
        (json!({"mail": "a@x.org", "xms_edov": "0"}), Err(UserError::UnverifiedEmail)),
        (json!({"mail": "a@x.org"}), Err(UserError::UnverifiedEmail)),
        (json!({"mail": "a@x.org", "email_verified": true}), Err(UserError::UnverifiedEmail)),
        // The provider's own claim `email` is then nothing special, and nothing that could be believed.
        (
            json!({"email": "victim@x.org", "mail": "a@x.org", "xms_edov": true, "email_verified": true}),
            Ok("a@x.org".to_owned()),
        ),
    ] {
        for claim in ["email", "mail", "/email", "/mail"] {
            let settings = Settings { email: rules.clone(), ..named_by(&[claim]) };
            assert_eq!(user(&settings, claims.clone(), None), answer, "{claim}: {claims}");
        }
    }
}

#[test]
fn people_of_other_domains_are_refused_whatever_names_them() {
    let email = EmailRules { domains: ["x.org".into(), "y.org".into()].into(), ..settings().email };
    for insecure_unverified in [false, true] {
        let settings = Settings { email: EmailRules { insecure_unverified, ..email.clone() }, ..settings() };
        for (claims, answer) in [
            (json!({"sub": "s", "email": "a@X.org", "email_verified": true}), Ok("s".to_owned())),
            (json!({"sub": "s", "email": "a@y.org", "email_verified": "1"}), Ok("s".to_owned())),
            (json!({"sub": "s", "email": "a@z.org", "email_verified": true}), Err(UserError::EmailDomain)),
            (json!({"sub": "s", "email": "a@x.org.evil", "email_verified": true}), Err(UserError::EmailDomain)),
            (json!({"sub": "s", "email": "a@sub.x.org", "email_verified": true}), Err(UserError::EmailDomain)),
            (json!({"sub": "s", "email": "a@x.org", "email_verified": false}), Err(UserError::UnverifiedEmail)),
            (json!({"sub": "s", "email": "a@x.org"}), Err(UserError::UnverifiedEmail)),
            (json!({"sub": "s", "email": "x.org", "email_verified": true}), Err(UserError::UnverifiedEmail)),
            (json!({"sub": "s", "email_domain": "x.org"}), Err(UserError::UnverifiedEmail)),
            (json!({"sub": "s"}), Err(UserError::UnverifiedEmail)),
        ] {
            assert_eq!(user(&settings, claims.clone(), None), answer, "{claims}");
        }
    }
}

#[test]
fn a_required_claim_has_one_of_its_values() {
    let required = |claim: &str, values: &[&str]| {
        let values = values.iter().map(|value| (*value).into()).collect();
        let email = EmailRules { claim: "mail".into(), ..settings().email };
        Settings { required_claims: [(claim.into(), values)].into(), email, ..settings() }
    };
    for (settings, claims, ok) in [
        (required("hd", &["x.org", "y.org"]), json!({"hd": "y.org"}), true),
        (required("hd", &["x.org"]), json!({"hd": "X.org"}), false),
        (required("hd", &["x.org"]), json!({"hd": "z.org"}), false),
        (required("hd", &["x.org"]), json!({}), false),
        (required("hd", &["x.org"]), json!({"hd": null}), false),
        (required("hd", &["x.org"]), json!({"hd": ["a", "x.org"]}), true),
        (required("hd", &["x.org"]), json!({"hd": {"x.org": true}}), false),
        (required("hd", &[]), json!({"hd": "anything"}), true),
        (required("hd", &[]), json!({"hd": []}), false),
        (required("hd", &[]), json!({"hd": null}), false),
        (required("hd", &[]), json!({}), false),
        (required("/realm_access/roles", &["door"]), json!({"realm_access": {"roles": ["door"]}}), true),
        (required("/realm_access/roles", &["door"]), json!({"/realm_access/roles": "door"}), false),
        (required("level", &["2"]), json!({"level": 2}), true),
        (required("mfa", &["true"]), json!({"mfa": true}), true),
        (required("email", &["a@x.org"]), json!({"mail": "a@x.org"}), true),
        (required("email", &["a@x.org"]), json!({"email": "a@x.org"}), false),
    ] {
        let (token, other) = (map(claims.clone()), map(json!({})));
        let wanted = Wanted::of(&settings);
        let answer = wanted.check_required(Sources::alone(&token));
        assert_eq!(answer.is_ok(), ok, "{:?} {claims}", settings.required_claims);
        if let Err(error) = answer {
            assert!(error.to_string().contains(&*error.0) && !error.to_string().contains("x.org"));
        }
        // Neither userinfo nor an access token makes up for it.
        let elsewhere = Sources { userinfo: Some(&token), access_token: Some(&token), ..Sources::alone(&other) };
        assert!(wanted.check_required(elsewhere).is_err());
    }
    assert_eq!(Wanted::of(&settings()).check_required(Sources::alone(&map(json!({})))), Ok(()));
}

#[test]
fn the_email_domain_is_derived_and_never_sent() {
    let standard = settings();
    let email = EmailRules { insecure_unverified: true, ..standard.email.clone() };
    let settings = Settings { needed_claims: needed(&[(EMAIL_DOMAIN, Some(&["x.org"]))]), email, ..standard };
    for (claims, kept) in [
        (json!({"email": "a@X.org", "email_verified": true}), true),
        (json!({"email": "\"a@evil\"@x.org", "email_verified": true}), true),
        (json!({"email": "a@x.org@evil.org", "email_verified": true}), false),
        (json!({"email": "a@y.org", "email_verified": true}), false),
        (json!({"email": "a@x.org", "email_verified": false}), false),
        (json!({"email": "a@x.org"}), false),
        (json!({"email": "@x.org", "email_verified": true}), false),
        (json!({"email": "x.org", "email_verified": true}), false),
        (json!({"email_domain": "x.org"}), false),
        (json!({"email_domain": "x.org", "email": "a@y.org", "email_verified": true}), false),
    ] {
        let claims_kept = Wanted::of(&settings).kept(Sources::alone(&map(claims.clone())));
        assert_eq!(claims_kept.contains_key(EMAIL_DOMAIN), kept, "{claims}");
    }
}

#[test]
fn only_what_is_needed_is_kept() {
    let needed = needed(&[
        ("groups", Some(&["staff", "7"])),
        ("role", Some(&["admin"])),
        ("name", None),
        ("https://ns/list", None),
        ("/address/country", None),
        ("address", None),
        ("absent", None),
        ("evil", None),
    ]);
    let settings = Settings { needed_claims: needed, ..settings() };
    let id_token = map(json!({
        "groups": ["staff", "other", 7, {"a": 1}, "STAFF"], "role": "user", "name": 42,
        "address": {"country": "x"}, "evil": "a\r\nb", "unasked": "x",
    }));
    let userinfo = map(json!({"https://ns/list": [true, "a", 1.5, null, "b\n"], "groups": ["admin"]}));
    let kept = Wanted::of(&settings).kept(Sources { userinfo: Some(&userinfo), ..Sources::alone(&id_token) });
    let expected = [
        ("groups", ClaimValue::Many(vec!["staff".into(), "7".into()])),
        ("https://ns/list", ClaimValue::Many(vec!["true".into(), "a".into(), "1.5".into()])),
        ("/address/country", ClaimValue::One("x".into())),
        ("name", ClaimValue::One("42".into())),
    ];
    assert_eq!(kept, expected.into_iter().map(|(name, value)| (name.into(), value)).collect());
}

#[test]
fn groups_are_called_groups_wherever_the_provider_has_them() {
    for (claim, document, groups) in [
        ("groups", json!({"groups": ["a", "b"]}), Some(vec!["a", "b"])),
        ("groups", json!({"groups": "a"}), Some(vec!["a"])),
        ("cognito:groups", json!({"cognito:groups": ["a"], "groups": ["theirs"]}), Some(vec!["a"])),
        ("https://ns/groups", json!({"https://ns/groups": ["a"]}), Some(vec!["a"])),
        ("/realm_access/roles", json!({"realm_access": {"roles": ["/staff/a", "b"]}}), Some(vec!["/staff/a", "b"])),
        ("/resource_access/us/roles", json!({"resource_access": {"us": {"roles": []}}}), Some(vec![])),
        ("/realm_access/roles", json!({"realm_access": ["roles"], "groups": ["theirs"]}), None),
        ("/realm_access/roles", json!({"realm_access.roles": ["a"]}), None),
        ("roles", json!({"roles": {"a": true}}), None),
    ] {
        let groups_rules = Groups { claim: claim.into(), lookup: None };
        let settings = Settings { groups: groups_rules, needed_claims: needed(&[("groups", None)]), ..settings() };
        let kept = Wanted::of(&settings).kept(Sources::alone(&map(document.clone())));
        let found = kept.get("groups").map(|value| value.iter().collect::<Vec<_>>());
        assert_eq!(found, groups, "{claim} {document}");
    }
}

#[test]
fn what_is_missing_is_what_nobody_said() {
    let needed = needed(&[("groups", None), (EMAIL_DOMAIN, Some(&["x.org"]))]);
    let settings = Settings { needed_claims: needed, ..settings() };
    for (claims, missing) in [
        (json!({"sub": "s", "groups": [], "email": "a@x", "email_verified": false}), vec![]),
        (json!({"sub": "s", "groups": [], "email": "a@x"}), vec![EMAIL_DOMAIN]),
        (json!({"sub": "s", "groups": null, "email_verified": true}), vec![EMAIL_DOMAIN, "groups"]),
        (json!({}), vec!["sub", EMAIL_DOMAIN, "groups"]),
    ] {
        let found = Wanted::of(&settings).missing(Sources::alone(&map(claims.clone()))).join(" ");
        assert_eq!(found, missing.join(" "), "{claims}");
    }
}

#[test]
fn what_decides_who_somebody_is_does_not_depend_on_what_else_is_needed() {
    // The first user claim is asked for although a later one is there.
    let settings = named_by(&["upn", "sub"]);
    assert_eq!(*Wanted::of(&settings).missing(Sources::alone(&map(json!({"sub": "s"})))), [Box::<str>::from("upn")]);
    // So is the word that an address is verified, where domains decide who may sign in.
    let standard = named_by(&["sub"]);
    let email = EmailRules { domains: ["x.org".into()].into(), ..standard.email };
    let settings = Settings { email, ..standard };
    let missing = |claims: Value| Wanted::of(&settings).missing(Sources::alone(&map(claims))).join(" ");
    assert_eq!(missing(json!({"sub": "s"})), EMAIL_DOMAIN);
    assert_eq!(missing(json!({"sub": "s", "email": "a@x.org", "email_verified": true})), "");
}

/// T-128.
#[test]
fn where_a_directory_was_asked_nobody_else_knows_the_groups() {
    let standard = settings();
    let groups = Groups { claim: "/realm/roles".into(), ..standard.groups.clone() };
    let settings = Settings { needed_claims: needed(&[("groups", None), ("/realm/roles", None)]), groups, ..standard };
    let wanted = Wanted::of(&settings);
    let token = map(json!({"realm": {"roles": ["self-made"]}, "groups": ["self-made"]}));
    let other = map(json!({"realm": {"roles": ["self-made"]}}));
    for (found, kept) in [
        (None, Some(json!(["self-made"]))),
        (Some(json!(["staff"])), Some(json!(["staff"]))),
        (Some(json!([])), Some(json!([]))),
        (Some(json!(null)), None),
    ] {
        let sources = Sources { userinfo: Some(&other), groups: found.as_ref(), ..Sources::alone(&token) };
        let kept = kept.map(|kept| as_text("groups", &kept).unwrap());
        let claims = wanted.kept(sources);
        assert_eq!(claims.get("groups"), kept.as_ref(), "{found:?}");
        assert_eq!(claims.get("/realm/roles"), kept.as_ref(), "{found:?}");
        let empty = map(json!({}));
        let missing = wanted.missing(Sources { groups: found.as_ref(), ..Sources::alone(&empty) });
        assert_eq!(missing.iter().any(|name| &**name == "groups"), found.is_none(), "{found:?}");
    }
}
