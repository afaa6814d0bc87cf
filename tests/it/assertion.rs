//! The signed assertion: applications that verify take ours, for them, and no other.

use std::{io::Write as _, time::Duration};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Value, json};

use crate::support::{Browser, Gate, Log, Upstream, upstream::Received, wire};

const HEADER: &str = "X-Doorward-Assertion";

/// A private key as `openssl genpkey` writes it.
fn key() -> String {
    rcgen::KeyPair::generate().unwrap().serialize_pem()
}

fn file(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

/// What a careful application does: the key by its `kid` out of our set, ES256 and nothing else, our name, its own name, the time.
fn verified(token: &str, jwks: &str, issuer: &str, audience: &str, now: u64) -> Result<Value, String> {
    let head = jsonwebtoken::decode_header(token).map_err(|error| error.to_string())?;
    let keys: JwkSet = serde_json::from_str(jwks).unwrap();
    let key = keys.find(&head.kid.ok_or("no kid")?).ok_or("unknown key")?;
    let mut expected = Validation::new(Algorithm::ES256);
    expected.set_audience(&[audience]);
    expected.set_issuer(&[issuer]);
    expected.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
    // The test's clock is not the machine's.
    expected.validate_exp = false;
    let key = DecodingKey::from_jwk(key).unwrap();
    let claims = jsonwebtoken::decode::<Value>(token, &key, &expected).map_err(|error| error.to_string())?.claims;
    let (from, to) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    if (from..to).contains(&now) { Ok(claims) } else { Err("not now".to_owned()) }
}

async fn jwks(gate: &Gate) -> String {
    jwks_of(gate, gate).await
}

/// Those of `replica`, asked for by the name of `gate`.
async fn jwks_of(gate: &Gate, replica: &Gate) -> String {
    let answer = replica.say(wire::request(gate, "GET /_auth/jwks.json", &[])).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/jwk-set+json"));
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    assert!(answer.all("set-cookie").is_empty());
    answer.text()
}

fn token(received: &Received) -> String {
    received.one(HEADER).expect("an assertion")
}

/// T-010.
#[tokio::test]
async fn an_application_takes_what_was_made_for_it_alone() {
    let b = Upstream::start().await;
    let routes = format!(
        r#"
        [[routes]]
        path = "/"
        upstream = "UPSTREAM"
        [[routes]]
        path = "/b"
        upstream = "{}"
        [[routes]]
        path = "/named"
        upstream = "UPSTREAM"
        audience = "the wiki"
        [[routes]]
        path = "/open"
        upstream = "UPSTREAM"
        anonymous = true
        [assertion]
        header = "{HEADER}"
        [headers.claims]
        X-Groups = "groups"
        "#,
        b.url()
    );
    let key_file = file(&key());
    let gate = Gate::routing(&routes, &[("assertion.key_file", key_file.path().to_str().unwrap())]).await;
    let cookie = gate.cookie_of("ada").await;
    let (issuer, keys, now) = (gate.url(""), jwks(&gate).await, gate.clock.now().0);

    let forged = format!("{HEADER}: e30.e30.e30\r\nx_doorward_assertion: admin");
    gate.ask("GET /a", &[&cookie, &forged]).await;
    let received = gate.upstream.take_one();
    let for_a = token(&received);
    assert_eq!(received.alike("x-doorward-assertion"), [for_a.as_str()], "ours alone");
    let claims = verified(&for_a, &keys, &issuer, &gate.upstream.url(), now).unwrap();
    let said = json!({
        "iss": issuer, "aud": gate.upstream.url(), "sub": "ada", "iat": now, "exp": now + 120, "groups": ["staff", "engineering"],
    });
    assert_eq!(claims, said);

    gate.ask("GET /b", &[&cookie]).await;
    let for_b = token(&b.take_one());
    gate.ask("GET /named", &[&cookie]).await;
    let for_wiki = token(&gate.upstream.take_one());
    for (token, audience, counts) in [
        (&for_a, &*gate.upstream.url(), true),
        (&for_a, &b.url(), false),
        (&for_a, "the wiki", false),
        (&for_b, &b.url(), true),
        (&for_b, &gate.upstream.url(), false),
        (&for_wiki, "the wiki", true),
        (&for_wiki, &gate.upstream.url(), false),
    ] {
        assert_eq!(verified(token, &keys, &issuer, audience, now).is_ok(), counts, "{audience}");
    }
    assert!(verified(&for_a, &keys, "https://evil.example", &gate.upstream.url(), now).is_err());
    assert!(verified(&for_a, &keys, &issuer, &gate.upstream.url(), now + 120).is_err(), "too old");

    // Another gateway's key.
    let other_key = file(&key());
    let other_path = other_key.path().to_str().unwrap();
    let other = gate.replica(&[("upstream", "-"), ("file", &routes), ("assertion.key_file", other_path)]).await;
    let theirs = jwks_of(&gate, &other).await;
    assert!(verified(&for_a, &theirs, &issuer, &gate.upstream.url(), now).is_err());

    // Where nobody is asked, nothing is asserted.
    gate.ask("GET /open", &[&cookie, &forged]).await;
    assert!(gate.upstream.take_one().alike("x-doorward-assertion").is_empty());
}

fn signing<'a>(key: &'a str, previous: &'a str) -> [(&'a str, &'a str); 3] {
    [("assertion.header", HEADER), ("assertion.key", key), ("assertion.previous_keys", previous)]
}

/// Signed once a minute for each session; whatever else happens, an application that verifies finds its key.
#[tokio::test]
async fn keys_change_without_a_gap() {
    let (old, new) = (key(), key());
    let gate = Gate::with(&signing(&old, &new)).await;
    let (ada, grace) = (gate.cookie_of("ada").await, gate.cookie_of("grace").await);
    let ask = async |cookie: &str| {
        assert_eq!(gate.ask("GET /", &[cookie]).await.status, 200);
        token(&gate.upstream.take_one())
    };
    let first = ask(&ada).await;
    assert_eq!(ask(&ada).await, first, "kept");
    assert_ne!(ask(&grace).await, first);
    gate.advance(Duration::from_secs(60));
    let second = ask(&ada).await;
    assert_ne!(second, first, "no longer than a minute");

    let early = jwks(&gate).await;
    gate.reload(gate.settings(&signing(&new, &old))).await;
    let third = ask(&ada).await;
    let late = jwks(&gate).await;
    let (issuer, audience, now) = (gate.url(""), gate.upstream.url(), gate.clock.now().0);
    assert_ne!(jsonwebtoken::decode_header(&second).unwrap().kid, jsonwebtoken::decode_header(&third).unwrap().kid);
    for keys in [&early, &late] {
        for token in [&second, &third] {
            verified(token, keys, &issuer, &audience, now).unwrap();
        }
    }
}

#[tokio::test]
async fn without_a_header_there_are_no_keys() {
    let gate = Gate::start().await;
    assert_eq!(gate.ask("GET /_auth/jwks.json", &[]).await.status, 404);
    gate.ask("GET /", &[&gate.cookie_of("ada").await]).await;
    assert!(gate.upstream.take_one().alike("x-doorward-assertion").is_empty());
}

/// Nothing secret in logs, at any level, and nothing on a page.
#[tokio::test]
async fn neither_key_nor_assertion_is_written_anywhere() {
    let log = Log::capture();
    let pem = key();
    let gate = Gate::with(&[("assertion.header", HEADER), ("assertion.key", &pem)]).await;
    let mut browser = Browser::new();
    browser.sign_in(&gate, "ada").await;
    browser.get(&gate.url("/")).await;
    let signed = token(&gate.upstream.take_one());
    let keys = jwks(&gate).await;
    let written = log.text();
    let secret = pem.lines().nth(1).unwrap();
    assert!(written.contains("GET"), "{written}");
    for text in [&written, &keys] {
        assert!(!text.contains(secret) && !text.contains(&signed) && !text.contains("\"d\""), "{text}");
    }
}
