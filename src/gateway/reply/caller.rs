//! What a program is told whose token does not count (RFC 6750 §3.1).

use http::{StatusCode, header};

use super::{Fault, RETRY_AFTER, TELL_OPERATOR, Told, WAIT, capital};
use crate::{
    gateway::{
        authenticate::{CallerError, Unbound},
        resource::Challenge,
    },
    providers::BearerError,
    telemetry::causes,
    tokens::{self, TokenError, dpop::ProofError},
};

const ANOTHER: &str = "Get another token, for this address, and send what you sent once more.";

pub(super) fn told(error: &CallerError, challenge: &Challenge) -> Told {
    use CallerError as E;
    match error {
        E::Unreadable(_) | E::BothAtOnce => {
            let cause = format!("{}.", capital(&error.to_string()));
            Told::new(StatusCode::BAD_REQUEST, Fault::Caller, "Malformed request", cause)
                .advice("Send one of a session cookie and one `Authorization: Bearer` with one token.")
                .challenged(challenge, &[("error", "invalid_request")])
        }
        E::NoToken => no_token(challenge),
        E::Token(error) if error.is_refusal() => invalid(tokens::description(error), challenge),
        E::Token(error) => unknown(error),
        E::Audience { .. } => invalid("the token is for somebody else", challenge),
        E::Unbound(why) => {
            let what = match why {
                Unbound::NoProof => "the token is bound to a key: a DPoP proof is needed",
                Unbound::Proofs => "exactly one DPoP proof is needed",
                Unbound::Proof(ProofError::Full) => return full(),
                Unbound::Proof(_) => return proof(challenge),
                Unbound::NotBound => "the token is bound to no key: use the scheme Bearer",
                Unbound::Certificate => "the token is bound to another client certificate",
                Unbound::Unknown => "the token is bound to something that cannot be checked here",
            };
            invalid(what, challenge)
        }
        E::Nameless(why) => Told::new(
            StatusCode::FORBIDDEN,
            Fault::Caller,
            "No usable user name",
            format!("{}.", capital(&causes(why))),
        )
        .advice(TELL_OPERATOR),
    }
}

/// RFC 6750 §3.1: no error code when the request carried no credential at all.
fn no_token(challenge: &Challenge) -> Told {
    Told::new(
        StatusCode::UNAUTHORIZED,
        Fault::Caller,
        "Token needed",
        "This address is for programs, and needs a token.",
    )
    .advice("Send a token in the header `Authorization: Bearer`.")
    .challenged(challenge, &[])
}

pub(super) fn scope(scopes: &str, challenge: &Challenge) -> Told {
    let cause = format!("The token does not allow this; what is needed is `{scopes}`.");
    Told::new(StatusCode::FORBIDDEN, Fault::Caller, "Scope missing", cause)
        .advice(ANOTHER)
        .challenged(challenge, &[("error", "insufficient_scope"), ("scope", scopes)])
}

fn invalid(what: &'static str, challenge: &Challenge) -> Told {
    Told::new(StatusCode::UNAUTHORIZED, Fault::Caller, "Token not accepted", format!("{}.", capital(what)))
        .advice(ANOTHER)
        .challenged(challenge, &[("error", "invalid_token"), ("error_description", what)])
}

/// RFC 9449 §7.1.
fn proof(challenge: &Challenge) -> Told {
    let what = "the DPoP proof does not fit the request, or has been used";
    Told::new(StatusCode::UNAUTHORIZED, Fault::Caller, "Proof not accepted", format!("{}.", capital(what)))
        .advice("Make a new proof for each request.")
        .challenged(challenge, &[("error", "invalid_dpop_proof"), ("error_description", what)])
}

/// Whoever brings it has done nothing wrong, and nobody can tell whether it has been used.
fn full() -> Told {
    let cause = "Too many proofs have been used lately to remember another.";
    Told::new(StatusCode::SERVICE_UNAVAILABLE, Fault::Ours, "Proof cannot be checked right now", cause)
        .advice(WAIT)
        .retry_after(RETRY_AFTER)
}

fn unknown(error: &TokenError) -> Told {
    let cause = "Nobody can say now whether the token is good.";
    let told = |fault| {
        Told::new(StatusCode::SERVICE_UNAVAILABLE, fault, "Token cannot be checked right now", cause).advice(WAIT)
    };
    match error {
        TokenError::Bearer(BearerError::Unavailable(error)) => told(Fault::Provider).retry_after(error.retry_after),
        TokenError::Bearer(BearerError::NotOffered(_) | BearerError::Signing(_) | BearerError::Misconfigured(_)) => {
            Told::new(StatusCode::INTERNAL_SERVER_ERROR, Fault::Ours, "Something went wrong", cause)
                .advice(TELL_OPERATOR)
        }
        TokenError::Bearer(BearerError::Endpoint { .. } | BearerError::Answer { .. } | BearerError::Refused(_))
        | TokenError::UnknownIssuer
        | TokenError::NobodyAnswers => told(Fault::Provider).retry_after(RETRY_AFTER),
    }
}

impl Told {
    /// With what a program has to know to do better.
    pub(super) fn challenged(self, challenge: &Challenge, parameters: &[(&str, &str)]) -> Self {
        challenge.with(parameters).into_iter().fold(self, |told, value| told.header(header::WWW_AUTHENTICATE, value))
    }
}
