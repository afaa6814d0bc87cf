//! `Proofs::check`: whatever comes as a proof is refused or fits, and what fits counts once.
//!
//! An input that begins with `+` is a header and, after a line break, a payload: they are signed by the good key. One that begins with `~` is
//! a list of changes to a good proof, each two bytes of place and one to write there. Any other is the proof itself.

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use doorward::{
    clock::UnixTime,
    tokens::dpop::{Demand, ProofError, Proofs},
};
use http::Method;
use serde_json::Value;
use url::Url;

const NOW: u64 = 1_800_000_000;
const URL: &str = "https://app.example.com/api/items";
/// That of RFC 9449 §7.1.
const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
const ATH: &str = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo";
/// The key of RFC 8037 §A.
const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const THUMBPRINT: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
const GOOD: (&str, &str) = (
    r#"{"typ":"dpop+jwt","alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}"#,
    r#"{"jti":"j-1","htm":"POST","htu":"https://app.example.com/api/items","iat":1800000000,"ath":"fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"}"#,
);

/// What becomes of `input`: the word that the name of a corpus file begins with.
pub(crate) fn run(input: &[u8]) -> &'static str {
    let is_accepted = match input {
        [b'+', rest @ ..] => {
            let (header, payload) = halves(rest);
            let is_accepted = is_accepted(&signed(header, payload));
            if is_accepted {
                fits(payload);
            }
            is_accepted
        }
        [b'~', changes @ ..] => {
            let good = signed(GOOD.0.as_bytes(), GOOD.1.as_bytes());
            let Some(changed) = changed(&good, changes) else { return "refused" };
            let is_accepted = is_accepted(&changed);
            assert_eq!(is_accepted, changed == good, "a changed proof is another proof");
            is_accepted
        }
        text => std::str::from_utf8(text).is_ok_and(is_accepted),
    };
    if is_accepted { "accepted" } else { "refused" }
}

/// Whether `proof` counts. It never does twice, and being refused changes nothing.
fn is_accepted(proof: &str) -> bool {
    let Ok(url) = Url::parse(URL) else { unreachable!() };
    let demand = Demand { method: &Method::POST, url: &url, token: TOKEN, thumbprint: THUMBPRINT };
    let proofs = Proofs::new(2);
    let [first, second] = [(); 2].map(|()| proofs.check(proof, &demand, UnixTime(NOW)));
    if let Err(error) = &first {
        assert!(!format!("{error:?}{error}").contains(TOKEN), "no error tells the token");
    }
    let expected = if first.is_ok() { Err(ProofError::Used) } else { first.clone() };
    assert_eq!(second, expected);
    first.is_ok()
}

/// What was accepted says what it should, to a reader that knows no other rules.
fn fits(payload: &[u8]) {
    let claims: Value = serde_json::from_slice(payload).unwrap_or_default();
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    assert_eq!((text("htm"), text("ath")), ("POST", ATH));
    assert!((1..=255).contains(&text("jti").len()));
    let iat = claims.get("iat").and_then(Value::as_f64).unwrap_or_default();
    assert!((NOW as f64 - 60.0..=NOW as f64 + 60.0).contains(&iat));
    let without_rest = |mut url: Url| {
        url.set_query(None);
        url.set_fragment(None);
        url.to_string()
    };
    assert_eq!(Url::parse(text("htu")).map(without_rest).as_deref(), Ok(URL));
}

fn halves(input: &[u8]) -> (&[u8], &[u8]) {
    let mut lines = input.splitn(2, |byte| *byte == b'\n');
    (lines.next().unwrap_or_default(), lines.next().unwrap_or_default())
}

fn signed(header: &[u8], payload: &[u8]) -> String {
    let seed = BASE64URL.decode(SEED).unwrap_or_default();
    let Ok(key) = Ed25519KeyPair::from_seed_unchecked(&seed) else { unreachable!() };
    let message = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(payload));
    let signature = BASE64URL.encode(key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// `proof` with `changes` made; `None` when that is no text.
fn changed(proof: &str, changes: &[u8]) -> Option<String> {
    let mut bytes = proof.as_bytes().to_vec();
    for change in changes.chunks_exact(3) {
        if let [high, low, byte] = *change {
            let at = usize::from(u16::from_be_bytes([high, low])) % bytes.len();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
    }
    String::from_utf8(bytes).ok()
}
