//! `/sessions`: a person sees where they are signed in, and ends what they do not know.
//!
//! Only their own: the user is the one of the cookie, and an id of somebody else's session is no session. Nothing ends that another site asks
//! for.

use http::{HeaderMap, HeaderValue, Response, header};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use tracing::info;

use super::{
    BadForm, EndpointError, Endpoints, Visit, agent, form,
    logout::comes_from_here,
    page,
    pages::{ListedSession, SessionsPage},
    redirect,
};
use crate::{
    body::Body,
    origin::ReturnTo,
    providers::Providers,
    sessions::{AccountTag, Listed, Revoked, Session, SessionId, Whence},
};

/// What a person wants to end.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    One(SessionId),
    Others,
    Everything,
}

impl Wanted {
    fn parse(form: &str) -> Result<Self, EndpointError> {
        let one = |name| form::one(form, name).map_err(EndpointError::Parameters);
        match (one("session")?.as_deref(), one("all")?.as_deref()) {
            (Some(_), Some(_)) => Err(EndpointError::Parameters(BadForm::Conflict("session", "all"))),
            (None, None) => Err(EndpointError::Parameters(BadForm::Missing("session"))),
            // What is no id is nobody's.
            (Some(id), None) => id.parse().map(Self::One).map_err(|_| EndpointError::NoSuchSession),
            (None, Some("others")) => Ok(Self::Others),
            (None, Some("everything")) => Ok(Self::Everything),
            (None, Some(_)) => Err(EndpointError::Parameters(BadForm::Value("all"))),
        }
    }
}

impl Endpoints {
    pub(super) async fn sessions(&self, visit: &Visit<'_>) -> Result<Response<Body>, EndpointError> {
        let session = visit.session.ok_or(EndpointError::SignInFirst)?;
        let mut listed =
            self.sessions.listed(&session.identity.user, visit.now).await.map_err(EndpointError::NoListing)?;
        if !listed.iter().any(|one| one.id == session.id) {
            // The store was down when it began, or has lost the listing.
            listed.insert(0, own(session, visit.whence));
        }
        Ok(if wants_json(visit.headers) { self.as_json(session, &listed) } else { self.as_page(session, &listed) })
    }

    pub(super) async fn end_sessions(
        &self,
        visit: &Visit<'_>,
        body: Incoming,
    ) -> Result<Response<Body>, EndpointError> {
        let own = visit.session.ok_or(EndpointError::SignInFirst)?;
        if !comes_from_here(visit.method, visit.headers, &self.origin) {
            return Err(EndpointError::NotFromHere);
        }
        let form = form::read(visit.headers, body).await.map_err(EndpointError::Parameters)?;
        let user = &own.identity.user;
        match Wanted::parse(&form)? {
            Wanted::One(id) if id == own.id => {
                let _told = self.sessions.end(own).await;
                info!(ended = "own", "Somebody has ended a session of theirs");
                Ok(self.left(visit, own))
            }
            Wanted::One(id) => {
                let found = self.sessions.end_listed(user, &id, visit.now).await.map_err(EndpointError::NoListing)?;
                let _told = found.ok_or(EndpointError::NoSuchSession)?;
                info!(ended = "another", "Somebody has ended a session of theirs");
                Ok(self.back())
            }
            Wanted::Others => {
                let listed = self.sessions.listed(user, visit.now).await.map_err(EndpointError::NoListing)?;
                let others: Vec<_> = listed.into_iter().filter(|one| one.id != own.id).collect();
                let _told = self.sessions.end_these(user, &others).await;
                info!(ended = "others", "Somebody has ended sessions of theirs");
                Ok(self.back())
            }
            Wanted::Everything => {
                let _told = self.sessions.end(own).await;
                let _told = self.sessions.end_all(Revoked::Account(AccountTag::of(user)), visit.now).await;
                info!(ended = "everything", "Somebody has ended sessions of theirs");
                Ok(self.left(visit, own))
            }
        }
    }

    fn back(&self) -> Response<Body> {
        redirect(http::StatusCode::SEE_OTHER, self.links.sessions().as_str())
    }

    fn left(&self, visit: &Visit<'_>, own: &Session) -> Response<Body> {
        let root = ReturnTo::root();
        match self.providers.by_tag(own.provider) {
            Some(provider) => self.leave_knowing(visit, provider, &root),
            None => self.leave(visit, self.links.signed_out(&root).as_str()),
        }
    }

    fn as_page(&self, session: &Session, listed: &[Listed]) -> Response<Body> {
        let rows: Vec<_> = listed
            .iter()
            .map(|one| ListedSession {
                id: one.id.to_string(),
                browser: agent::words(one.whence.agent()),
                address: one.whence.address.map(|address| address.to_string()),
                provider: self.providers.by_tag(one.provider).map(|provider| provider.display_name()),
                signed_in: one.signed_in,
                seen: one.seen,
                is_own: one.id == session.id,
            })
            .collect();
        // Where the form of the logout may lead on to.
        let provider = self.providers.by_tag(session.provider);
        let at_provider = provider.and_then(|provider| provider.logout_url(&self.links.signed_out_uri(), None, None));
        page(self.pages.sessions(&SessionsPage {
            user: session.identity.user.as_str(),
            sessions: &rows,
            action: self.links.sessions(),
            logout: self.links.logout(&ReturnTo::root()),
            then_at: at_provider.as_ref(),
        }))
    }

    fn as_json(&self, session: &Session, listed: &[Listed]) -> Response<Body> {
        let sessions: Vec<_> = listed
            .iter()
            .map(|one| {
                let mut described = described(one, &self.providers);
                described.insert("current".to_owned(), (one.id == session.id).into());
                described
            })
            .collect();
        let answer = json!({ "user": session.identity.user.as_str(), "sessions": sessions });
        let mut response = Response::new(Body::from(answer.to_string()));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

/// `one` for programs: times are in seconds since 1970, and what is not known is `null`.
#[must_use]
pub fn described(one: &Listed, providers: &Providers) -> Map<String, Value> {
    let provider = providers.by_tag(one.provider).map(|provider| provider.name().as_str());
    [
        ("id", one.id.to_string().into()),
        ("agent", (*one.whence.agent()).into()),
        ("address", one.whence.address.map(|address| address.to_string()).into()),
        ("provider", provider.into()),
        ("signed_in", one.signed_in.0.into()),
        ("seen", one.seen.0.into()),
    ]
    .into_iter()
    .map(|(name, value): (&str, Value)| (name.to_owned(), value))
    .collect()
}

/// The caller's session, as far as the cookie and this request tell.
fn own(session: &Session, whence: &Whence) -> Listed {
    Listed {
        id: session.id,
        provider: session.provider,
        signed_in: session.signed_in,
        seen: session.seen,
        whence: whence.clone(),
    }
}

/// Whether a program asks: it names JSON, and no page.
fn wants_json(headers: &HeaderMap) -> bool {
    let ranges = || {
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(|range| range.split(';').next().unwrap_or_default().trim())
    };
    ranges().any(|range| range.eq_ignore_ascii_case("application/json"))
        && !ranges().any(|range| range.eq_ignore_ascii_case("text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::causes;

    #[test]
    fn a_form_says_what_should_end_or_nothing_does() {
        let id = "00112233445566778899aabbccddeeff";
        for (form, why) in [
            ("", "“session” is missing"),
            ("rd=/", "“session” is missing"),
            ("all=", "“all” has another value"),
            ("all=mine", "“all” has another value"),
            ("all=others&all=everything", "“all” occurs more than once"),
            (&format!("session={id}&session={id}"), "“session” occurs more than once"),
            (&format!("session={id}&all=others"), "do not go together"),
            ("session=", "no such session"),
            ("session=*", "no such session"),
            (&format!("session={}", id.to_uppercase()), "no such session"),
            (&format!("session={id}00"), "no such session"),
        ] {
            let refused = causes(&Wanted::parse(form).unwrap_err());
            assert!(refused.contains(why), "{form}: {refused}");
        }
        for (form, wanted) in [
            (&*format!("session={id}"), Wanted::One(id.parse().unwrap())),
            ("all=others", Wanted::Others),
            ("all=everything", Wanted::Everything),
        ] {
            assert_eq!(Wanted::parse(form).unwrap(), wanted, "{form}");
        }
    }

    #[test]
    fn json_is_for_who_asks_for_it() {
        for (accept, json) in [
            ("", false),
            ("*/*", false),
            ("text/html,application/json", false),
            ("application/jsonp", false),
            ("Application/JSON", true),
            ("application/json;q=0.9, */*", true),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(wants_json(&headers), json, "{accept}");
        }
    }
}
