//! The token in `Authorization`; what a token shows of itself, and the reading of a JWS: they agree about what is one.
//!
//! An input that begins with `+` is the parts of a token, one a line, before they are base64url. Any other is the token itself.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use doorward::{
    providers::{ProofJwt, Shape},
    tokens::{dpop::ALGORITHMS, presented},
};
use jsonwebtoken::Algorithm;

/// What becomes of `input`: the word that the name of a corpus file begins with.
pub(crate) fn run(input: &[u8]) -> &'static str {
    if let Ok(Some(presented)) = presented::read(input) {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        assert!(!presented.token.is_empty() && presented.token.bytes().all(fits), "one token and nothing else");
    }
    match input {
        [b'+', parts @ ..] => {
            let parts: Vec<String> = parts.split(|byte| *byte == b'\n').map(|part| BASE64URL.encode(part)).collect();
            look_at(&parts.join("."))
        }
        text => std::str::from_utf8(text).map_or("opaque", look_at),
    }
}

fn look_at(token: &str) -> &'static str {
    let dots = token.matches('.').count();
    let short = |iss: &Option<Box<str>>| iss.as_ref().is_none_or(|iss| iss.len() <= 2_048);
    let shape = Shape::of(token);
    let shown = match &shape {
        Shape::Jwt(iss) => {
            assert!(dots == 2 && short(iss));
            "jwt"
        }
        Shape::Encrypted(iss) => {
            assert!(dots == 4 && short(iss));
            "encrypted"
        }
        Shape::BlackBox => "opaque",
    };
    let accepted: Vec<Algorithm> = ALGORITHMS.iter().filter_map(|name| name.parse().ok()).collect();
    if let Ok(jws) = ProofJwt::parse(token, &accepted) {
        assert!(matches!(shape, Shape::Jwt(_)), "what can be read is not taken for something else");
        assert_eq!(BASE64URL.decode(jws.thumbprint()).map_or(0, |hash| hash.len()), 32);
        let _whether_signed = jws.claims();
    }
    shown
}
