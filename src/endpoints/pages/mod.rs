//! The pages people see: choosing a provider, an error, one's sessions, signed out, and whether to sign out at all. Text in, HTML and headers out.
//!
//! * Whatever comes in as text is escaped, shortened and rid of characters that nobody sees; a link is a [`Href`], which stays with us.
//! * A page needs nothing but itself: its stylesheet is inside, allowed by its hash; there is no script, no image and no font.
//! * There is always a page: when a template fails, the answer is a plainer one, and the log has the reason.
//!
//! Who asks for a page, and with which status it goes out, is decided elsewhere.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, StatusCode, header};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context, syntax::SyntaxConfig};
use url::Url;

use crate::{
    clock::UnixTime,
    origin::{Origin, ReturnTo},
};

mod href;
mod policy;
mod problem;
#[cfg(test)]
mod tests;

pub use href::{Href, InvalidHref};
pub use problem::{problem, problem_headers};

use policy::Policies;

/// Every page of one gateway, templates compiled.
#[derive(Debug)]
pub struct Pages {
    templates: Environment<'static>,
    policies: Policies,
}

/// Why there can be no pages. The templates are ours, so it is a fault of ours.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    /// A template does not compile.
    #[error("a page template does not compile")]
    Template(#[from] minijinja::Error),
    /// The content security policy cannot stand in a header.
    #[error("the content security policy is not a header value")]
    Policy(#[from] header::InvalidHeaderValue),
}

/// A page, and the policy it was written for.
#[derive(Clone, Debug)]
pub struct Page {
    /// The whole document.
    pub html: String,
    /// What the browser may do with it.
    pub content_security_policy: HeaderValue,
}

/// One provider to sign in with.
#[derive(Clone, Debug)]
pub struct Choice<'a> {
    /// "Google".
    pub display_name: &'a str,
    /// Where the sign-in with it starts.
    pub href: Href,
}

/// The question for an e-mail address, where its domain can say which provider.
#[derive(Clone, Debug)]
pub struct AskAddress<'a> {
    /// Where the form leads, by GET: it changes nothing, and its address can be kept.
    pub action: Href,
    /// Where the sign-in leads.
    pub return_to: &'a ReturnTo,
    /// The providers to choose from, when they are not all, as the link has them.
    pub providers: Option<&'a str>,
    /// What was typed before; empty the first time.
    pub typed: &'a str,
    /// Why that did not settle it.
    pub problem: Option<AddressProblem>,
    /// A provider that the form may lead to is on plain http.
    pub may_be_plain_http: bool,
}

/// Why an address did not say which provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressProblem {
    /// It is none.
    NoAddress,
    /// No provider is for its domain.
    NoProvider,
    /// More than one is.
    SeveralProviders,
}

impl AddressProblem {
    fn sentence(self) -> &'static str {
        match self {
            Self::NoAddress => "This is no e-mail address, which would look like name@example.com.",
            Self::NoProvider => {
                "None of these is meant for addresses like this one. Check its spelling, or choose from the list."
            }
            Self::SeveralProviders => {
                "More than one of these is meant for addresses like this one. Choose from the list."
            }
        }
    }
}

/// Something that went wrong, for the person in front of it.
#[derive(Clone, Debug)]
pub struct ErrorPage<'a> {
    /// The status it is answered with; shown small.
    pub status: StatusCode,
    /// A few words: the heading and the title of the window.
    pub title: Cow<'a, str>,
    /// What happened, in plain words.
    pub cause: Cow<'a, str>,
    /// What to do about it.
    pub advice: Cow<'a, str>,
    /// The first is the one to take. May be empty.
    pub actions: Vec<Action<'a>>,
    /// What finds this failure in the log.
    pub request_id: &'a str,
}

/// A way on from an error.
#[derive(Clone, Debug)]
pub struct Action<'a> {
    /// "Try again".
    pub label: Cow<'a, str>,
    /// Where it leads.
    pub href: Href,
}

/// What follows a logout.
#[derive(Clone, Debug)]
pub struct SignedOut<'a> {
    /// Where a new sign-in starts.
    pub sign_in: Href,
    /// The display name of a provider whose own session has not ended, as far as we know.
    pub still_known_at: Option<&'a str>,
}

/// A logout that somebody else asked for.
#[derive(Clone, Debug)]
pub struct ConfirmLogout<'a> {
    /// Who is signed in.
    pub user: &'a str,
    /// Where the form is posted.
    pub logout: Href,
    /// Where to go instead.
    pub cancel: Href,
    /// The provider that signs them out too, if it does.
    pub then_at: Option<LogoutAt<'a>>,
}

/// A provider that ends its own session too (OpenID Connect RP-Initiated Logout 1.0).
#[derive(Clone, Debug)]
pub struct LogoutAt<'a> {
    /// "Google".
    pub display_name: &'a str,
    /// Its `end_session_endpoint`.
    pub endpoint: &'a Url,
}

/// Where somebody is signed in.
#[derive(Clone, Debug)]
pub struct SessionsPage<'a> {
    /// Who.
    pub user: &'a str,
    /// In the order in which they are shown.
    pub sessions: &'a [ListedSession<'a>],
    /// Where the forms that end others' are posted.
    pub action: Href,
    /// Where those are posted that end one's own.
    pub logout: Href,
    /// The `end_session_endpoint` that a logout leads on to, if there is one.
    pub then_at: Option<&'a Url>,
}

/// One of somebody's sessions.
#[derive(Clone, Debug)]
pub struct ListedSession<'a> {
    /// What a form calls it.
    pub id: String,
    /// "Firefox on Linux".
    pub browser: String,
    /// Where it began, where that is known.
    pub address: Option<String>,
    /// The provider's display name, while it is configured.
    pub provider: Option<&'a str>,
    /// When it began.
    pub signed_in: UnixTime,
    /// When it was last used, to some minutes.
    pub seen: UnixTime,
    /// It is the one that looks at the page.
    pub is_own: bool,
}

impl Pages {
    /// Compiles the templates. `application` is what people know: the origin they see in the address bar.
    ///
    /// # Errors
    /// [`PagesError`], which a test rules out for the templates in this folder.
    pub fn new(application: &Origin) -> Result<Self, PagesError> {
        let style = served(include_str!("style.css"));
        let policies = Policies::new(&style)?;

        let mut templates = Environment::new();
        // For every name: by itself only `.html` would be escaped.
        templates.set_auto_escape_callback(|_| AutoEscape::Html);
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        // A line that only steers the template leaves no empty line.
        templates.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        templates.add_global("style", Value::from_safe_string(style));
        templates.add_global("application", authority(application));
        templates.add_template("layout.html", include_str!("templates/layout.html"))?;
        templates.add_template("sign_in.html", include_str!("templates/sign_in.html"))?;
        templates.add_template("error.html", include_str!("templates/error.html"))?;
        templates.add_template("sessions.html", include_str!("templates/sessions.html"))?;
        templates.add_template("signed_out.html", include_str!("templates/signed_out.html"))?;
        templates.add_template("confirm_logout.html", include_str!("templates/confirm_logout.html"))?;
        Ok(Self { templates, policies })
    }

    /// Which provider to sign in with.
    #[must_use]
    pub fn sign_in(&self, choices: &[Choice<'_>], address: Option<&AskAddress<'_>>) -> Page {
        let choices: Vec<Value> = choices
            .iter()
            .map(|choice| context! { display_name => name(choice.display_name), href => choice.href.in_html() })
            .collect();
        let policy = address.map_or(&self.policies.no_form, |ask| self.policies.form_leading_on(ask.may_be_plain_http));
        let address = address.map(|ask| {
            context! {
                action => ask.action.in_html(),
                return_to => ask.return_to.as_str(),
                providers => ask.providers,
                typed => shown(ask.typed, MAX_TYPED),
                problem => ask.problem.map(AddressProblem::sentence),
            }
        });
        self.page("sign_in.html", context! { choices, address }, policy)
    }

    /// What went wrong.
    #[must_use]
    pub fn error(&self, error: &ErrorPage<'_>) -> Page {
        let actions: Vec<Value> = error
            .actions
            .iter()
            .map(|action| context! { label => name(&action.label), href => action.href.in_html() })
            .collect();
        let context = context! {
            status => error.status.as_u16(),
            title => name(&error.title),
            cause => sentence(&error.cause),
            advice => sentence(&error.advice),
            actions,
            request_id => name(error.request_id),
        };
        self.page("error.html", context, &self.policies.no_form)
    }

    /// Where somebody is signed in.
    #[must_use]
    pub fn sessions(&self, page: &SessionsPage<'_>) -> Page {
        let time = |time: UnixTime| context! { machine => time.utc().to_string(), words => time.utc().words() };
        let sessions: Vec<Value> = page
            .sessions
            .iter()
            .map(|session| {
                context! {
                    id => name(&session.id),
                    browser => name(&session.browser),
                    address => session.address.as_deref().map(name),
                    provider => session.provider.map(name),
                    signed_in => time(session.signed_in),
                    seen => time(session.seen),
                    is_own => session.is_own,
                }
            })
            .collect();
        let context = context! {
            user => name(page.user),
            sessions,
            has_others => page.sessions.iter().any(|session| !session.is_own),
            action => page.action.in_html(),
            logout => page.logout.in_html(),
        };
        self.page("sessions.html", context, self.policies.form_leading_to(page.then_at))
    }

    /// The session here has ended.
    #[must_use]
    pub fn signed_out(&self, page: &SignedOut<'_>) -> Page {
        let context = context! { sign_in => page.sign_in.in_html(), still_known_at => page.still_known_at.map(name) };
        self.page("signed_out.html", context, &self.policies.no_form)
    }

    /// Whether the person wants what another site asked for.
    #[must_use]
    pub fn confirm_logout(&self, page: &ConfirmLogout<'_>) -> Page {
        let context = context! {
            user => name(page.user),
            logout => page.logout.in_html(),
            cancel => page.cancel.in_html(),
            provider => page.then_at.as_ref().map(|provider| name(provider.display_name)),
        };
        let policy = self.policies.form_leading_to(page.then_at.as_ref().map(|provider| provider.endpoint));
        self.page("confirm_logout.html", context, policy)
    }

    fn page(&self, template: &'static str, context: Value, policy: &HeaderValue) -> Page {
        let html =
            self.templates.get_template(template).and_then(|found| found.render(context)).unwrap_or_else(|error| {
                tracing::error!(
                    page.template = template,
                    error = &error as &dyn std::error::Error,
                    "A page could not be written"
                );
                PLAIN.to_owned()
            });
        Page { html, content_security_policy: policy.clone() }
    }
}

/// Shown when a template fails.
const PLAIN: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Something went wrong</title></head>\
    <body><main><h1>Something went wrong</h1><p>This page could not be shown. Go back and try again; \
    if it stays like this, tell whoever runs this application.</p></main></body></html>\n";

impl Page {
    /// What goes with it.
    #[must_use]
    pub fn headers(&self) -> [(HeaderName, HeaderValue); 6] {
        [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CONTENT_SECURITY_POLICY, self.content_security_policy.clone()),
            // For browsers that do not know `frame-ancestors`.
            (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            // Tells providers nothing. `no-referrer` would do so too, but turns the `Origin` of our own POST into `null`
            // (Fetch, "append a request Origin header"), and the logout wants to see it.
            (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ]
    }
}

/// The stylesheet as it is served: without comments, indentation and the line endings of somebody's checkout.
/// A browser hashes what it has parsed, in which CR LF has become LF.
fn served(source: &str) -> String {
    source
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("/*"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The origin without its scheme, as an address bar shows it.
fn authority(origin: &Origin) -> String {
    let text = origin.as_str();
    text.split_once("://").map_or(text, |(_, authority)| authority).to_owned()
}

/// A name, a label, an identifier: at most as long as a [`UserId`](crate::identity::UserId).
fn name(text: &str) -> String {
    shown(text, 255)
}

/// The longest text that goes back into a field, in characters: more than a sign-in takes as a hint.
const MAX_TYPED: usize = 512;

/// A sentence or a few: part of it may be what a stranger put into a URL.
fn sentence(text: &str) -> String {
    shown(text, 1_000)
}

/// `text`, at most `limit` characters of it; what cannot be seen or turns the order of its surroundings becomes `U+FFFD`.
fn shown(text: &str, limit: usize) -> String {
    let visible = |c: char| if c.is_control() || is_bidi_control(c) { char::REPLACEMENT_CHARACTER } else { c };
    let mut shown: String = text.chars().take(limit).map(visible).collect();
    if text.chars().nth(limit).is_some() {
        shown.push('…');
    }
    shown
}

/// Unicode Standard Annex 9, §2: marks, embeddings, overrides and isolates.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
