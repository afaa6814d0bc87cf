//! Proofs by real keys; refusals first.

use std::{
    io::{Read, Seek},
    sync::Arc,
};

use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use serde_json::{Value, json};

use super::*;
use crate::providers::{JwsError, testing::Signer};

const NOW: UnixTime = UnixTime(1_800_000_000);
const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";

/// A key with a token that is bound to it.
struct Owner {
    signer: Signer,
    thumbprint: String,
    url: Url,
}

impl Owner {
    fn new(signer: Signer) -> Self {
        let jwk: Jwk = serde_json::from_value(signer.jwk()).unwrap();
        let url = Url::parse("https://app.example.com/api/items").unwrap();
        Self { signer, thumbprint: jwk.thumbprint(ThumbprintHash::SHA256).unwrap(), url }
    }

    fn demand(&self) -> Demand<'_> {
        Demand { method: &Method::POST, url: &self.url, token: TOKEN, thumbprint: &self.thumbprint }
    }

    fn header(&self) -> Value {
        let mut jwk = self.signer.jwk();
        jwk.as_object_mut().unwrap().remove("kid");
        json!({"typ": "dpop+jwt", "alg": self.signer.algorithm, "jwk": jwk})
    }

    /// A good proof with some members changed; `null` takes one away.
    fn proof(&self, header: &Value, claims: &Value) -> String {
        let ath = BASE64_URL_SAFE_NO_PAD.encode(short_hash::<32>(&[TOKEN.as_bytes()]));
        let good = json!({"jti": "j-1", "htm": "POST", "htu": self.url.as_str(), "iat": NOW.0, "ath": ath});
        self.signer.sign_bytes(&with(self.header(), header), with(good, claims).to_string().as_bytes())
    }

    fn good(&self, jti: &str) -> String {
        self.proof(&json!({}), &json!({"jti": jti}))
    }
}

fn with(mut value: Value, changes: &Value) -> Value {
    for (name, change) in changes.as_object().unwrap() {
        value[name] = change.clone();
    }
    value.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    value
}

fn check(proof: &str, demand: &Demand<'_>) -> Result<(), ProofError> {
    Proofs::new(10).check(proof, demand, NOW)
}

#[test]
fn what_a_proof_does_not_fit_refuses_it() {
    use ProofError as E;
    let form = |error: JwsError| E::Jwt(ProofJwtError::Form(error));
    let key = |reason| E::Jwt(ProofJwtError::Key(reason));
    let other_url = |found: &str| E::Url { expected: "https://app.example.com/api/items".into(), found: found.into() };
    let at = |iat: u64| E::Time { iat: UnixTime(iat), now: NOW };
    let method = E::Method { expected: Method::POST };

    for signer in [Signer::es256("k"), Signer::rs256("k"), Signer::eddsa("k")] {
        let owner = Owner::new(signer);
        let jwk = owner.header()["jwk"].clone();
        let private = |member: &str| json!({"jwk": with(jwk.clone(), &json!({member: "c2VjcmV0"}))});
        let stranger = Owner::new(Signer::es256("k"));
        let of_strangers = json!({"jwk": stranger.header()["jwk"], "alg": "ES256"});
        for (header, error) in [
            (json!({"typ": null}), form(JwsError::Untyped)),
            (json!({"typ": "JWT"}), form(JwsError::Type("JWT".into()))),
            (json!({"typ": "at+jwt"}), form(JwsError::Type("at+jwt".into()))),
            (json!({"typ": "DPOP+JWT"}), form(JwsError::Type("DPOP+JWT".into()))),
            (json!({"alg": null}), form(JwsError::Header)),
            (json!({"alg": "none"}), form(JwsError::Algorithm("none".into()))),
            (json!({"alg": "HS256"}), form(JwsError::Algorithm("HS256".into()))),
            (json!({"alg": "ES512"}), form(JwsError::Algorithm("ES512".into()))),
            (json!({"crit": ["exp"]}), form(JwsError::Unsupported("crit"))),
            (json!({"b64": false}), form(JwsError::Unsupported("b64"))),
            (json!({"zip": "DEF"}), form(JwsError::Unsupported("zip"))),
            (json!({"jwk": null}), E::Jwt(ProofJwtError::NoKey)),
            (json!({"jwk": null, "kid": "k", "jku": "https://evil/"}), E::Jwt(ProofJwtError::NoKey)),
            (json!({"jwk": "text"}), key("it is not a JWK")),
            (json!({"jwk": {"kty": "AKP"}}), key("its type or curve is not supported")),
            (json!({"jwk": {"kty": "oct", "k": "c2VjcmV0"}}), key("it is not a public one")),
            (private("d"), key("it is not a public one")),
            (private("p"), key("it is not a public one")),
            (private("k"), key("it is not a public one")),
            (json!({"alg": "ES384"}), key("it does not fit the algorithm")),
            (of_strangers, E::OtherKey),
        ] {
            let proof = owner.proof(&header, &json!({}));
            assert_eq!(check(&proof, &owner.demand()), Err(error), "{header}");
        }
        for (claims, error) in [
            (json!({"jti": null}), E::Missing("jti")),
            (json!({"jti": ""}), E::Malformed("jti")),
            (json!({"jti": 7}), E::Malformed("jti")),
            (json!({"jti": "j".repeat(256)}), E::Malformed("jti")),
            (json!({"htm": null}), E::Missing("htm")),
            (json!({"htm": ["POST"]}), E::Malformed("htm")),
            (json!({"htm": "GET"}), method.clone()),
            (json!({"htm": "post"}), method.clone()),
            (json!({"htm": ""}), method.clone()),
            (json!({"htu": null}), E::Missing("htu")),
            (json!({"htu": 7}), E::Malformed("htu")),
            (json!({"htu": "/api/items"}), E::Malformed("htu")),
            (json!({"htu": ""}), E::Malformed("htu")),
            (json!({"htu": "http://app.example.com/api/items"}), other_url("http://app.example.com/api/items")),
            (
                json!({"htu": "https://app.example.com:8443/api/items"}),
                other_url("https://app.example.com:8443/api/items"),
            ),
            (
                json!({"htu": "https://app.example.com.evil/api/items"}),
                other_url("https://app.example.com.evil/api/items"),
            ),
            (json!({"htu": "https://app.example.com/api/items/"}), other_url("https://app.example.com/api/items/")),
            (json!({"htu": "https://app.example.com/api/Items"}), other_url("https://app.example.com/api/Items")),
            (json!({"htu": "https://app.example.com/?/api/items"}), other_url("https://app.example.com/")),
            // Nothing of a query or of credentials is told.
            (
                json!({"htu": "https://u:s3cret@app.example.com/api/items?s3cret#s3cret"}),
                other_url("https://app.example.com/api/items"),
            ),
            (json!({"iat": null}), E::Missing("iat")),
            (json!({"iat": NOW.0.to_string()}), E::Malformed("iat")),
            (json!({"iat": NOW.0 - 61}), at(NOW.0 - 61)),
            (json!({"iat": NOW.0 + 61}), at(NOW.0 + 61)),
            (json!({"iat": NOW.0 as f64 - 60.5}), at(NOW.0 - 61)),
            (json!({"iat": NOW.0 as f64 + 60.5}), at(NOW.0 + 60)),
            (json!({"iat": NOW.0 * 1_000}), at(NOW.0 * 1_000)),
            (json!({"iat": -1}), at(0)),
            (json!({"iat": -1e300}), at(0)),
            (json!({"iat": 1e300}), at(u64::MAX)),
            (json!({"ath": null}), E::Missing("ath")),
            (json!({"ath": 7}), E::Malformed("ath")),
            (json!({"ath": ""}), E::Token),
            (json!({"ath": TOKEN}), E::Token),
            (json!({"ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEp"}), E::Token),
        ] {
            let proof = owner.proof(&json!({}), &claims);
            assert_eq!(check(&proof, &owner.demand()), Err(error), "{claims}");
        }
    }
}

#[test]
fn what_is_no_jwt_is_no_proof() {
    let owner = Owner::new(Signer::es256("k"));
    let good = owner.good("j");
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let decoded = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    let twice = BASE64_URL_SAFE_NO_PAD.encode(decoded.replacen('{', r#"{"typ":"dpop+jwt","#, 1));
    let by_another = Owner::new(Signer::es256("k")).good("j");
    let signed = |payload: &[u8]| owner.signer.sign_bytes(&owner.header(), payload);
    let large = |jti: usize| owner.good(&"j".repeat(jti));
    let form = |error| ProofError::Jwt(ProofJwtError::Form(error));
    for (proof, error) in [
        (String::new(), form(JwsError::Parts)),
        ("..".to_owned(), form(JwsError::Header)),
        (format!("{header}.{payload}"), form(JwsError::Parts)),
        (format!("{good}.{signature}"), form(JwsError::Parts)),
        (format!("{header}.a.b.c.d"), form(JwsError::Encrypted)),
        (format!("{good},{good}"), form(JwsError::Encrypted)),
        (format!("{header}.{payload}."), ProofError::Jwt(ProofJwtError::Signature)),
        (format!("{header}.{payload}.{signature}="), ProofError::Jwt(ProofJwtError::Signature)),
        (
            format!("{header}.{payload}.{}", &by_another[by_another.rfind('.').unwrap() + 1..]),
            ProofError::Jwt(ProofJwtError::Signature),
        ),
        (
            format!("{header}.{}.{signature}", BASE64_URL_SAFE_NO_PAD.encode("{}")),
            ProofError::Jwt(ProofJwtError::Signature),
        ),
        (format!("{twice}.{payload}.{signature}"), form(JwsError::Header)),
        (by_another, ProofError::OtherKey),
        (signed(b"[]"), form(JwsError::Payload)),
        (signed(b"{\"jti\":\"a\",\"jti\":\"b\"}"), form(JwsError::Payload)),
        (signed(b"\xff"), form(JwsError::Payload)),
        (large(MAX_PROOF), ProofError::TooLarge),
        ("x".repeat(MAX_PROOF + 1), ProofError::TooLarge),
        ("x".repeat(MAX_PROOF), form(JwsError::Parts)),
    ] {
        assert_eq!(check(&proof, &owner.demand()), Err(error), "{proof:.60}");
    }
    assert_eq!(check(&good, &owner.demand()), Ok(()));
}

#[test]
fn a_proof_for_something_else_does_not_count() {
    let owner = Owner::new(Signer::es256("k"));
    let (demand, other) = (owner.demand(), Url::parse("https://app.example.com/api").unwrap());
    let proof = owner.good("j");
    assert!(matches!(check(&proof, &Demand { method: &Method::GET, ..demand }), Err(ProofError::Method { .. })));
    assert!(matches!(check(&proof, &Demand { url: &other, ..demand }), Err(ProofError::Url { .. })));
    assert_eq!(check(&proof, &Demand { token: "another", ..demand }), Err(ProofError::Token));
    for thumbprint in ["", "another", &owner.thumbprint.to_lowercase(), &format!("{}=", owner.thumbprint)] {
        assert_eq!(check(&proof, &Demand { thumbprint, ..demand }), Err(ProofError::OtherKey), "{thumbprint}");
    }
}

#[test]
fn no_error_holds_the_token() {
    let owner = Owner::new(Signer::es256("k"));
    for claims in [
        json!({"ath": TOKEN}),
        json!({"htm": TOKEN}),
        json!({"htu": format!("https://x/?t={TOKEN}")}),
        json!({"htu": TOKEN}),
    ] {
        let error = check(&owner.proof(&json!({}), &claims), &owner.demand()).unwrap_err();
        assert!(!format!("{error:?} {error}").contains(TOKEN), "{claims}");
    }
}

#[test]
fn a_proof_that_fits_counts() {
    for signer in [Signer::es256("k"), Signer::rs256("k"), Signer::eddsa("k")] {
        let owner = Owner::new(signer);
        for claims in [
            json!({}),
            json!({"jti": "j"}),
            json!({"jti": "j".repeat(255)}),
            json!({"iat": NOW.0 - 60}),
            json!({"iat": NOW.0 + 60}),
            json!({"iat": NOW.0 as f64 - 59.9}),
            json!({"iat": NOW.0 as f64 + 0.25}),
            json!({"htu": "HTTPS://APP.example.COM:443/api/./x/../items"}),
            json!({"htu": "https://app.example.com/api/items?page=2#top"}),
            json!({"nonce": "nobody asked", "exp": 0, "nbf": "?"}),
        ] {
            assert_eq!(check(&owner.proof(&json!({}), &claims), &owner.demand()), Ok(()), "{claims}");
        }
        let header = json!({"kid": "k", "jku": "https://evil/", "x5u": "https://evil/", "x5c": ["AAAA"]});
        assert_eq!(check(&owner.proof(&header, &json!({})), &owner.demand()), Ok(()), "members nobody asked for");
        let url = Url::parse("https://app.example.com/api/items?page=2").unwrap();
        assert_eq!(check(&owner.good("j"), &Demand { url: &url, ..owner.demand() }), Ok(()));
    }
}

#[test]
fn every_algorithm_that_is_listed_counts() {
    let rsa = Signer::rs256("k");
    for name in ALGORITHMS {
        let algorithm: Algorithm = name.parse().unwrap();
        let signer = match *name {
            "ES256" => Signer::es256("k"),
            "ES384" => Signer::es384("k"),
            "EdDSA" => Signer::eddsa("k"),
            _ => rsa.clone().using(algorithm),
        };
        let owner = Owner::new(signer);
        assert_eq!(check(&owner.good("j"), &owner.demand()), Ok(()), "{name}");
    }
}

/// RFC 9449 §7.1, figure 12.
#[test]
fn the_example_of_the_rfc_counts() {
    let proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    let demand = Demand {
        method: &Method::GET,
        url: &Url::parse("https://resource.example.org/protectedresource").unwrap(),
        token: TOKEN,
        thumbprint: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
    };
    let proofs = Proofs::new(10);
    assert_eq!(proofs.check(proof, &demand, UnixTime(1_562_262_618)), Ok(()));
    assert_eq!(proofs.check(proof, &demand, UnixTime(1_562_262_619)), Err(ProofError::Used));
}

#[test]
fn a_proof_counts_once() {
    let (owner, other) = (Owner::new(Signer::eddsa("k")), Owner::new(Signer::eddsa("k")));
    let proofs = Proofs::new(10);
    // One that is refused for something else is not used up.
    let elsewhere = Demand { method: &Method::GET, ..owner.demand() };
    assert!(proofs.check(&owner.good("a"), &elsewhere, NOW).is_err());
    assert_eq!(proofs.check(&owner.good("a"), &owner.demand(), NOW), Ok(()));
    assert_eq!(proofs.check(&owner.good("a"), &owner.demand(), NOW), Err(ProofError::Used));
    let again = owner.proof(&json!({}), &json!({"jti": "a", "iat": NOW.0 + 1}));
    assert_eq!(proofs.check(&again, &owner.demand(), NOW), Err(ProofError::Used), "another proof, the same `jti`");
    assert_eq!(proofs.check(&owner.good("b"), &owner.demand(), NOW), Ok(()), "another `jti`");
    assert_eq!(proofs.check(&other.good("a"), &other.demand(), NOW), Ok(()), "another key");
}

/// As long as it would be accepted, and then again as long.
#[test]
fn a_used_proof_is_remembered_beyond_its_minute() {
    let owner = Owner::new(Signer::eddsa("k"));
    for iat in [NOW.0 as f64 - 60.0, NOW.0 as f64, NOW.0 as f64 + 59.5, NOW.0 as f64 + 60.0] {
        let proofs = Proofs::new(10);
        let proof = owner.proof(&json!({}), &json!({"iat": iat}));
        assert_eq!(proofs.check(&proof, &owner.demand(), NOW), Ok(()));
        let whole = iat.ceil() as u64;
        // Others make what has ended go.
        for (later, outcome) in [(whole + 60, ProofError::Used), (whole + 119, ProofError::Used)] {
            let other = owner.proof(&json!({}), &json!({"jti": later.to_string(), "iat": later}));
            assert_eq!(proofs.check(&other, &owner.demand(), UnixTime(later)), Ok(()));
            assert_eq!(proofs.check(&proof, &owner.demand(), NOW), Err(outcome), "iat {iat}, until {later}");
        }
    }
}

#[test]
fn of_many_who_bring_the_same_proof_one_passes() {
    let owner = Owner::new(Signer::es256("k"));
    let proofs = Proofs::new(100);
    for round in 0..20 {
        let proof = owner.good(&round.to_string());
        let together = std::sync::Barrier::new(8);
        let passed: usize = std::thread::scope(|scope| {
            let bring = || {
                together.wait();
                match proofs.check(&proof, &owner.demand(), NOW) {
                    Ok(()) => 1,
                    Err(error) => {
                        assert_eq!(error, ProofError::Used);
                        0
                    }
                }
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(bring)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed, 1, "round {round}");
    }
}

#[test]
fn full_memory_refuses_and_forgets_nothing() {
    let mut log = Arc::new(tempfile::tempfile().unwrap());
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(Arc::clone(&log)).finish();
    tracing::subscriber::with_default(subscriber, || {
        let owner = Owner::new(Signer::eddsa("k"));
        let proofs = Proofs::new(2);
        let bring = |jti: &str, iat: u64, now: u64| {
            let proof = owner.proof(&json!({}), &json!({"jti": jti, "iat": iat}));
            proofs.check(&proof, &owner.demand(), UnixTime(now))
        };
        assert_eq!(bring("a", NOW.0, NOW.0), Ok(()));
        assert_eq!(bring("b", NOW.0 + 30, NOW.0), Ok(()));
        for jti in ["c", "d", "e"] {
            assert_eq!(bring(jti, NOW.0, NOW.0), Err(ProofError::Full));
        }
        assert_eq!(bring("a", NOW.0, NOW.0), Err(ProofError::Used), "still remembered");
        assert_eq!(bring("b", NOW.0 + 30, NOW.0), Err(ProofError::Used), "still remembered");
        assert_eq!(bring("c", NOW.0 + 119, NOW.0 + 119), Err(ProofError::Full));
        assert_eq!(bring("c", NOW.0 + 120, NOW.0 + 120), Ok(()), "the first no longer matters");
        assert_eq!(bring("d", NOW.0 + 120, NOW.0 + 120), Err(ProofError::Full));
        assert_eq!(Proofs::new(0).check(&owner.good("a"), &owner.demand(), NOW), Err(ProofError::Full));
    });
    let mut said = String::new();
    log.rewind().unwrap();
    log.read_to_string(&mut said).unwrap();
    let once = "The list of used DPoP proofs is full: what is new is refused list.limit=2";
    assert_eq!(said.matches(once).count(), 1, "{said}");
}
