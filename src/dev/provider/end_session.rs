//! RP-initiated logout: ends what came from a sign-in, then sends the browser back or says that it is over.
//!
//! Which session it is, the `id_token_hint` says; without it there is nothing to end. The other clients of that session are told: behind the
//! browser's back, or in frames of a page. The browser goes only where the client's registration says.

use http::StatusCode;

use super::{
    State,
    authorization::with_query,
    client::Client,
    lock,
    refusal::{ErrorCode, Refusal},
    request::{Params, Received},
};
use crate::dev::answer::{self, Answer};

pub(super) fn answer(state: &State, received: &Received) -> Answer {
    match end(state, received) {
        Ok(Ended { location, frames }) if !frames.is_empty() => state.pages.frames(&frames, location.as_deref()),
        Ok(Ended { location: Some(location), .. }) => answer::redirect(&location),
        Ok(Ended { .. }) => state.pages.notice(StatusCode::OK, "You are signed out", "You can close this page."),
        Err(refusal) => {
            let text = format!(
                "The provider may not answer this request: {}. Nothing was ended here; your application may have signed you \
                 out on its own side.",
                refusal.description
            );
            state.pages.notice(StatusCode::BAD_REQUEST, "Nobody can sign out like this", &text)
        }
    }
}

struct Ended {
    /// Where the browser goes then, if the client said.
    location: Option<String>,
    /// What it visits before, for the other clients.
    frames: Vec<String>,
}

/// RP-Initiated Logout §2, §3.
fn end(state: &State, received: &Received) -> Result<Ended, Refusal> {
    let refused = |description| Refusal::new(ErrorCode::InvalidRequest, description);
    let params = received.query_or_form()?;
    let hint = params.one("id_token_hint")?.map(|token| Hint::read(state, token)).transpose()?;
    let named = match params.one("client_id")? {
        Some(id) => Some(state.client(id).ok_or_else(|| refused("the client is not registered"))?),
        None => None,
    };
    let client = match (named, &hint) {
        (Some(client), Some(hint)) if client.id != hint.client.id => {
            return Err(refused("the ID token was given to another client"));
        }
        (Some(client), _) => Some(client),
        (None, hint) => hint.as_ref().map(|hint| hint.client),
    };
    let location = location(client, &params)?;
    // Last: a request that is refused ends nothing.
    let session = hint.as_ref().and_then(|hint| lock(&state.grants).end(&hint.sid));
    let Some(mut session) = session else { return Ok(Ended { location, frames: Vec::new() }) };
    if let Some(client) = client {
        session.clients.remove(&client.id);
    }
    let frames = session.clients.iter().filter_map(|client| state.frontchannel_logout(client, &session.sid)).collect();
    let notices = state.notices(&session).into_iter().filter(|notice| notice.uri.is_some());
    for notice in notices {
        tokio::spawn(async move {
            let told = notice.send().await;
            tracing::debug!(client.id = notice.client, ?told, "Told a client that somebody is logged out");
        });
    }
    Ok(Ended { location, frames })
}

fn location(client: Option<&Client>, params: &Params) -> Result<Option<String>, Refusal> {
    let refused = |description| Refusal::new(ErrorCode::InvalidRequest, description);
    let Some(uri) = params.one("post_logout_redirect_uri")? else { return Ok(None) };
    let client =
        client.ok_or_else(|| refused("a redirect after the logout needs the client's name or its ID token"))?;
    if !client.post_logout_redirect_uris.iter().any(|registered| registered == uri) {
        return Err(refused("the redirect URI after the logout is not registered for this client"));
    }
    Ok(Some(match params.one("state")? {
        Some(state) => with_query(uri, &[("state", state)]),
        None => uri.to_owned(),
    }))
}

/// An ID token of ours, expired or not (§4): which session, for whom.
struct Hint<'a> {
    client: &'a Client,
    sid: String,
}

impl<'a> Hint<'a> {
    fn read(state: &'a State, token: &str) -> Result<Self, Refusal> {
        let keys = lock(&state.keys).clone();
        let read = || {
            let claims = keys.verified(token)?;
            let text = |name: &str| claims.get(name).and_then(|value| value.as_str());
            let is_ours = text("iss")? == state.name();
            let (client, sid) = (state.client(text("aud")?)?, text("sid")?.to_owned());
            is_ours.then_some(Self { client, sid })
        };
        read().ok_or_else(|| Refusal::new(ErrorCode::InvalidRequest, "the ID token is not one of this provider"))
    }
}
