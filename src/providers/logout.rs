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
        let authorization = metadata.map(|metadata| &metadata.authorization_endpoint);
        return filled(settings, template, authorization, return_to);
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
    let filled = filled(settings, template, anywhere.as_ref(), "https://app.example/");
    filled.is_some_and(|url| http.check(&url).is_ok())
}

/// `template` with everything filled in. Origins stand for themselves, the rest is encoded so that it stays one value.
fn filled(settings: &Settings, template: &str, authorization: Option<&Url>, return_to: &str) -> Option<Url> {
    if template.is_empty() {
        return None;
    }
    let encoded = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
    let origin = |url: &Url| url.origin().ascii_serialization();
    let mut text = template
        .replace("{client_id}", &encoded(&settings.client_id))
        .replace("{return_to}", &encoded(return_to))
        .replace("{issuer_origin}", &origin(&Url::parse(&settings.issuer).ok()?));
    if text.contains("{authorization_origin}") {
        text = text.replace("{authorization_origin}", &origin(authorization?));
    }
    Url::parse(&text).ok()
}
