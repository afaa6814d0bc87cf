//! What can be done with a token once it is out: ask about the person (userinfo), ask whether it is good (introspection),
//! end it (revocation).

use http::{StatusCode, header::AUTHORIZATION, header::WWW_AUTHENTICATE};
use serde_json::{Map, Value, json};

use super::{
    State,
    grants::{ACCESS_LIFETIME, Access},
    keys::compact,
    lock,
    refusal::{ErrorCode, Refusal},
    request::Received,
};
use crate::dev::answer::{self, Answer};

/// OpenID Connect Core §5.3.
pub(super) fn userinfo(state: &State, received: &Received) -> Answer {
    if !received.head.headers.contains_key(AUTHORIZATION) {
        // RFC 6750 §3.1: no error code when the request carried no credential at all.
        let mut answer = answer::bare(StatusCode::UNAUTHORIZED);
        answer::set(&mut answer, WWW_AUTHENTICATE, "Bearer");
        return answer;
    }
    let refused = || Refusal::new(ErrorCode::InvalidToken, "the access token is unknown or its time is over");
    let header = received.header(AUTHORIZATION).and_then(|value| value.split_once(' '));
    let token = header.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    let mut grants = lock(&state.grants);
    let Some(access) = token.and_then(|token| grants.access.get(token, state.clock.now())) else {
        return refused().bearer_answer();
    };
    let client = access.grant.client.clone();
    let mut claims = access.grant.person.claims.clone();
    claims.insert("sub".to_owned(), json!(access.grant.person.sub));
    drop(grants);
    state.faults.change_userinfo(&mut claims);
    if !state.quirks.signs_userinfo() {
        return answer::json(StatusCode::OK, &claims);
    }
    // OpenID Connect Core §5.3.2.
    claims.extend([("iss".to_owned(), json!(state.name())), ("aud".to_owned(), json!(client))]);
    let keys = lock(&state.keys).clone();
    let header = json!({ "alg": "ES256", "kid": keys.current().kid() }).to_string();
    let token =
        compact(header.as_bytes(), Value::Object(claims).to_string().as_bytes(), |input| keys.current().sign(input));
    answer::with(StatusCode::OK, "application/jwt", token)
}

/// RFC 7662. Any client with a secret may ask about any access token; a refresh token is not one.
pub(super) fn introspect(state: &State, received: &Received) -> Answer {
    introspected(state, received).unwrap_or_else(|refusal| refusal.answer())
}

fn introspected(state: &State, received: &Received) -> Result<Answer, Refusal> {
    let form = received.form()?;
    let client = state.authenticated(received, &form)?;
    if client.secret.is_none() {
        // §2.1: whoever asks has to be somebody, or tokens could be guessed here.
        return Err(Refusal::new(ErrorCode::InvalidClient, "a client without a secret may not ask"));
    }
    let token = form.required("token")?;
    let mut grants = lock(&state.grants);
    // §2.2: about a token that is not good nothing more is said.
    let access = grants.access.get(token, state.clock.now());
    let mut told = match access {
        Some(Access { grant, issued }) => {
            let mut told = grant.person.claims.clone();
            told.extend(Map::from_iter([
                ("active".to_owned(), json!(true)),
                ("iss".to_owned(), json!(state.name())),
                ("sub".to_owned(), json!(grant.person.sub)),
                ("aud".to_owned(), json!(grant.client)),
                ("client_id".to_owned(), json!(grant.client)),
                ("scope".to_owned(), json!(grant.scope)),
                ("token_type".to_owned(), json!("Bearer")),
                ("iat".to_owned(), json!(issued.0)),
                ("exp".to_owned(), json!(issued.plus(ACCESS_LIFETIME).0)),
            ]));
            told
        }
        None => Map::from_iter([("active".to_owned(), json!(false))]),
    };
    drop(grants);
    state.faults.change_introspection(&mut told);
    Ok(answer::json(StatusCode::OK, &told))
}

/// RFC 7009.
pub(super) fn revoke(state: &State, received: &Received) -> Answer {
    revoked(state, received).unwrap_or_else(|refusal| refusal.answer())
}

fn revoked(state: &State, received: &Received) -> Result<Answer, Refusal> {
    let form = received.form()?;
    let client = state.authenticated(received, &form)?;
    let token = form.required("token")?;
    let now = state.clock.now();
    let mut grants = lock(&state.grants);
    // §2.1: the refresh token ends its grant, an access token only itself; nobody ends another client's.
    if let Some(refresh) = grants.refresh.get(token, now).map(|refresh| refresh.grant.clone()) {
        if refresh.client == client.id {
            grants.end(&refresh.sid);
        }
    } else if grants.access.get(token, now).is_some_and(|access| access.grant.client == client.id) {
        grants.access.remove(token);
    }
    // §2.2: an unknown token is as good as ended.
    Ok(answer::bare(StatusCode::OK))
}

#[cfg(test)]
mod tests {
    use crate::dev::provider::{
        Endpoint,
        testing::{Running, as_app, basic},
    };

    #[tokio::test]
    async fn userinfo_is_for_good_access_tokens() {
        let op = Running::start().await;
        let tokens = op.tokens().await;
        for token in ["", "made-up", tokens["refresh_token"].as_str().unwrap(), tokens["id_token"].as_str().unwrap()] {
            let answer = op.userinfo(token).await;
            assert_eq!(answer.status, 401, "{token}");
            assert!(answer.header("www-authenticate").starts_with("Bearer error=\"invalid_token\""), "{token}");
        }
        let nothing = op.get(Endpoint::Userinfo).await;
        assert_eq!((nothing.status.as_u16(), nothing.header("www-authenticate")), (401, "Bearer"));
        // RFC 6750 §2.3: not in the address.
        let target = format!("{}?access_token={}", Endpoint::Userinfo.path(), tokens["access_token"].as_str().unwrap());
        assert_eq!(op.caller.send(op.caller.get(&target)).await.status, 401);
    }

    #[tokio::test]
    async fn introspection_is_for_clients_with_a_secret() {
        let op = Running::start().await;
        let tokens = op.tokens().await;
        let token = tokens["access_token"].as_str().unwrap();
        let by_form = |fields: &[(&'static str, &'static str)]| [&[("token", token)], fields].concat();
        for (fields, status) in [
            (by_form(&[]), 401),
            (by_form(&[("client_id", "public")]), 401),
            (by_form(&[("client_id", "app"), ("client_secret", "wrong")]), 401),
            (by_form(&[("client_id", "other"), ("client_secret", "other-secret")]), 200),
        ] {
            assert_eq!(op.post(Endpoint::Introspection, &fields).await.status, status, "{fields:?}");
        }
        assert!(op.is_active(token).await);
        assert!(!op.is_active("made-up").await);
        let unknown = op.caller.form(Endpoint::Introspection.path(), &[("token", "made-up")]);
        assert_eq!(op.caller.send(as_app(unknown)).await.text(), r#"{"active":false}"#);
    }

    /// RFC 7009 §2.1, §2.2.
    #[tokio::test]
    async fn a_client_ends_its_own_tokens_only() {
        let op = Running::start().await;
        let tokens = op.tokens().await;
        let (access, refresh) = (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
        for (client, secret, token, is_active) in [
            ("other", "other-secret", access, true),
            ("other", "other-secret", refresh, true),
            ("app", crate::dev::provider::testing::SECRET, "made-up", true),
            ("app", crate::dev::provider::testing::SECRET, refresh, false),
        ] {
            let form = op.caller.form(Endpoint::Revocation.path(), &[("token", token)]);
            assert_eq!(op.caller.send(basic(form, client, secret)).await.status, 200);
            assert_eq!(op.is_active(access).await, is_active, "{client}");
        }
        let anonymous = op.post(Endpoint::Revocation, &[("token", access)]).await;
        assert_eq!(anonymous.status, 401);
    }
}
