//! The authorization endpoint: who do you want to be?
//!
//! A request is checked when the page is shown and again, from the start, when the page is answered: nothing is kept in
//! between. An unknown client or an unregistered redirect URI ends here, on a page (RFC 6749 §4.1.2.1); every other refusal
//! goes back to the client. Every answer that goes back names the issuer (RFC 9207), in the query
//! or, when the client asks for it, in a form.

use std::{error::Error, sync::Arc};

use http::{
    StatusCode,
    header::{self, SET_COOKIE},
};
use serde::Serialize;

use super::{
    Endpoint, State,
    client::Client,
    grants::{Code, Grant, Grants, Session, random_name},
    lock,
    people::{self, Card, InvalidPerson},
    pushed,
    refusal::{ErrorCode, Refusal},
    request::{Params, Received},
};
use crate::{
    clock::UnixTime,
    dev::{
        answer::{self, Answer},
        page::Template,
    },
};

/// The cookie that names the session here. It goes to the addresses of this file and no others: on loopback, cookies do not keep to a port.
const COOKIE: &str = "doorward-dev-provider";

/// A request that may be answered with a code.
struct Checked {
    scope: String,
    nonce: Option<String>,
    challenge: Option<String>,
    /// A refresh token is wanted.
    is_lasting: bool,
    /// Nobody is shown a page (`prompt=none`).
    is_silent: bool,
    /// How long ago the person may have signed in here, in seconds.
    max_age: Option<u64>,
}

/// Where answers go: registered for this client.
struct Destination<'a> {
    client: &'a Client,
    redirect_uri: &'a str,
    state: Option<String>,
    /// OAuth 2.0 Form Post Response Mode: the answer is a form, not a query.
    as_form: bool,
}

/// Shows the page of people.
pub(super) fn ask(state: &State, received: &Received) -> Answer {
    let params = match received.query_or_form() {
        Ok(params) => params,
        Err(refusal) => return stay(state, &refusal),
    };
    let request = match pushed::resolved(state, &params) {
        Ok(request) => request,
        Err(refusal) => return stay(state, &refusal),
    };
    match checked(state, &request) {
        Ok((destination, request)) if request.is_silent => match known_code(state, received, &destination, &request) {
            Some(code) => back(state, &destination, Ok(&code)),
            None => back(state, &destination, Err(&login_required())),
        },
        Ok((destination, _)) => show(state, StatusCode::OK, &destination, &params, None),
        Err(wrong) => wrong.answer(state),
    }
}

fn login_required() -> Refusal {
    Refusal::new(ErrorCode::LoginRequired, "somebody has to be asked")
}

/// Takes the page's answer: a code for whoever was chosen, or a refusal.
pub(super) fn decide(state: &State, received: &Received) -> Answer {
    // Anyone can be anyone, but only by a click of their own: a page elsewhere must not sign somebody in unseen.
    let site = received.head.headers.get("sec-fetch-site");
    if site.is_some_and(|site| site == "cross-site") {
        return stay(state, &Refusal::new(ErrorCode::AccessDenied, "this answer comes from another site's page"));
    }
    let form = match received.form() {
        Ok(form) => form,
        Err(refusal) => return stay(state, &refusal),
    };
    let params = Params::parse(form.typed("request").as_bytes());
    let asked = match pushed::resolved(state, &params) {
        Ok(request) => request,
        Err(refusal) => return stay(state, &refusal),
    };
    let (destination, request) = match checked(state, &asked) {
        Ok((destination, request)) if request.is_silent => {
            return back(state, &destination, Err(&login_required()));
        }
        Ok(checked) => checked,
        Err(wrong) => return wrong.answer(state),
    };
    let person = match form.typed("person") {
        "refuse" => {
            return back(state, &destination, Err(&Refusal::new(ErrorCode::AccessDenied, "the person said no")));
        }
        "other" => match people::typed(&form) {
            Ok(person) => person,
            Err(problem) => {
                return show(state, StatusCode::BAD_REQUEST, &destination, &params, Some((&form, &problem)));
            }
        },
        key => match people::known(key) {
            Some(person) => person,
            None => return stay(state, &Refusal::new(ErrorCode::InvalidRequest, "nobody was chosen")),
        },
    };
    let now = state.clock.now();
    let clients = [destination.client.id.clone()].into();
    let session = Session { sid: random_name(), person, auth_time: now, clients };
    let mut grants = lock(&state.grants);
    let code = grant_code(&mut grants, &destination, &request, &session, now);
    let name = grants.sessions.insert(session, now);
    drop(grants);
    let mut answer = back(state, &destination, Ok(&code));
    let path = state.issuer.path_of(Endpoint::Authorization);
    answer::set(&mut answer, SET_COOKIE, &format!("{COOKIE}={name}; Path={path}; HttpOnly; SameSite=Lax"));
    answer
}

/// A code for whoever is signed in in this browser; `None` when that is nobody, or was too long ago.
fn known_code(state: &State, received: &Received, destination: &Destination<'_>, request: &Checked) -> Option<String> {
    let now = state.clock.now();
    let cookies = received.header(header::COOKIE)?.split("; ").filter_map(|cookie| cookie.split_once('='));
    let names: Vec<&str> = cookies.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value).collect();
    let mut grants = lock(&state.grants);
    let name = names.into_iter().find(|name| grants.sessions.get(name, now).is_some())?;
    let session = grants.sessions.get(name, now)?;
    if request.max_age.is_some_and(|max_age| now.since(session.auth_time).as_secs() > max_age) {
        return None;
    }
    session.clients.insert(destination.client.id.clone());
    let session = session.clone();
    Some(grant_code(&mut grants, destination, request, &session, now))
}

fn grant_code(
    grants: &mut Grants,
    destination: &Destination<'_>,
    request: &Checked,
    session: &Session,
    now: UnixTime,
) -> String {
    let grant = Arc::new(Grant {
        sid: session.sid.clone(),
        client: destination.client.id.clone(),
        person: session.person.clone(),
        scope: request.scope.clone(),
        nonce: request.nonce.clone(),
        auth_time: session.auth_time,
        is_lasting: request.is_lasting,
    });
    let redirect_uri = destination.redirect_uri.to_owned();
    let challenge = request.challenge.clone();
    grants.codes.insert(Code { grant, redirect_uri, challenge, used: false }, now)
}

/// Why nobody is asked, and who is told.
enum Wrong<'a> {
    /// The person: there is no client to tell, or none that may be told.
    Person(Refusal),
    /// The client.
    Client(Destination<'a>, Refusal),
}

impl Wrong<'_> {
    fn answer(&self, state: &State) -> Answer {
        match self {
            Self::Person(refusal) => stay(state, refusal),
            Self::Client(destination, refusal) => back(state, destination, Err(refusal)),
        }
    }
}

/// Everything that can be said of a request before somebody is asked.
fn checked<'a>(state: &'a State, params: &'a Params) -> Result<(Destination<'a>, Checked), Wrong<'a>> {
    let destination = destination(state, params).map_err(Wrong::Person)?;
    match request(state, params) {
        Ok(request) => Ok((destination, request)),
        Err(refusal) => Err(Wrong::Client(destination, refusal)),
    }
}

fn destination<'a>(state: &'a State, params: &'a Params) -> Result<Destination<'a>, Refusal> {
    let refused = |description| Refusal::new(ErrorCode::InvalidRequest, description);
    let client = state.client(params.required("client_id")?).ok_or_else(|| refused("the client is not registered"))?;
    // OpenID Connect Core §3.1.2.1: always there, even if only one is registered.
    let redirect_uri = params.required("redirect_uri")?;
    if !client.redirect_uris.iter().any(|registered| registered == redirect_uri) {
        return Err(refused("the redirect URI is not registered for this client"));
    }
    let as_form = params.typed("response_mode") == "form_post";
    // Given twice it is refused in a moment, and then there is none to send back.
    let state = params.one("state").ok().flatten().map(str::to_owned);
    Ok(Destination { client, redirect_uri, state, as_form })
}

fn request(state: &State, params: &Params) -> Result<Checked, Refusal> {
    let refused = |code, description: &str| Err(Refusal::new(code, description));
    params.one("state")?;
    if params.one("request")?.is_some() {
        return refused(ErrorCode::RequestNotSupported, "request objects are not supported");
    }
    if params.one("request_uri")?.is_some() {
        return refused(ErrorCode::RequestUriNotSupported, "request objects are not supported");
    }
    if params.required("response_type")? != "code" {
        return refused(ErrorCode::UnsupportedResponseType, "only the response type code is supported");
    }
    if params.one("response_mode")?.is_some_and(|mode| !matches!(mode, "query" | "form_post")) {
        return refused(ErrorCode::InvalidRequest, "only the response modes query and form_post are supported");
    }
    // RFC 6749 §3.3; without `openid` it is plain OAuth, and there will be no ID token.
    let scope = params.one("scope")?.unwrap_or_default().to_owned();
    if !scope.bytes().all(|b| matches!(b, b' ' | 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
        return refused(ErrorCode::InvalidScope, "the scope holds characters that no scope has");
    }
    let challenge = if state.quirks.asks_pkce() { Some(challenge(params)?) } else { None };
    let nonce = params.one("nonce")?.map(str::to_owned);
    let prompts: Vec<&str> = params.one("prompt")?.unwrap_or_default().split(' ').collect();
    let is_silent = prompts.contains(&"none");
    if is_silent && prompts.len() > 1 {
        // OpenID Connect Core §3.1.2.1.
        return refused(ErrorCode::InvalidRequest, "prompt=none stands alone");
    }
    let max_age = match params.one("max_age")?.map(str::parse) {
        Some(Err(_)) => return refused(ErrorCode::InvalidRequest, "max_age is not a number of seconds"),
        Some(Ok(seconds)) => Some(seconds),
        None => None,
    };
    let is_lasting = scope.split(' ').any(|scope| scope == "offline_access");
    let is_lasting = state.quirks.gives_refresh_token(params).unwrap_or(is_lasting);
    Ok(Checked { scope, nonce, challenge, is_lasting, is_silent, max_age })
}

/// RFC 7636 §4.3, §4.4.1; RFC 9700 §2.1.1: asked of every client.
fn challenge(params: &Params) -> Result<String, Refusal> {
    let refused = |description| Err(Refusal::new(ErrorCode::InvalidRequest, description));
    let challenge = params.required("code_challenge")?;
    if params.one("code_challenge_method")? != Some("S256") {
        return refused("the code challenge method has to be S256");
    }
    if challenge.len() != 43 || !challenge.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
        return refused("the code challenge is not a SHA-256 hash in base64url");
    }
    Ok(challenge.to_owned())
}

/// Sends the browser back to the client with a code or an error.
fn back(state: &State, destination: &Destination<'_>, result: Result<&str, &Refusal>) -> Answer {
    let mut params = Vec::new();
    match result {
        Ok(code) => params.push(("code", code)),
        Err(refusal) => {
            params.extend([("error", refusal.code.as_str()), ("error_description", &*refusal.description)]);
        }
    }
    params.extend(destination.state.as_deref().map(|state| ("state", state)));
    let (name, more) = (state.name(), state.quirks.callback_parameters());
    if !state.quirks.are_callbacks_silent() {
        // RFC 9207 §2: with errors too.
        params.push(("iss", &name));
    }
    params.extend(more.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    if destination.as_form {
        let page = PostPage { action: destination.redirect_uri, fields: params };
        return state.pages.show(StatusCode::OK, Template::Post, page);
    }
    answer::redirect(&with_query(destination.redirect_uri, &params))
}

/// `uri` with `params` after what it has (RFC 6749 §3.1.2): the rest stays as it was registered, byte for byte.
pub(super) fn with_query(uri: &str, params: &[(&str, &str)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    let joint = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{joint}{query}")
}

/// A refusal that must not leave this provider.
fn stay(state: &State, refusal: &Refusal) -> Answer {
    let text = format!(
        "The provider may not answer this request: {}. Go back to your application and sign in from there; if you end here \
         again, compare its settings with what is registered here.",
        refusal.description
    );
    state.pages.notice(StatusCode::BAD_REQUEST, "Nobody can sign in like this", &text)
}

#[derive(Serialize)]
struct PostPage<'a> {
    action: &'a str,
    fields: Vec<(&'a str, &'a str)>,
}

#[derive(Serialize)]
struct PeoplePage<'a> {
    client: &'a str,
    destination: &'a str,
    action: String,
    request: String,
    people: Vec<Card>,
    open: bool,
    problem: Option<String>,
    problem_field: &'a str,
    typed: Typed<'a>,
}

#[derive(Default, Serialize)]
struct Typed<'a> {
    sub: &'a str,
    email: &'a str,
    name: &'a str,
    groups: &'a str,
    claims: &'a str,
}

fn show(
    state: &State,
    status: StatusCode,
    destination: &Destination<'_>,
    params: &Params,
    wrong: Option<(&Params, &InvalidPerson)>,
) -> Answer {
    let typed = match wrong {
        Some((form, _)) => Typed {
            sub: form.typed("sub"),
            email: form.typed("email"),
            name: form.typed("name"),
            groups: form.typed("groups"),
            claims: form.typed("claims"),
        },
        None => Typed { sub: params.typed("login_hint"), ..Typed::default() },
    };
    let problem = wrong.map(|(_, problem)| match problem.source() {
        Some(cause) => format!("{problem} ({cause})"),
        None => problem.to_string(),
    });
    let page = PeoplePage {
        client: &destination.client.id,
        destination: destination.redirect_uri,
        // On the origin where the page is, whichever name of this machine the browser used.
        action: state.issuer.path_of(Endpoint::Decision),
        request: params.encoded(),
        people: people::cards(),
        open: wrong.is_some(),
        problem,
        problem_field: wrong.map_or("", |(_, problem)| problem.field()),
        typed,
    };
    state.pages.show(status, Template::People, page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::provider::testing::{CALLBACK, Running, request};

    /// RFC 6749 §4.1.2.1: nothing goes to an address that nobody registered.
    #[tokio::test]
    async fn an_unknown_client_or_redirect_uri_stays_on_a_page() {
        let op = Running::start().await;
        for (changes, why) in [
            (vec![("client_id", "")], "no client"),
            (vec![("client_id", "nobody")], "unknown client"),
            (vec![("client_id", "app"), ("client_id", "app")], "two clients"),
            (vec![("redirect_uri", "")], "no redirect URI"),
            (vec![("redirect_uri", "http://evil.example/")], "a stranger's"),
            (vec![("redirect_uri", "http://127.0.0.1:4180/_auth/callback/dev/")], "a slash more"),
            (vec![("redirect_uri", "http://127.0.0.1:4180/_auth/callback/dev?x")], "a query more"),
            (vec![("redirect_uri", "http://127.0.0.1:4181/_auth/callback/dev")], "another port"),
            (vec![("redirect_uri", CALLBACK), ("redirect_uri", CALLBACK)], "twice"),
            (vec![("client_id", "public"), ("redirect_uri", "http://127.0.0.1:4180/with?query=1")], "another client's"),
        ] {
            let query = request(&changes);
            for answer in [op.ask(&query).await, op.choose(&query, &[("person", "ada")]).await] {
                assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{why}");
                assert_eq!(answer.header("location"), "", "{why}");
            }
        }
    }

    #[tokio::test]
    async fn other_refusals_go_back_and_name_the_issuer() {
        let op = Running::start().await;
        for (changes, error) in [
            (vec![("response_type", "")], "invalid_request"),
            (vec![("response_type", "token")], "unsupported_response_type"),
            (vec![("response_type", "code id_token")], "unsupported_response_type"),
            (vec![("response_mode", "fragment")], "invalid_request"),
            (vec![("scope", "a\"b")], "invalid_scope"),
            (vec![("code_challenge", "")], "invalid_request"),
            (vec![("code_challenge", "short")], "invalid_request"),
            (vec![("code_challenge_method", "")], "invalid_request"),
            (vec![("code_challenge_method", "plain")], "invalid_request"),
            (vec![("nonce", "a"), ("nonce", "b")], "invalid_request"),
            (vec![("request", "x.y.z")], "request_not_supported"),
            (vec![("request_uri", "urn:x")], "request_uri_not_supported"),
            (vec![("prompt", "none")], "login_required"),
            (vec![("prompt", "none login")], "invalid_request"),
        ] {
            let query = request(&changes);
            for answer in [op.ask(&query).await, op.choose(&query, &[("person", "ada")]).await] {
                assert_eq!(answer.redirected_with("error").as_deref(), Some(error), "{changes:?}");
                assert_eq!(answer.redirected_with("code"), None, "{changes:?}");
                assert_eq!(answer.redirected_with("state").as_deref(), Some("a state&=+"), "{changes:?}");
                assert_eq!(answer.redirected_with("iss").as_deref(), Some(op.provider.issuer()), "{changes:?}");
            }
        }
        let twice = op.ask(&request(&[("state", "a"), ("state", "b")])).await;
        assert_eq!(twice.redirected_with("error").as_deref(), Some("invalid_request"));
        assert_eq!(twice.redirected_with("state"), None);
    }

    /// OpenID Connect Core §3.1.2.1: nobody is shown a page, and who is not known is sent back.
    #[tokio::test]
    async fn who_is_signed_in_is_known_without_a_page() {
        let op = Running::start().await;
        let chosen = op.choose(&request(&[]), &[("person", "ada")]).await;
        let cookie = chosen.header("set-cookie").to_owned();
        assert!(cookie.ends_with("; Path=/authorize; HttpOnly; SameSite=Lax"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let silent = |cookie: String, changes: Vec<(&'static str, &'static str)>| {
            let query = request(&[&[("prompt", "none")], &changes[..]].concat());
            let target = format!("{}?{query}", op.target(Endpoint::Authorization));
            op.caller.send(op.caller.get(&target).header("cookie", &cookie))
        };
        let first = op.redeem(&chosen.redirected_with("code").unwrap()).await.json();
        op.clock.advance(std::time::Duration::from_secs(100));
        for (cookie, changes, error) in [
            (String::new(), vec![], Some("login_required")),
            ("doorward-dev-provider=made-up".to_owned(), vec![], Some("login_required")),
            (cookie.clone(), vec![("max_age", "99")], Some("login_required")),
            (cookie.clone(), vec![("max_age", "soon")], Some("invalid_request")),
            (format!("a=b; {cookie}; c"), vec![("max_age", "100")], None),
            (format!("doorward-dev-provider=old; {cookie}"), vec![], None),
            (cookie.clone(), vec![("client_id", "other")], None),
        ] {
            let answer = silent(cookie.clone(), changes.clone()).await;
            assert_eq!(answer.redirected_with("error").as_deref(), error, "{cookie} {changes:?}");
            assert_eq!(answer.redirected_with("code").is_some(), error.is_none(), "{cookie} {changes:?}");
        }
        let code = silent(cookie.clone(), vec![]).await.redirected_with("code").unwrap();
        let claims = |token: &serde_json::Value| {
            jsonwebtoken::dangerous::insecure_decode::<serde_json::Value>(token.as_str().unwrap()).unwrap().claims
        };
        let first = claims(&first["id_token"]);
        let again = claims(&op.redeem(&code).await.json()["id_token"]);
        for claim in ["sub", "sid", "auth_time"] {
            assert_eq!(first[claim], again[claim], "{claim}");
        }
        // A logout in the browser tells the other client, in a frame of the page.
        let hint = op.redeem(&silent(cookie.clone(), vec![]).await.redirected_with("code").unwrap()).await.json();
        let fields = [
            ("id_token_hint", hint["id_token"].as_str().unwrap()),
            ("post_logout_redirect_uri", crate::dev::provider::testing::SIGNED_OUT),
        ];
        let page = op.post(Endpoint::EndSession, &fields).await;
        let sid = first["sid"].as_str().unwrap();
        let frame = op.provider.frontchannel_logout("other", sid).unwrap();
        assert!(
            frame.starts_with("http://127.0.0.1:4181/over?a=b&iss=http") && frame.ends_with(&format!("&sid={sid}"))
        );
        let text = page.text().replace("&#x2f;", "/").replace("&amp;", "&");
        assert!(text.contains(&format!("<iframe hidden src=\"{frame}\">")), "{text}");
        assert!(page.header("content-security-policy").ends_with("; frame-src http: https:"));
        let answer = silent(cookie, vec![]).await;
        assert_eq!(answer.redirected_with("error").as_deref(), Some("login_required"));
    }

    #[tokio::test]
    async fn a_person_is_logged_out_everywhere() {
        let op = Running::start().await;
        op.choose(&request(&[]), &[("person", "ada")]).await;
        op.choose(&request(&[("client_id", "other")]), &[("person", "ada")]).await;
        op.choose(&request(&[]), &[("person", "grace")]).await;
        let told: Vec<_> = op.provider.log_out("ada").into_iter().map(|notice| notice.client).collect();
        assert_eq!(told, ["app", "other"]);
        assert_eq!((op.provider.sessions("ada").len(), op.provider.sessions("grace").len()), (0, 1));
    }

    #[tokio::test]
    async fn a_person_may_refuse() {
        let op = Running::start().await;
        let answer = op.choose(&request(&[]), &[("person", "refuse")]).await;
        assert_eq!(answer.redirected_with("error").as_deref(), Some("access_denied"));
        assert_eq!(answer.redirected_with("code"), None);
    }

    /// OAuth 2.0 Form Post Response Mode §2.
    #[tokio::test]
    async fn an_answer_may_be_a_form() {
        let op = Running::start().await;
        let query = request(&[("response_mode", "form_post")]);
        for (person, field) in [("ada", "name=\"code\""), ("refuse", "name=\"error\" value=\"access_denied\"")] {
            let answer = op.choose(&query, &[("person", person)]).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (200, ""));
            let page = answer.text().replace("&#x2f;", "/");
            for shown in
                [&format!("method=\"post\" action=\"{CALLBACK}\""), field, "value=\"a state&amp;=+\"", "name=\"iss\""]
            {
                assert!(page.contains(shown), "{shown} in {page}");
            }
        }
    }

    #[tokio::test]
    async fn nobody_is_signed_in_by_another_sites_page() {
        let op = Running::start().await;
        let query = request(&[]);
        for (site, status) in [("cross-site", 400), ("same-site", 303), ("same-origin", 303)] {
            let form = op.caller.form(Endpoint::Decision.path(), &[("request", &query), ("person", "ada")]);
            assert_eq!(op.caller.send(form.header("sec-fetch-site", site)).await.status, status, "{site}");
        }
        let plain = op.caller.post(Endpoint::Decision.path(), "text/plain", "person=ada");
        assert_eq!(op.caller.send(plain).await.status, 400);
        assert_eq!(op.choose(&query, &[("person", "nobody")]).await.status, 400);
        assert_eq!(op.choose(&query, &[]).await.status, 400);
    }

    #[tokio::test]
    async fn what_was_typed_wrongly_is_shown_again_and_escaped() {
        let op = Running::start().await;
        let hostile = "</textarea><script>alert(1)</script>\"'";
        let query = request(&[("state", hostile), ("login_hint", hostile)]);
        let typed = ["sub", "email", "name", "groups", "claims"].map(|field| (field, hostile));
        for page in [op.ask(&query).await, op.choose(&query, &[&[("person", "other")], &typed[..]].concat()).await] {
            assert!(page.text().contains("&lt;script&gt;alert(1)"), "{}", page.text());
            assert!(!page.text().contains("<script") && !page.text().contains("\"'"), "{}", page.text());
        }
        let page = op.choose(&query, &[("person", "other"), ("sub", "x"), ("claims", "{\"a\":")]).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        for shown in ["<details open>", "role=\"alert\"", "aria-invalid=\"true\"", "value=\"x\"", "{&quot;a&quot;:"] {
            assert!(page.text().contains(shown), "{shown} in {}", page.text());
        }
    }

    #[tokio::test]
    async fn a_redirect_uri_keeps_its_query() {
        let op = Running::start().await;
        let query = request(&[("redirect_uri", "http://127.0.0.1:4180/with?query=1")]);
        let answer = op.choose(&query, &[("person", "grace")]).await;
        let location = answer.header("location");
        assert!(location.starts_with("http://127.0.0.1:4180/with?query=1&code="), "{location}");
    }

    /// OpenID Connect Core §3.1.2.1.
    #[tokio::test]
    async fn the_request_may_come_as_a_form() {
        let op = Running::start().await;
        let asked = op.caller.post(
            Endpoint::Authorization.path(),
            "application/x-www-form-urlencoded; charset=utf-8",
            &request(&[]),
        );
        let page = op.caller.send(asked).await;
        assert_eq!(page.status, StatusCode::OK);
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    }
}
