//! The token endpoint: codes and refresh tokens become tokens (RFC 6749 §3.2).
//!
//! The client proves itself first. A code is good once, for the client, the redirect URI and the PKCE challenge it was given
//! for, and any attempt uses it up. A refresh token is good once and replaced. Whoever comes with a used one ends everything
//! that came from that sign-in (RFC 9700 §4.5.3, §4.14.2).

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use http::StatusCode;
use serde_json::{Map, json};
use subtle::ConstantTimeEq;

use super::{
    State,
    client::Client,
    grants::{ACCESS_LIFETIME, Access, Grant, Grants, Refresh},
    id_token::id_token,
    lock,
    refusal::{ErrorCode, Refusal},
    request::{Params, Received},
};
use crate::{
    clock::UnixTime,
    dev::answer::{self, Answer},
};

pub(super) fn answer(state: &State, received: &Received) -> Answer {
    tokens(state, received).unwrap_or_else(|refusal| refusal.answer())
}

fn tokens(state: &State, received: &Received) -> Result<Answer, Refusal> {
    let form = received.form()?;
    let client = state.authenticated(received, &form)?;
    let now = state.clock.now();
    let issued = match form.required("grant_type")? {
        "authorization_code" => redeem(&mut lock(&state.grants), client, &form, now)?,
        "refresh_token" => {
            let mut grants = lock(&state.grants);
            let renewed = renew(&mut grants, client, &form, state.quirks.keeps_refresh_tokens(), now);
            match &renewed {
                Ok(_) => grants.refreshes.granted += 1,
                Err(refusal) if refusal.description == REUSED => grants.refreshes.reused += 1,
                Err(_) => grants.refreshes.refused += 1,
            }
            renewed?
        }
        _ => return Err(Refusal::new(ErrorCode::UnsupportedGrantType, "a code or a refresh token is needed")),
    };
    let mut answer = Map::from_iter([
        ("access_token".to_owned(), json!(issued.access_token)),
        ("token_type".to_owned(), json!("Bearer")),
        ("expires_in".to_owned(), json!(ACCESS_LIFETIME.as_secs())),
        ("scope".to_owned(), json!(issued.grant.scope)),
    ]);
    let is_bare = issued.is_refresh && state.quirks.are_refreshes_bare();
    if issued.grant.has("openid") && !is_bare {
        let token = id_token(state, &issued.grant, &issued.access_token, issued.nonce.as_deref(), now);
        answer.insert("id_token".to_owned(), json!(token));
    }
    if let Some(token) = issued.refresh_token {
        answer.insert("refresh_token".to_owned(), json!(token));
    }
    state.faults.change_token_answer(&mut answer);
    Ok(answer::json(StatusCode::OK, &answer))
}

struct Issued {
    grant: Arc<Grant>,
    /// The authorization request's, the first time only.
    nonce: Option<String>,
    access_token: String,
    refresh_token: Option<String>,
    is_refresh: bool,
}

const REUSED: &str = "the refresh token was used before";

fn refused(description: &str) -> Refusal {
    Refusal::new(ErrorCode::InvalidGrant, description)
}

/// RFC 6749 §4.1.3.
fn redeem(grants: &mut Grants, client: &Client, form: &Params, now: UnixTime) -> Result<Issued, Refusal> {
    let (name, redirect_uri) = (form.required("code")?, form.required("redirect_uri")?);
    let code = grants.codes.get(name, now).ok_or_else(|| refused("the code is unknown or its time is over"))?;
    let grant = code.grant.clone();
    if std::mem::replace(&mut code.used, true) {
        grants.end(&grant.sid);
        return Err(refused("the code was used before"));
    }
    if grant.client != client.id {
        return Err(refused("the code was given to another client"));
    }
    if code.redirect_uri != redirect_uri {
        return Err(refused("the redirect URI is not the authorization request's"));
    }
    if let Some(challenge) = &code.challenge
        && !fits(form.required("code_verifier")?, challenge)
    {
        return Err(refused("the code verifier does not fit the challenge"));
    }
    // OpenID Connect Core §11.
    let refresh_token = grant.is_lasting.then(|| refresh_token(grants, &grant, now));
    let access_token = access_token(grants, &grant, now);
    Ok(Issued { nonce: grant.nonce.clone(), grant, access_token, refresh_token, is_refresh: false })
}

/// RFC 7636 §4.1, §4.6.
fn fits(verifier: &str, challenge: &str) -> bool {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    let well_formed = (43..=128).contains(&verifier.len()) && verifier.bytes().all(unreserved);
    let hash = BASE64URL.encode(digest(&SHA256, verifier.as_bytes()));
    well_formed && bool::from(hash.as_bytes().ct_eq(challenge.as_bytes()))
}

/// RFC 6749 §6. What `keeps` its refresh tokens takes them again and again.
fn renew(grants: &mut Grants, client: &Client, form: &Params, keeps: bool, now: UnixTime) -> Result<Issued, Refusal> {
    let name = form.required("refresh_token")?;
    let scope = form.one("scope")?;
    let refresh = grants.refresh.get(name, now).ok_or_else(|| refused("the refresh token is unknown or ended"))?;
    let grant = refresh.grant.clone();
    // Another client's try must not end this one's session: it is looked at before the token counts as used.
    if grant.client != client.id {
        return Err(refused("the refresh token was given to another client"));
    }
    if scope.is_some_and(|scope| !scope.split(' ').all(|scope| grant.has(scope))) {
        return Err(Refusal::new(ErrorCode::InvalidScope, "more scope than was granted"));
    }
    if !keeps && std::mem::replace(&mut refresh.used, true) {
        grants.end(&grant.sid);
        return Err(refused(REUSED));
    }
    let refresh_token = (!keeps).then(|| refresh_token(grants, &grant, now));
    let access_token = access_token(grants, &grant, now);
    Ok(Issued { grant, nonce: None, access_token, refresh_token, is_refresh: true })
}

fn access_token(grants: &mut Grants, grant: &Arc<Grant>, now: UnixTime) -> String {
    grants.access.insert(Access { grant: grant.clone(), issued: now }, now)
}

fn refresh_token(grants: &mut Grants, grant: &Arc<Grant>, now: UnixTime) -> String {
    grants.refresh.insert(Refresh { grant: grant.clone(), used: false }, now)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::dev::{
        provider::{
            Endpoint, Refreshes,
            testing::{Running, SECRET, START, as_app, basic, changed, redemption, request},
        },
        testing::Answered,
    };

    fn error(answer: &Answered) -> Value {
        assert!(answer.status.is_client_error(), "{}", answer.text());
        answer.json()["error"].clone()
    }

    #[tokio::test]
    async fn only_the_clients_own_complete_request_gets_tokens() {
        let op = Running::start().await;
        let long = "x".repeat(129);
        for (changes, answer) in [
            (vec![("grant_type", "")], "invalid_request"),
            (vec![("grant_type", "password")], "unsupported_grant_type"),
            (vec![("code", "")], "invalid_request"),
            (vec![("code", "made-up")], "invalid_grant"),
            (vec![("redirect_uri", "")], "invalid_request"),
            (vec![("redirect_uri", "http://127.0.0.1:4180/with?query=1")], "invalid_grant"),
            (vec![("code_verifier", "")], "invalid_request"),
            (vec![("code_verifier", "short")], "invalid_grant"),
            (vec![("code_verifier", &long)], "invalid_grant"),
            (vec![("code_verifier", "eBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")], "invalid_grant"),
            (vec![("code_verifier", "a"), ("code_verifier", "b")], "invalid_request"),
            (vec![("client_secret", SECRET)], "invalid_request"),
            (vec![("client_id", "other")], "invalid_request"),
        ] {
            let code = op.code(&request(&[])).await;
            let refused = op.token(&changed(&redemption(&code), &changes)).await;
            assert_eq!(error(&refused), answer, "{changes:?}");
        }
        let json = op.caller.post(Endpoint::Token.path(), "application/json", "{}");
        assert_eq!(error(&op.caller.send(as_app(json)).await), "invalid_request");
    }

    #[tokio::test]
    async fn a_client_proves_itself() {
        let op = Running::start().await;
        let by_form = |id, secret| vec![("client_id", id), ("client_secret", secret)];
        for (fields, accepted) in [
            (vec![], false),
            (by_form("app", ""), false),
            (by_form("app", "wrong"), false),
            (by_form("nobody", SECRET), false),
            (by_form("other", SECRET), false),
            (by_form("", SECRET), false),
            (by_form("public", SECRET), false),
            (by_form("app", SECRET), true),
            (by_form("public", ""), true),
        ] {
            let client = if fields.first() == Some(&("client_id", "public")) { "public" } else { "app" };
            let code = op.code(&request(&[("client_id", client)])).await;
            let answer = op.post(Endpoint::Token, &changed(&redemption(&code), &fields)).await;
            if accepted {
                assert_eq!(answer.status, 200, "{fields:?}");
            } else {
                assert_eq!((answer.status.as_u16(), error(&answer)), (401, json!("invalid_client")), "{fields:?}");
                assert!(answer.header("www-authenticate").starts_with("Basic"), "{fields:?}");
            }
        }
        for (authorization, status) in [("Basic !", 401), ("Bearer x", 401), ("Basic", 401), ("basic YXBwOng=", 401)] {
            let form = op.caller.form(Endpoint::Token.path(), &redemption("x")).header("authorization", authorization);
            assert_eq!(op.caller.send(form).await.status, status, "{authorization}");
        }
    }

    #[tokio::test]
    async fn a_code_is_for_one_client() {
        let op = Running::start().await;
        let code = op.code(&request(&[])).await;
        let stolen = op.caller.form(Endpoint::Token.path(), &redemption(&code));
        assert_eq!(error(&op.caller.send(basic(stolen, "other", "other-secret")).await), "invalid_grant");
        assert_eq!(error(&op.redeem(&code).await), "invalid_grant", "the try used it up");
    }

    #[tokio::test]
    async fn a_code_lives_a_minute() {
        let op = Running::start().await;
        let (early, late) = (op.code(&request(&[])).await, op.code(&request(&[])).await);
        op.clock.advance(Duration::from_secs(59));
        assert_eq!(op.redeem(&early).await.status, 200);
        op.clock.advance(Duration::from_secs(1));
        assert_eq!(error(&op.redeem(&late).await), "invalid_grant");
    }

    /// RFC 6749 §4.1.2.
    #[tokio::test]
    async fn a_code_used_twice_ends_what_it_gave() {
        let op = Running::start().await;
        let code = op.code(&request(&[])).await;
        let tokens = op.redeem(&code).await.json();
        let access_token = tokens["access_token"].as_str().unwrap();
        assert!(op.is_active(access_token).await);
        assert_eq!(error(&op.redeem(&code).await), "invalid_grant");
        assert!(!op.is_active(access_token).await);
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
        assert_eq!(error(&op.token(&refresh).await), "invalid_grant");
    }

    /// T-091.
    #[tokio::test]
    async fn a_refresh_token_is_replaced_and_its_second_use_ends_everything() {
        let op = Running::start().await;
        let first = op.tokens().await;
        let first_refresh = first["refresh_token"].as_str().unwrap();
        let renewal = |token| vec![("grant_type", "refresh_token"), ("refresh_token", token)];

        // What is refused leaves it good.
        let strangers = op.caller.form(Endpoint::Token.path(), &renewal(first_refresh));
        assert_eq!(error(&op.caller.send(basic(strangers, "other", "other-secret")).await), "invalid_grant");
        let greedy = changed(&renewal(first_refresh), &[("scope", "openid admin")]);
        assert_eq!(error(&op.token(&greedy).await), "invalid_scope");

        op.clock.advance(Duration::from_secs(300));
        let second = op.token(&renewal(first_refresh)).await.json();
        let second_refresh = second["refresh_token"].as_str().unwrap();
        assert_ne!(first_refresh, second_refresh);
        let (before, after) = (op.checked(&first["id_token"]).await.unwrap(), op.checked(&second["id_token"]).await);
        let (before, after) = (before.claims, after.unwrap().claims);
        for claim in ["iss", "sub", "aud", "sid", "auth_time"] {
            assert_eq!(before[claim], after[claim], "{claim}");
        }
        assert_eq!(after["iat"], json!(START.0 + 300));
        assert!(!after.contains_key("nonce"));

        assert_eq!(error(&op.token(&renewal(first_refresh)).await), "invalid_grant");
        assert_eq!(error(&op.token(&renewal(second_refresh)).await), "invalid_grant");
        assert_eq!(op.provider.refreshes(), Refreshes { granted: 1, reused: 1, refused: 3 });
        assert!(!op.is_active(second["access_token"].as_str().unwrap()).await);
    }

    #[tokio::test]
    async fn a_refresh_token_is_for_those_who_asked() {
        let op = Running::start().await;
        let code = op.code(&request(&[("scope", "openid")])).await;
        assert!(op.redeem(&code).await.json().get("refresh_token").is_none());
        assert!(op.tokens().await.get("refresh_token").is_some());
    }
}
