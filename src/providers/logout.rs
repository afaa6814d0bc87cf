//! Where the browser goes to sign out at the provider too: RP-Initiated Logout, or what a provider has instead.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::{
    Settings,
    http::Http,
    metadata::{EndSession, Metadata},
    query::extended,
};
use crate::secret::Secret;

/// What RFC 3986 §2.3 leaves as it is.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where to; `None` where the provider has no such place, or nothing is known of it yet.
pub(super) fn url(
    settings: &Settings,
    metadata: Option<&Metadata>,
    return_to: &str,
    id_token_hint: Option<&Secret<String>>,
    state: Option<&str>,
) -> Option<Url> {
    if let Some(template) = &settings.logout_url {
        let end_session = metadata.and_then(|metadata| metadata.end_session.as_ref()).and_then(|place| match place {
            EndSession::Standard(endpoint) => Some(endpoint),
            EndSession::Ping(_) => None,
        });
        let authorization = metadata.map(|metadata| &metadata.authorization_endpoint);
        let id_token = id_token_hint.map(|hint| hint.expose().as_str());
        return filled(settings, template, &Filling { authorization, end_session, id_token, return_to });
    }
    Some(match metadata?.end_session.as_ref()? {
        // RP-Initiated Logout §2.
        EndSession::Standard(endpoint) => {
            let mut parameters =
                vec![("client_id", settings.client_id.as_str()), ("post_logout_redirect_uri", return_to)];
            parameters.extend(state.map(|state| ("state", state)));
            parameters.extend(id_token_hint.map(|hint| ("id_token_hint", hint.expose().as_str())));
            extended(endpoint, parameters)
        }
        EndSession::Ping(endpoint) => extended(endpoint, [("TargetResource", return_to)]),
    })
}

/// Whether the configured URL is one that a browser may be sent to, whatever is filled in.
pub(super) fn is_usable(settings: &Settings, http: &Http) -> bool {
    let Some(template) = settings.logout_url.as_deref().filter(|template| !template.is_empty()) else { return true };
    let anywhere = Url::parse("https://login.example/authorize").ok();
    let (place, id_token, return_to) = (anywhere.as_ref(), Some("a.b.c"), "https://app.example/");
    let filling = Filling { authorization: place, end_session: place, id_token, return_to };
    filled(settings, template, &filling).is_some_and(|url| http.check(&url).is_ok())
}

/// What a template may need.
struct Filling<'a> {
    authorization: Option<&'a Url>,
    end_session: Option<&'a Url>,
    id_token: Option<&'a str>,
    return_to: &'a str,
}

/// `template` with everything filled in; `None` when something is needed that is not there. Origins and endpoints stand for themselves, the rest is
/// encoded so that it stays one value.
fn filled(settings: &Settings, template: &str, filling: &Filling<'_>) -> Option<Url> {
    if template.is_empty() {
        return None;
    }
    let encoded = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
    let origin = |url: &Url| url.origin().ascii_serialization();
    let issuer = Url::parse(&settings.issuer).ok();
    let values: [(&str, Option<String>); 6] = [
        ("{client_id}", Some(encoded(&settings.client_id))),
        ("{return_to}", Some(encoded(filling.return_to))),
        ("{issuer_origin}", issuer.as_ref().map(origin)),
        ("{authorization_origin}", filling.authorization.map(origin)),
        ("{end_session_endpoint}", filling.end_session.map(Url::to_string)),
        ("{id_token}", filling.id_token.map(encoded)),
    ];
    // An endpoint may have a query already: what the template adds goes on with it.
    let has_query = filling.end_session.is_some_and(|endpoint| endpoint.query().is_some());
    let mut text = match has_query {
        true => template.replace("{end_session_endpoint}?", "{end_session_endpoint}&"),
        false => template.to_owned(),
    };
    for (name, value) in values {
        if text.contains(name) {
            text = text.replace(name, &value?);
        }
    }
    Url::parse(&text).ok()
}
