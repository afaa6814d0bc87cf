//! What is said of a token is looked at alike, whoever says it (T-088, T-089, T-098).

use super::{
    bearer_introspection::{self, TOKEN, harmless, says},
    testing::{NOW, bearer},
    *,
};

/// Everybody who can answer for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Witness {
    Keys,
    Endpoint(IntrospectionProtocol),
    Userinfo,
}

const ENDPOINTS: [Witness; 4] = [
    Witness::Endpoint(IntrospectionProtocol::Standard),
    Witness::Endpoint(IntrospectionProtocol::Tokeninfo),
    Witness::Endpoint(IntrospectionProtocol::ValidateBearer),
    Witness::Userinfo,
];
const ALL: [Witness; 5] = [Witness::Keys, ENDPOINTS[0], ENDPOINTS[1], ENDPOINTS[2], ENDPOINTS[3]];

/// A provider of which one of them is asked.
struct World {
    op: FakeProvider,
    signer: Signer,
}

impl World {
    async fn new() -> Self {
        let (op, signer) = good().await;
        Self { op, signer }
    }

    fn provider(&self, witness: Witness, change: impl FnOnce(&mut Settings)) -> Arc<Provider> {
        let mut settings = match witness {
            Witness::Endpoint(protocol) => bearer_introspection::settings(&self.op, protocol),
            Witness::Keys => Settings { bearer: Some(bearer(BearerMethod::Jwt)), ..self.op.settings() },
            Witness::Userinfo => Settings { bearer: Some(bearer(BearerMethod::Userinfo)), ..self.op.settings() },
        };
        change(&mut settings);
        self.op.known(settings).0
    }

    /// What becomes of a token of which `witness` says `claims`.
    async fn asked(
        &self,
        witness: Witness,
        claims: Value,
        change: impl FnOnce(&mut Settings),
    ) -> Result<Vouched, BearerError> {
        let provider = self.provider(witness, change);
        let token = match witness {
            Witness::Keys => {
                let header = with(self.signer.header(), &json!({"typ": "at+jwt"}));
                let claims = with(json!({"iss": self.op.origin, "exp": NOW.0 + 300}), &claims);
                self.signer.sign_bytes(&header, claims.to_string().as_bytes())
            }
            Witness::Endpoint(protocol) => {
                says(&self.op, protocol, &claims);
                TOKEN.to_owned()
            }
            Witness::Userinfo => {
                self.op.json("/userinfo", claims);
                TOKEN.to_owned()
            }
        };
        Box::pin(async move { provider.vouch(&secret(&token)).await }).await
    }
}

fn rules(settings: &mut Settings) -> &mut Bearer {
    settings.bearer.as_mut().unwrap()
}

fn named(audiences: &[&str]) -> Audience {
    Audience::Named { named: audiences.iter().map(|one| (*one).into()).collect(), accepted: Arc::default() }
}

#[tokio::test]
async fn whoever_says_it_what_is_wrong_is_refused() {
    let world = World::new().await;
    let origin = world.op.origin.clone();
    let good = json!({"sub": "s-1", "aud": "api"});
    for (changes, refusal) in [
        (json!({"iss": "https://evil"}), "its `iss` is `https://evil`"),
        (json!({"iss": format!("{origin}/")}), "its `iss` is"),
        (json!({"iss": ""}), "its `iss` is ``"),
        (json!({"iss": [origin]}), "its `iss` is malformed"),
        (json!({"nbf": NOW.0 + 61}), "it is valid from 1800000061 on, it is 1800000000"),
        (json!({"iat": NOW.0 + 61}), "it is valid from"),
        (json!({"nbf": "soon"}), "its `nbf` is malformed"),
        (json!({"nbf": -1}), "its `nbf` is malformed"),
        (json!({"iat": 1e300}), "its `iat` is malformed"),
        (json!({"token_type": "refresh_token"}), "it is no access token but `refresh_token`"),
        (json!({"token_type": "Refresh"}), "it is no access token but `Refresh`"),
        (json!({"token_type": 7}), "its `token_type` is malformed"),
        (json!({"typ": "Refresh"}), "it is no access token but `Refresh`"),
        (json!({"typ": "Offline"}), "it is no access token but `Offline`"),
        (json!({"typ": ["Refresh"]}), "its `typ` is malformed"),
        (json!({"typ": "Bearer", "token_use": "refresh"}), "it is no access token but `refresh`"),
        (json!({"typ": "ID"}), "it is an ID token"),
        (json!({"token_use": "id"}), "it is an ID token"),
        (json!({"typ": "id"}), "it is an ID token"),
        (json!({"token_use": "ID", "typ": "Bearer"}), "it is an ID token"),
        (json!({"aud": {"a": "api"}}), "its `aud` is malformed"),
        (json!({"aud": ["api", 7]}), "its `aud` is malformed"),
        (json!({"aud": true}), "its `aud` is malformed"),
        (json!({"aud": null}), "it has no `aud`"),
        (json!({"aud": []}), "it has no `aud`"),
        (json!({"aud": null, "client_id": "them"}), "it has no `aud`"),
        (json!({"aud": null, "client_id": "US"}), "it has no `aud`"),
        (json!({"aud": null, "client_id": ["us"]}), "it has no `aud`"),
        (json!({"aud": null, "client_id": "them", "azp": "us"}), "it has no `aud`"),
    ] {
        for witness in ALL {
            let error = world.asked(witness, with(good.clone(), &changes), |_| ()).await.unwrap_err();
            let text = harmless(&error);
            assert!(
                matches!(error, BearerError::Refused(_)) && text.contains(refusal),
                "{witness:?} {changes}: {text}"
            );
        }
    }
}

/// A token without an end is one that its issuer can be asked about; a JWT has to have one.
#[tokio::test]
async fn a_token_is_good_until_it_ends_or_has_to_be_asked_about_again() {
    let world = World::new().await;
    let introspected = ENDPOINTS[0];
    let malformed = || Err("its `exp` is malformed");
    for (exp, by_keys, by_answer) in [
        (json!(NOW.0 - 60), Err("it expired at 1799999940"), Err("it expired at 1799999940")),
        (json!(0), Err("it expired at 0"), Err("it expired at 0")),
        (json!(1e300), malformed(), malformed()),
        (json!(-1), malformed(), malformed()),
        (json!(-0.5), malformed(), malformed()),
        (json!([NOW.0 + 300]), malformed(), malformed()),
        (json!(true), malformed(), malformed()),
        (json!("soon"), malformed(), malformed()),
        // What is no number in a JWT is one in an answer.
        (json!((NOW.0 + 30).to_string()), malformed(), Ok(30)),
        (json!((NOW.0 - 60).to_string()), malformed(), Err("it expired at 1799999940")),
        (json!(null), Err("it has no `exp`"), Ok(60)),
        (json!(NOW.0 - 59), Ok(-59), Ok(-59)),
        (json!(NOW.0 + 1), Ok(1), Ok(1)),
        (json!(NOW.0 as f64 + 10.9), Ok(10), Ok(10)),
        (json!(NOW.0 + 61), Ok(61), Ok(60)),
        (json!(NOW.0 + 299), Ok(299), Ok(60)),
        (json!(NOW.0 + 301), Ok(300), Ok(60)),
        (json!(253_402_300_799_u64), Ok(300), Ok(60)),
    ] {
        for (witness, expected) in [(Witness::Keys, by_keys), (introspected, by_answer)] {
            match (world.asked(witness, json!({"sub": "s-1", "aud": "api", "exp": exp}), |_| ()).await, expected) {
                (Ok(vouched), Ok(seconds)) => {
                    let good_until = vouched.good_until.0 as i64 - NOW.0 as i64;
                    assert_eq!(good_until, seconds, "{witness:?} {exp}");
                }
                (Err(error), Err(text)) => assert!(
                    matches!(error, BearerError::Refused(_)) && harmless(&error).contains(text),
                    "{witness:?} {exp}: {}",
                    harmless(&error)
                ),
                (found, expected) => panic!("{witness:?} {exp}: {found:?}, not {expected:?}"),
            }
        }
    }
    let hour = |settings: &mut Settings| rules(settings).recheck = Duration::from_secs(3_600);
    let endless = json!({"sub": "s-1", "aud": "api", "exp": null});
    let vouched = world.asked(introspected, endless, hour).await.unwrap();
    assert_eq!(vouched.good_until, NOW.plus(Duration::from_secs(3_600)));
    let vouched = world.asked(Witness::Userinfo, json!({"sub": "s-1", "aud": "api"}), |_| ()).await.unwrap();
    assert_eq!(vouched.good_until, NOW.plus(Duration::from_secs(60)));
}

#[tokio::test]
async fn whom_a_token_is_for_is_told_as_it_is_said() {
    let world = World::new().await;
    let ours = Ok(Audience::OurClient);
    for (claims, by_keys, by_answer) in [
        (json!({"aud": "somebody else"}), Ok(named(&["somebody else"])), Ok(named(&["somebody else"]))),
        (json!({"aud": ["a", "b"], "client_id": "us"}), Ok(named(&["a", "b"])), Ok(named(&["a", "b"]))),
        (json!({"client_id": "us"}), Err(()), ours.clone()),
        (json!({"azp": "us"}), Err(()), ours.clone()),
        (json!({"cid": "us", "aud": []}), Err(()), ours.clone()),
        (json!({"appid": "us"}), Err(()), ours.clone()),
        (json!({"client_id": "them"}), Err(()), Err(())),
    ] {
        for witness in ALL {
            let expected = if witness == Witness::Keys { &by_keys } else { &by_answer };
            let found = world.asked(witness, with(json!({"sub": "s-1"}), &claims), |_| ()).await;
            let found = found.map(|vouched| vouched.audience);
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, *expected, "{witness:?} {claims}"),
                (Err(BearerError::Refused(BearerRefusal::Missing(claim))), Err(())) => assert_eq!(*claim, *"aud"),
                (found, expected) => panic!("{witness:?} {claims}: {found:?}, not {expected:?}"),
            }
        }
    }
    for witness in ALL {
        let elsewhere = |settings: &mut Settings| {
            rules(settings).audience_claim = "resource".into();
            rules(settings).audiences = ["x".into(), "y".into()].into();
        };
        let claims = json!({"sub": "s-1", "aud": "api", "resource": "x"});
        let vouched = world.asked(witness, claims.clone(), elsewhere).await.unwrap();
        let accepted = Arc::new(["x".into(), "y".into()].into());
        assert_eq!(vouched.audience, Audience::Named { named: ["x".into()].into(), accepted });
        let error = world.asked(witness, with(claims, &json!({"resource": null})), elsewhere).await.unwrap_err();
        assert!(harmless(&error).contains("it has no `resource`"), "{witness:?}");
        let anybody = |settings: &mut Settings| rules(settings).insecure_any_audience = true;
        let vouched = world.asked(witness, json!({"sub": "s-1"}), anybody).await.unwrap();
        assert_eq!(vouched.audience, Audience::Any);
    }
}

#[tokio::test]
async fn only_the_clients_that_count_count() {
    let world = World::new().await;
    let clients = |settings: &mut Settings| rules(settings).clients = ["cli".into(), "ci".into()].into();
    for (claims, refusal) in [
        (json!({"client_id": "them"}), Some("it was issued to the client `them`")),
        (json!({"client_id": "us"}), Some("it was issued to the client `us`")),
        (json!({"azp": "them\n"}), Some("it was issued to the client `them\u{fffd}`")),
        (json!({"client_id": "them", "azp": "cli"}), Some("it was issued to the client `them`")),
        (json!({"client_id": ["cli"]}), Some("it has no `client_id`")),
        (json!({}), Some("it has no `client_id`")),
        (json!({"client_id": "cli"}), None),
        (json!({"azp": "ci"}), None),
        (json!({"cid": "ci"}), None),
        (json!({"appid": "ci"}), None),
    ] {
        for witness in ALL {
            let claims = with(json!({"sub": "s-1", "aud": "api"}), &claims);
            let found = world.asked(witness, claims.clone(), clients).await;
            match (found, refusal) {
                (Ok(_), None) => {}
                (Err(error), Some(text)) => {
                    assert!(
                        matches!(error, BearerError::Refused(_)) && harmless(&error).contains(text),
                        "{witness:?} {claims}"
                    );
                }
                (found, expected) => panic!("{witness:?} {claims}: {found:?}, not {expected:?}"),
            }
        }
    }
    // An answer about a token of one of them is for us, with or without `aud`.
    for witness in ENDPOINTS {
        let vouched = world.asked(witness, json!({"sub": "s-1", "client_id": "cli"}), clients).await.unwrap();
        assert_eq!(vouched.audience, Audience::OurClient, "{witness:?}");
    }
}

/// RFC 7800 §3.1: what binds a token must not be overlooked.
#[tokio::test]
async fn what_binds_a_token_is_told_or_is_unknown() {
    let world = World::new().await;
    let unknown = || Some(Confirmation::Unknown);
    for (cnf, confirmation) in [
        (json!({"kid": "k"}), unknown()),
        (json!({"jwk": {"kty": "EC"}}), unknown()),
        (json!({"jkt": "a", "x5t#S256": "b"}), unknown()),
        (json!({"jkt": "a", "other": "b"}), unknown()),
        (json!({"jkt": ["a"]}), unknown()),
        (json!({"jkt": null}), unknown()),
        (json!({"JKT": "a"}), unknown()),
        (json!({"x5t": "a"}), unknown()),
        (json!({}), unknown()),
        (json!("jkt"), unknown()),
        (json!(["jkt"]), unknown()),
        (json!(false), unknown()),
        (json!({"jkt": "a"}), Some(Confirmation::Key("a".into()))),
        (json!({"x5t#S256": "a"}), Some(Confirmation::Certificate("a".into()))),
        (json!(null), None),
    ] {
        for witness in ALL {
            let claims = json!({"sub": "s-1", "aud": "api", "cnf": cnf});
            let vouched = world.asked(witness, claims, |_| ()).await.unwrap();
            assert_eq!(vouched.confirmation, confirmation, "{witness:?} {cnf}");
        }
    }
}

#[tokio::test]
async fn what_a_token_allows_is_read_in_every_spelling() {
    let world = World::new().await;
    for (claims, scopes) in [
        (json!({}), &[][..]),
        (json!({"scope": {"read": true}, "scp": 7}), &[]),
        (json!({"scope": ["read", 7, ["admin"]]}), &["read"]),
        (json!({"scope": " read  write "}), &["read", "write"]),
        (json!({"scp": "read write"}), &["read", "write"]),
        (json!({"scp": ["read"], "scope": "write"}), &["read", "write"]),
    ] {
        for witness in ALL {
            let claims = with(json!({"sub": "s-1", "aud": "api"}), &claims);
            let vouched = world.asked(witness, claims.clone(), |_| ()).await.unwrap();
            assert_eq!(vouched.scopes, scopes.iter().map(|scope| (*scope).into()).collect(), "{witness:?} {claims}");
        }
    }
}

/// An active token of nobody who can be named is not a refusal: its answer may be kept, and a route may do without a name.
#[tokio::test]
async fn a_token_of_nobody_says_why() {
    let world = World::new().await;
    let by_email = |settings: &mut Settings| {
        settings.user.claims = vec!["email".into()];
        settings.required_claims = [("hd".into(), ["corp.example".into()].into())].into();
    };
    let missing = || Nameless::User(UserError::Missing { claim: "email".into() });
    for (claims, nameless) in [
        (json!({"hd": "corp.example"}), missing()),
        (json!({"hd": "corp.example", "email": null}), missing()),
        (json!({"hd": "corp.example", "email": ["a@b"]}), Nameless::User(UserError::NotText { claim: "email".into() })),
        (json!({"hd": "corp.example", "email": "a@b"}), Nameless::User(UserError::UnverifiedEmail)),
        (
            json!({"hd": "corp.example", "email": "a@b", "email_verified": false}),
            Nameless::User(UserError::UnverifiedEmail),
        ),
    ] {
        for witness in ALL {
            let claims = with(json!({"sub": "s-1", "aud": "api"}), &claims);
            let vouched = world.asked(witness, claims.clone(), by_email).await.unwrap();
            assert_eq!(vouched.identity, Err(nameless.clone()), "{witness:?} {claims}");
        }
    }
    for witness in ALL {
        let person = json!({"sub": "s-1", "aud": "api", "email": "a@b", "email_verified": true, "hd": "evil.example"});
        let vouched = world.asked(witness, person.clone(), by_email).await.unwrap();
        assert!(matches!(vouched.identity, Err(Nameless::Required(_))), "{witness:?}");
        let person = with(person, &json!({"hd": "corp.example"}));
        let vouched = world.asked(witness, person, by_email).await.unwrap();
        assert_eq!(vouched.identity.unwrap().user.as_str(), "a@b", "{witness:?}");
    }
}
