//! Tokens that are bound to a key or a certificate: whoever has only the token has nothing (RFC 9449, RFC 8705).

use std::sync::Arc;

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use serde_json::{Value, json};

use doorward::clock::Clock;
use rustls::{
    ClientConfig, RootCertStore, crypto,
    pki_types::{PrivateKeyDer, ServerName},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::{challenge, claims, gate, refused, token, with};
use crate::support::{Caller, Gate, Upstream, gate as told, gate::NOW, wire::Raw};

/// A program's own key.
struct Key(EcdsaKeyPair);

impl Key {
    fn generate() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn coordinates(&self) -> [String; 2] {
        let point = self.0.public_key().as_ref();
        [BASE64URL.encode(&point[1..33]), BASE64URL.encode(&point[33..65])]
    }

    fn thumbprint(&self) -> String {
        let [x, y] = self.coordinates();
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        BASE64URL.encode(digest(&SHA256, members.as_bytes()))
    }

    /// A proof with these claims.
    fn proof(&self, claims: &Value) -> String {
        let [x, y] = self.coordinates();
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": {"kty": "EC", "crv": "P-256", "x": x, "y": y}});
        let message = format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(claims.to_string()));
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", BASE64URL.encode(signature))
    }
}

/// A token that is bound to `key`.
fn bound(gate: &Gate, key: &Key) -> String {
    token(&gate.provider, &with(claims(gate), &json!({"cnf": {"jkt": key.thumbprint()}})))
}

/// What a good proof for `GET /api/x` says.
fn proof_claims(gate: &Gate, token: &str, jti: &str) -> Value {
    let ath = BASE64URL.encode(digest(&SHA256, token.as_bytes()));
    json!({"htm": "GET", "htu": gate.url("/api/x"), "iat": NOW.0, "jti": jti, "ath": ath})
}

async fn ask(gate: &Gate, scheme: &str, token: &str, proofs: &[&str]) -> Raw {
    let mut lines = vec![format!("Authorization: {scheme} {token}")];
    lines.extend(proofs.iter().map(|proof| format!("DPoP: {proof}")));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    gate.ask("GET /api/x?y=z", &lines).await
}

#[tokio::test]
async fn a_bound_token_needs_its_owners_proof() {
    let gate = gate(&[]).await;
    let (key, other) = (Key::generate(), Key::generate());
    let token = bound(&gate, &key);
    let claims = |changes: Value| with(proof_claims(&gate, &token, &changes.to_string()), &changes);
    let good = key.proof(&proof_claims(&gate, &token, "1"));

    for (case, scheme, proofs, error) in [
        ("without a proof", "Bearer", vec![], "invalid_token"),
        ("as Bearer, with a proof", "Bearer", vec![good.clone()], "invalid_token"),
        ("no proof", "DPoP", vec![], "invalid_token"),
        ("two proofs", "DPoP", vec![good.clone(), good.clone()], "invalid_token"),
        ("rubbish", "DPoP", vec!["x.y.z".to_owned()], "invalid_dpop_proof"),
        ("another key's", "DPoP", vec![other.proof(&claims(json!({})))], "invalid_dpop_proof"),
        ("another method", "DPoP", vec![key.proof(&claims(json!({"htm": "POST"})))], "invalid_dpop_proof"),
        ("another path", "DPoP", vec![key.proof(&claims(json!({"htu": gate.url("/api")})))], "invalid_dpop_proof"),
        (
            "another host",
            "DPoP",
            vec![key.proof(&claims(json!({"htu": "http://evil.example/api/x"})))],
            "invalid_dpop_proof",
        ),
        ("another token's", "DPoP", vec![key.proof(&claims(json!({"ath": "x"})))], "invalid_dpop_proof"),
        ("of no token", "DPoP", vec![key.proof(&claims(json!({"ath": null})))], "invalid_dpop_proof"),
        ("too old", "DPoP", vec![key.proof(&claims(json!({"iat": NOW.0 - 61})))], "invalid_dpop_proof"),
        ("from the future", "DPoP", vec![key.proof(&claims(json!({"iat": NOW.0 + 61})))], "invalid_dpop_proof"),
    ] {
        let proofs: Vec<&str> = proofs.iter().map(String::as_str).collect();
        let answer = ask(&gate, scheme, &token, &proofs).await;
        assert_eq!(refused(&gate, &answer), (401, error.to_owned()), "{case}");
        assert_eq!(challenge(&answer, "DPoP", "error").as_deref(), Some(error), "{case}");
    }

    // Good once, whatever stands in the query; and the application sees neither token nor proof.
    assert_eq!(ask(&gate, "DPoP", &token, &[&good]).await.status, 200);
    let request = gate.upstream.take_one();
    assert_eq!(request.alike("x-user"), ["ada"]);
    assert!(request.all("authorization").is_empty() && request.all("dpop").is_empty());
    let replayed = ask(&gate, "DPoP", &token, &[&good]).await;
    assert_eq!(refused(&gate, &replayed), (401, "invalid_dpop_proof".to_owned()));
    // A reload forgets no proof.
    let routes = [("upstream", "-"), ("file", super::ROUTES)];
    gate.reload(gate.settings(&routes)).await;
    assert_eq!(ask(&gate, "DPoP", &token, &[&good]).await.status, 401);
    assert_eq!(ask(&gate, "DPoP", &token, &[&key.proof(&proof_claims(&gate, &token, "2"))]).await.status, 200);
}

/// The other way round: a proof beside a token that is bound to nothing proves nothing.
#[tokio::test]
async fn a_proof_needs_a_bound_token() {
    let gate = gate(&[]).await;
    let (key, token) = (Key::generate(), super::good(&gate));
    let proof = key.proof(&proof_claims(&gate, &token, "1"));
    let answer = ask(&gate, "DPoP", &token, &[&proof]).await;
    assert_eq!(refused(&gate, &answer), (401, "invalid_token".to_owned()));
    let certificate = with(claims(&gate), &json!({"cnf": {"x5t#S256": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}));
    let answer = ask(&gate, "DPoP", &super::token(&gate.provider, &certificate), &[&proof]).await;
    assert_eq!(refused(&gate, &answer), (401, "invalid_token".to_owned()));
}

/// RFC 8705 §3: the connection has to have the certificate that the token names, and that needs its key.
#[tokio::test]
async fn a_token_can_be_bound_to_a_certificate() {
    let public = "https://app.example.com";
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let own = rcgen::generate_simple_self_signed(["app.example.com".to_owned()]).unwrap();
    std::fs::write(&cert, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let (ours, others) = (certificate("script"), certificate("another"));

    for (asks, certificate, status) in
        [("true", None, 401), ("true", Some(&others), 401), ("true", Some(&ours), 200), ("false", Some(&ours), 401)]
    {
        let clock = Clock::stopped(NOW);
        let provider = told::provider(public, &clock).await;
        let more = [
            ("public_url", public),
            ("credentials", "bearer"),
            ("tls.cert", cert.to_str().unwrap()),
            ("tls.key", key.to_str().unwrap()),
            ("tls.client_certificates", asks),
        ];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gate = Gate::beside(listener, provider, Upstream::start().await, clock, &more);
        let mut roots = RootCertStore::empty();
        roots.add(own.cert.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match certificate {
            None => config.with_no_client_auth(),
            Some(shown) => {
                let key = PrivateKeyDer::Pkcs8(shown.signing_key.serialize_der().into());
                config.with_client_auth_cert(vec![shown.cert.der().clone()], key).unwrap()
            }
        };
        let stream = TcpStream::connect(gate.address).await.unwrap();
        let name = ServerName::try_from("app.example.com").unwrap();
        let mut caller = Caller::on(TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap());
        let thumbprint = BASE64URL.encode(digest(&SHA256, ours.cert.der()));
        let bound = json!({"aud": public, "cnf": {"x5t#S256": thumbprint}});
        let token = token(&gate.provider, &with(claims(&gate), &bound));
        let request = format!("GET / HTTP/1.1\r\nHost: app.example.com\r\nAuthorization: Bearer {token}\r\n\r\n");
        let answer = caller.ask(request).await;
        assert_eq!(answer.status, status, "{asks} {}: {}", certificate.is_some(), answer.text());
        assert_eq!(gate.upstream.take().len(), usize::from(status == 200));
    }
}

/// A program's own.
fn certificate(name: &str) -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed([name.to_owned()]).unwrap()
}
