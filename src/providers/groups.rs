//! Groups that no token lists, asked for at the provider's directory: Microsoft Graph, Google's Directory API, GitHub.
//!
//! * Nobody is asked unless a rule or a header needs groups, and Microsoft only when its token says that there were too many to list.
//! * A list is whole or not there at all. It comes in pages, which never lead to another origin: the access token goes along. Their number is
//!   bounded, each has the bound of every answer, and all of them together have the time of one request.
//! * Whoever's groups cannot be found has none: the sign-in goes on, and rules about groups refuse. A session that was there before keeps what it
//!   has, and its provider is asked again later. Nothing of a list is ever logged.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    BuildProblem, GroupLookup, Settings,
    client_auth::Client,
    http::{Form, HttpError, bearer},
    json::Object,
    query::extended,
    signing::{SigningError, SigningKey},
};
use crate::{clock::UnixTime, secret::Secret};

/// Pages of one list at most.
const MAX_PAGES: usize = 20;
/// The claim that stands for the groups everywhere in the configuration.
const GROUPS: &str = "groups";
/// How long a request of the service account is valid; the token that it gets is used at once.
const ASSERTION_LIFETIME: Duration = Duration::from_secs(120);
const DIRECTORY_SCOPE: &str = "https://www.googleapis.com/auth/admin.directory.group.readonly";

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum GroupsError {
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The token endpoint gave none, or one that no header can carry.
    #[error("there is no access token to ask with")]
    NoAccessToken,
    /// Not what the directory should say.
    #[error("an answer is not a list of groups")]
    Malformed,
    /// The access token goes nowhere else.
    #[error("the next page is at another origin")]
    OtherOrigin,
    /// More than anybody has groups.
    #[error("the list has more than {MAX_PAGES} pages")]
    TooManyPages,
    /// It took longer than one request may.
    #[error("no whole list within {} ms", .0.as_millis())]
    TooLate(Duration),
    /// The service account's key does not sign.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

/// Where the groups of one provider's users are looked up.
pub(super) struct Directory {
    lookup: GroupLookup,
    /// The service account's, where there is one.
    key: Option<SigningKey>,
}

/// Whose groups are looked up.
#[derive(Clone, Copy)]
pub(super) struct Person<'a> {
    pub(super) subject: &'a str,
    pub(super) access_token: Option<&'a Secret<String>>,
}

impl Directory {
    /// The one that `settings` name.
    pub(super) fn new(settings: &Settings) -> Result<Option<Self>, BuildProblem> {
        let Some(lookup) = settings.groups.lookup.clone() else { return Ok(None) };
        if settings.groups.claim.starts_with('/') {
            return Err(BuildProblem::GroupsClaim);
        }
        let key = match &lookup {
            GroupLookup::GoogleDirectory { key, .. } => {
                let key = SigningKey::parse(key.expose(), jsonwebtoken::Algorithm::RS256);
                Some(key.ok_or(BuildProblem::GroupsKey)?)
            }
            GroupLookup::MicrosoftGraph { .. } | GroupLookup::GitHub { .. } => None,
        };
        Ok(Some(Self { lookup, key }))
    }

    /// Whether it is asked about somebody of whom `claims` are known.
    pub(super) fn is_asked(&self, settings: &Settings, claims: &Map<String, Value>) -> bool {
        let (needed, required) = (settings.needed_claims.0.keys(), settings.required_claims.keys());
        let is_needed = needed.chain(required).any(|name| is_groups(settings, name));
        is_needed
            && match self.lookup {
                GroupLookup::MicrosoftGraph { .. } => has_too_many(claims),
                GroupLookup::GoogleDirectory { .. } | GroupLookup::GitHub { .. } => true,
            }
    }

    /// Whether somebody's access token is good for it whomever it is for: it is asked with one of its own, or the provider is the directory.
    pub(super) fn takes_any_token(&self) -> bool {
        match self.lookup {
            GroupLookup::MicrosoftGraph { .. } => false,
            GroupLookup::GoogleDirectory { .. } | GroupLookup::GitHub { .. } => true,
        }
    }

    /// All groups of `person`.
    pub(super) async fn find(
        &self,
        client: &Client,
        person: Person<'_>,
        now: UnixTime,
    ) -> Result<Vec<String>, GroupsError> {
        let limit = client.settings.limits.timeout;
        // Boxed: most sign-ins have no directory that is asked.
        let list = tokio::time::timeout(limit, Box::pin(self.list(client, person, now))).await;
        list.map_err(|_| GroupsError::TooLate(limit))?
    }

    async fn list(&self, client: &Client, person: Person<'_>, now: UnixTime) -> Result<Vec<String>, GroupsError> {
        let token = || person.access_token.ok_or(GroupsError::NoAccessToken);
        match &self.lookup {
            GroupLookup::MicrosoftGraph { endpoint } => {
                let (name, value) = (HeaderName::from_static("consistencylevel"), HeaderValue::from_static("eventual"));
                let header = HeaderMap::from_iter([(name, value)]);
                pages(client, endpoint, token()?, &header, graph_page).await
            }
            GroupLookup::GoogleDirectory { endpoint, token_endpoint, account, subject, .. } => {
                let key = self.key.as_ref().ok_or(SigningError)?;
                let token = service_token(client, token_endpoint, key, [account, subject], now).await?;
                let first = extended(endpoint, [("userKey", person.subject), ("maxResults", "200")]);
                pages(client, &first, &token, &HeaderMap::new(), |page| google_page(page, &first)).await
            }
            GroupLookup::GitHub { api } => {
                let accept = HeaderValue::from_static("application/vnd.github+json");
                let header = HeaderMap::from_iter([(header::ACCEPT, accept)]);
                let mut all = pages(client, &below(api, "user/orgs"), token()?, &header, organisations_page).await?;
                all.extend(pages(client, &below(api, "user/teams"), token()?, &header, teams_page).await?);
                Ok(all)
            }
        }
    }
}

/// Whether the configuration means the groups by `name`: the claim itself, or what stands for it.
fn is_groups(settings: &Settings, name: &str) -> bool {
    name == GROUPS || *name == *settings.groups.claim
}

/// Microsoft leaves the groups out and says so, in one of two ways.
fn has_too_many(claims: &Map<String, Value>) -> bool {
    let names_them = claims.get("_claim_names").and_then(|names| names.get(GROUPS)).is_some();
    names_them || claims.get("hasgroups").is_some_and(|has| *has == true || *has == "true")
}

/// One page: its groups, and where the next one is.
struct Page {
    groups: Vec<String>,
    next: Option<String>,
}

/// The list that begins at `first`.
async fn pages(
    client: &Client,
    first: &Url,
    token: &Secret<String>,
    headers: &HeaderMap,
    read: impl Fn(&Response<Bytes>) -> Option<Page>,
) -> Result<Vec<String>, GroupsError> {
    let mut all = Vec::new();
    let mut url = first.clone();
    for _ in 0..MAX_PAGES {
        let mut request = bearer(&url, token).ok_or(GroupsError::NoAccessToken)?;
        request.headers_mut().extend(headers.clone());
        let response = client.http.send(request).await?;
        if response.status() != StatusCode::OK {
            return Err(HttpError::Status(response.status().as_u16()).into());
        }
        let page = read(&response).ok_or(GroupsError::Malformed)?;
        all.extend(page.groups);
        let Some(next) = page.next else { return Ok(all) };
        url = first.join(&next).map_err(|_| GroupsError::Malformed)?;
        if url.origin() != first.origin() {
            return Err(GroupsError::OtherOrigin);
        }
    }
    Err(GroupsError::TooManyPages)
}

/// `{"value": [{"@odata.type": "#microsoft.graph.group", "id": …}], "@odata.nextLink": …}`; roles and administrative units stand among the groups.
fn graph_page(response: &Response<Bytes>) -> Option<Page> {
    let page = Object::parse(response.body())?;
    let mut groups = Vec::new();
    for entry in page.get("value")?.as_array()? {
        let kind = entry.get("@odata.type").and_then(Value::as_str);
        if kind.is_none_or(|kind| kind == "#microsoft.graph.group") {
            groups.push(entry.get("id")?.as_str()?.to_owned());
        }
    }
    Some(Page { groups, next: page.get("@odata.nextLink").and_then(Value::as_str).map(Into::into) })
}

/// `{"groups": [{"email": …}], "nextPageToken": …}`; without any group there is no `groups`.
fn google_page(response: &Response<Bytes>, first: &Url) -> Option<Page> {
    let page = Object::parse(response.body())?;
    let mut groups = Vec::new();
    if let Some(list) = page.get("groups") {
        for entry in list.as_array()? {
            groups.push(entry.get("email")?.as_str()?.to_owned());
        }
    }
    let next = page.get("nextPageToken").and_then(Value::as_str).filter(|token| !token.is_empty());
    Some(Page { groups, next: next.map(|token| extended(first, [("pageToken", token)]).into()) })
}

/// `[{"login": …}]`.
fn organisations_page(response: &Response<Bytes>) -> Option<Page> {
    github_page(response, |entry| entry.get("login")?.as_str().map(Into::into))
}

/// `[{"slug": …, "organization": {"login": …}}]`. A team's name alone says little: every organisation may have one of that name.
fn teams_page(response: &Response<Bytes>) -> Option<Page> {
    github_page(response, |entry| {
        let organisation = entry.get("organization")?.get("login")?.as_str()?;
        Some(format!("{organisation}/{}", entry.get("slug")?.as_str()?))
    })
}

fn github_page(response: &Response<Bytes>, group: impl Fn(&Value) -> Option<String>) -> Option<Page> {
    let list: Vec<Value> = serde_json::from_slice(response.body()).ok()?;
    let groups = list.iter().map(group).collect::<Option<_>>()?;
    let links = response.headers().get_all(header::LINK).into_iter();
    let next = links.filter_map(|field| field.to_str().ok()).find_map(next_link).map(Into::into);
    Some(Page { groups, next })
}

/// The target with `rel="next"` in a `Link` field (RFC 8288 §3).
fn next_link(field: &str) -> Option<&str> {
    let mut rest = field;
    loop {
        let (_, link) = rest.split_once('<')?;
        let (target, after) = link.split_once('>')?;
        let parameters = after.split(',').next().unwrap_or_default();
        let is_next = parameters.split(';').filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
            let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
            name.trim().eq_ignore_ascii_case("rel") && relations.any(|rel| rel.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target);
        }
        rest = after;
    }
}

/// `path` below `api`, which may have a path of its own (GitHub Enterprise).
fn below(api: &Url, path: &str) -> Url {
    let mut url = api.clone();
    url.set_path(&format!("{}/{path}", api.path().trim_end_matches('/')));
    extended(&url, [("per_page", "100")])
}

/// A token for the administrator that the service account acts for (RFC 7523 §2.1).
async fn service_token(
    client: &Client,
    endpoint: &Url,
    key: &SigningKey,
    [account, administrator]: [&str; 2],
    now: UnixTime,
) -> Result<Secret<String>, GroupsError> {
    let claims = json!({
        "iss": account,
        "sub": administrator,
        "scope": DIRECTORY_SCOPE,
        "aud": endpoint.as_str(),
        "iat": now.0,
        "exp": now.plus(ASSERTION_LIFETIME).0,
    });
    let assertion = Secret::new(key.sign(|_| (), &claims)?);
    let mut form = Form::default();
    form.set("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
    form.set("assertion", assertion.expose());
    let reply = client.http.post(endpoint, form).await?;
    let token = Object::parse(&reply.body).and_then(|mut answer| answer.remove("access_token"));
    match token {
        Some(Value::String(token)) if !token.is_empty() => Ok(Secret::new(token)),
        _ => Err(GroupsError::NoAccessToken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_the_one_that_says_so() {
        for (field, next) in [
            ("", None),
            ("<https://a/2>", None),
            ("<https://a/2>; rel=\"last\"", None),
            ("https://a/2; rel=\"next\"", None),
            ("<https://a/2; rel=\"next\"", None),
            ("<https://a/2>; title=\"next\"", None),
            ("<https://a/2>; rel=\"next\"", Some("https://a/2")),
            ("<https://a/2>;REL=Next", Some("https://a/2")),
            ("<https://a/2>; rel=\"alternate next\"", Some("https://a/2")),
            ("<https://a/9,9>; rel=\"last\", <https://a/2?x=1,2>; rel=\"next\"", Some("https://a/2?x=1,2")),
            ("</user/orgs?page=2>; rel=\"next\"; x=y, <https://a/9>; rel=\"last\"", Some("/user/orgs?page=2")),
        ] {
            assert_eq!(next_link(field), next, "{field}");
        }
    }

    /// T-128.
    #[test]
    fn too_many_groups_are_said_in_two_ways() {
        for (claims, too_many) in [
            (json!({}), false),
            (json!({"groups": ["a"]}), false),
            (json!({"_claim_names": {}}), false),
            (json!({"_claim_names": {"roles": "src1"}}), false),
            (json!({"_claim_names": "groups"}), false),
            (json!({"hasgroups": false}), false),
            (json!({"hasgroups": true}), true),
            (json!({"hasgroups": "true"}), true),
            (json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "x"}}}), true),
        ] {
            assert_eq!(has_too_many(claims.as_object().unwrap()), too_many, "{claims}");
        }
    }
}
