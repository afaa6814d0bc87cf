//! `/sessions`: an administrator sees the sessions of a user, and ends one, all of a user's, or all of a provider's.

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tracing::{info, warn};

use super::{
    InForce,
    browsers::{self, FromAPage},
    with_headers,
};
use crate::{
    body::Body,
    clock::UnixTime,
    endpoints::{BadForm, described, one},
    identity::UserId,
    server::Peer,
    sessions::{AccountTag, Revoked, SessionId, Spread, store::StoreError},
    telemetry::causes,
};

/// What an administrator wants.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    List(UserId),
    EndOne(SessionId, UserId),
    EndUser(UserId),
    EndProvider(Box<str>),
}

/// Why it is not done.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    FromAPage(#[from] FromAPage),
    #[error("this address does not take this method")]
    Method(&'static str),
    #[error("{0}")]
    Parameters(&'static str),
    #[error(transparent)]
    Form(#[from] BadForm),
    #[error("no provider of this name is configured")]
    NoProvider,
    #[error("this user has no such session")]
    NoSession,
    #[error(transparent)]
    Store(#[from] StoreError),
}

const LIST: &str = "give `user`, as the application is told it: whose sessions are listed";
const END_ONE: &str = "give `user`, as the application is told it: whose session this is";
const END_ALL: &str = "give `user` or `provider`, and only one of them: whose sessions end";

impl Asked {
    fn parse(method: &Method, path: &str, query: &str) -> Result<Self, Refused> {
        let user = |what| -> Result<UserId, Refused> {
            let user = one(query, "user")?.ok_or(Refused::Parameters(what))?;
            UserId::parse(&user).map_err(|_| Refused::Parameters(what))
        };
        let id = path.strip_prefix("/sessions").unwrap_or_default().strip_prefix('/');
        let provider = one(query, "provider")?;
        match (id, method, provider) {
            // Whoever adds one expects something of it.
            (None, &Method::GET | &Method::HEAD, Some(_)) => Err(Refused::Parameters(LIST)),
            (None, &Method::GET | &Method::HEAD, None) => user(LIST).map(Self::List),
            (None, &Method::DELETE, Some(_)) if one(query, "user")?.is_some() => Err(Refused::Parameters(END_ALL)),
            (None, &Method::DELETE, Some(provider)) => Ok(Self::EndProvider(provider.into())),
            (None, &Method::DELETE, None) => user(END_ALL).map(Self::EndUser),
            (None, _, _) => Err(Refused::Method("GET, HEAD, DELETE")),
            (Some(_), &Method::DELETE, Some(_)) => Err(Refused::Parameters(END_ONE)),
            (Some(id), &Method::DELETE, None) => {
                let user = user(END_ONE)?;
                id.parse().map(|id| Self::EndOne(id, user)).map_err(|_| Refused::NoSession)
            }
            (Some(_), _, _) => Err(Refused::Method("DELETE")),
        }
    }
}

/// The answer to a request below `/sessions`.
pub(super) async fn answer(
    request: &Request<Incoming>,
    peer: Peer,
    in_force: &InForce,
    now: UnixTime,
) -> Response<Body> {
    let asked = browsers::check(request.uri(), request.headers(), peer)
        .map_err(Refused::from)
        .and_then(|()| Asked::parse(request.method(), request.uri().path(), request.uri().query().unwrap_or_default()));
    let done = match asked {
        Ok(asked) => done(&asked, in_force, now).await,
        Err(refused) => Err(refused),
    };
    match done {
        Ok(answer) => as_json(StatusCode::OK, &answer),
        Err(refused) => refusal(&refused),
    }
}

async fn done(asked: &Asked, InForce { sessions, providers, .. }: &InForce, now: UnixTime) -> Result<Value, Refused> {
    let (what, spread) = match asked {
        Asked::List(user) => {
            let listed = sessions.listed(user, now).await?;
            let listed: Vec<_> = listed.iter().map(|one| described(one, providers)).collect();
            return Ok(json!({ "user": user.as_str(), "sessions": listed }));
        }
        Asked::EndOne(id, user) => ("session", sessions.end_listed(user, id, now).await?.ok_or(Refused::NoSession)?),
        Asked::EndUser(user) => ("user", sessions.end_all(Revoked::Account(AccountTag::of(user)), now).await),
        Asked::EndProvider(name) => {
            let provider = providers.find(name).ok_or(Refused::NoProvider)?;
            ("provider", sessions.end_all(Revoked::Provider(provider.tag()), now).await)
        }
    };
    let spread = match spread {
        Spread::Everywhere => "everywhere",
        Spread::Here => "here",
    };
    // No user's name is in any log.
    info!(asked.by = "admin", ended = what, spread, "An administrator has ended sessions");
    Ok(json!({ "ended": what, "spread": spread }))
}

fn refusal(refused: &Refused) -> Response<Body> {
    let status = match refused {
        Refused::FromAPage(_) => StatusCode::FORBIDDEN,
        Refused::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
        Refused::Parameters(_) | Refused::Form(_) => StatusCode::BAD_REQUEST,
        Refused::NoProvider | Refused::NoSession => StatusCode::NOT_FOUND,
        Refused::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = as_json(status, &json!({ "error": refused.to_string() }));
    match refused {
        Refused::Method(allow) => {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        Refused::FromAPage(why) => warn!(asked.by = "admin", error = %why, "A page in a browser was kept away"),
        Refused::Store(error) => {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            warn!(asked.by = "admin", error = causes(error), "Sessions could not be listed or ended");
        }
        Refused::Parameters(_) | Refused::Form(_) | Refused::NoProvider | Refused::NoSession => {}
    }
    response
}

fn as_json(status: StatusCode, value: &Value) -> Response<Body> {
    with_headers(status, "application/json", Body::from(format!("{value}\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00112233445566778899aabbccddeeff";

    #[test]
    fn nothing_ends_that_is_not_asked_for_in_full() {
        let long = format!("user={}", "x".repeat(256));
        let one = format!("/sessions/{ID}");
        for (method, path, query, answer) in [
            ("GET", "/sessions", "", LIST),
            ("GET", "/sessions", "user=", LIST),
            ("GET", "/sessions", "user=%0a", LIST),
            ("GET", "/sessions", &long, LIST),
            ("GET", "/sessions", "provider=dev", LIST),
            ("GET", "/sessions", "user=ada&provider=dev", LIST),
            ("GET", "/sessions", "user=ada&user=grace", "the parameter “user” occurs more than once"),
            ("DELETE", "/sessions", "", END_ALL),
            ("DELETE", "/sessions", "usr=ada", END_ALL),
            ("DELETE", "/sessions", "user=", END_ALL),
            ("DELETE", "/sessions", "user=ada&provider=dev", END_ALL),
            ("DELETE", "/sessions", "provider=a&provider=b", "the parameter “provider” occurs more than once"),
            ("POST", "/sessions", "user=ada", "this address does not take this method"),
            ("GET", &one, "user=ada", "this address does not take this method"),
            ("DELETE", &one, "", END_ONE),
            ("DELETE", &one, "user=ada&provider=dev", END_ONE),
            ("DELETE", "/sessions/", "user=ada", "this user has no such session"),
            ("DELETE", "/sessions/*", "user=ada", "this user has no such session"),
            ("DELETE", &format!("{one}/x"), "user=ada", "this user has no such session"),
        ] {
            let refused = Asked::parse(&method.parse().unwrap(), path, query).unwrap_err();
            assert_eq!(refused.to_string(), answer, "{method} {path}?{query}");
        }
        let ada = || UserId::parse("ada@x").unwrap();
        for (method, path, query, answer) in [
            ("GET", "/sessions", "user=ada%40x", Asked::List(ada())),
            ("DELETE", "/sessions", "user=ada@x", Asked::EndUser(ada())),
            ("DELETE", "/sessions", "provider=dev", Asked::EndProvider("dev".into())),
            ("DELETE", &one, "user=ada@x", Asked::EndOne(ID.parse().unwrap(), ada())),
        ] {
            assert_eq!(Asked::parse(&method.parse().unwrap(), path, query).unwrap(), answer, "{method} {path}?{query}");
        }
    }
}
