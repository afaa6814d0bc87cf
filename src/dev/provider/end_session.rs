//! RP-initiated logout: ends what came from a sign-in, then sends the browser back or says that it is over.
//!
//! Nobody stays signed in at this provider, so without an `id_token_hint` there is nothing to end. The browser goes only
//! where the client's registration says.

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
        Ok(Some(location)) => answer::redirect(&location),
        Ok(None) => state.pages.notice(StatusCode::OK, "You are signed out", "You can close this page."),
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

/// Where the browser goes then, if the client said. RP-Initiated Logout §2, §3.
fn end(state: &State, received: &Received) -> Result<Option<String>, Refusal> {
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
    if let Some(hint) = hint {
        lock(&state.grants).end(&hint.sid);
    }
    Ok(location)
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
