//! Rejection → response: the only file that chooses a status code for what went wrong.
//!
//! People get a page (cause, what to do, an id), programs get `application/problem+json` (RFC 9457) with the same id. The log gets the id and the
//! cause; it is written here, once, and says whose fault it was.

mod caller;

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::json;
use tracing::{debug, error, warn};

use super::{
    authenticate::CallerError, identity_headers::Withheld, resource::Challenge, target::BadTarget,
    upstream::UpstreamError, wants::Wants,
};
use crate::{
    assertion::NotSigned,
    body::Body,
    endpoints::{
        self, EndpointError, Links, LogoutRefused,
        pages::{self, Action, ErrorPage, Pages},
    },
    identity::ProviderName,
    origin::{Origin, ReturnTo},
    policy::Denial,
    providers::{Fault, IdTokenError, LogoutTokenError, SignInError, UserError},
    sessions::LoginStateError,
    telemetry::causes,
};

/// Why a request was not forwarded.
#[derive(Debug, thiserror::Error)]
pub(super) enum Rejection {
    /// CONNECT or TRACE.
    #[error("this method is not forwarded")]
    MethodNotAllowed,
    /// A request target without a meaning.
    #[error("the request target is malformed")]
    BadTarget(#[source] BadTarget),
    /// No host, several, or a malformed one.
    #[error("the host is malformed: {0}")]
    BadHost(&'static str),
    /// The header section is larger than `limits.header_bytes`.
    #[error("the header section is too large")]
    HeadersTooLarge,
    /// A host nobody configured.
    #[error("nobody configured this host")]
    UnknownHost,
    /// A path that decoders read differently, and it would matter.
    #[error("the path can be read in several ways that lead to different routes")]
    AmbiguousPath,
    /// A path nobody configured.
    #[error("there is no route for this path")]
    NoRoute,
    /// Nobody is signed in, or not at one of the providers that count here.
    #[error("nobody is signed in")]
    NotSignedIn {
        /// Where to sign in; anywhere when there are none.
        providers: Box<[ProviderName]>,
        /// Where a token would do, too.
        challenge: Option<Challenge>,
    },
    /// Somebody is, and it is time to ask their provider, which takes the browser.
    #[error("the session has to be confirmed at its provider")]
    Recheck {
        /// Where.
        provider: ProviderName,
        /// What has been found out about the session on the way.
        cookie: Option<HeaderValue>,
    },
    /// Nobody knows here which sessions have ended, and that for too long.
    #[error("this replica has not learned for too long which sessions have ended")]
    CutOff,
    /// What rules and headers need of the session is in the store, and that does not answer.
    #[error("the claims of a session are in the session store, which does not answer")]
    ClaimsUnavailable,
    /// A token does not count, or there is none and nothing else counts.
    #[error("no token that counts here")]
    Caller {
        /// Why.
        #[source]
        error: CallerError,
        /// How to do better.
        challenge: Challenge,
    },
    /// The token does not allow what this route needs.
    #[error("the token lacks a scope of `{scopes}`")]
    Scope {
        /// All that are needed, separated by spaces.
        scopes: Box<str>,
        /// How to do better.
        challenge: Challenge,
    },
    /// Somebody is, and policy says no.
    #[error("policy refused")]
    Forbidden(#[source] Denial),
    /// What the application must be told does not fit into its header.
    #[error(transparent)]
    Withheld(#[from] Withheld),
    /// The application must be told with a signature, and there is none.
    #[error(transparent)]
    NotSigned(#[from] NotSigned),
    /// The application did not answer.
    #[error("the application did not answer")]
    Upstream(#[source] UpstreamError),
    /// One of our own endpoints refused.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

/// Turns rejections into answers.
#[derive(Debug)]
pub(super) struct Replies {
    origin: Origin,
    links: Links,
    pages: Arc<Pages>,
}

/// What a caller is told: everything here may be shown to strangers.
struct Told {
    status: StatusCode,
    title: &'static str,
    cause: Cow<'static, str>,
    advice: &'static str,
    /// Another try that may help, from the beginning.
    retry: Option<ReturnTo>,
    /// The providers that other try has to be at one of; any when there are none.
    providers: Box<[ProviderName]>,
    /// Signing out works all the same, and is offered.
    offers_logout: bool,
    /// An OAuth error code: whoever asks is a server that wants this and nothing else (RFC 6749 §5.2).
    oauth_error: Option<&'static str>,
    headers: Vec<(HeaderName, HeaderValue)>,
    fault: Fault,
}

impl Told {
    fn new(status: StatusCode, fault: Fault, title: &'static str, cause: impl Into<Cow<'static, str>>) -> Self {
        let cause = cause.into();
        Self {
            status,
            title,
            cause,
            advice: CHECK,
            retry: None,
            providers: Box::default(),
            offers_logout: false,
            oauth_error: None,
            headers: Vec::new(),
            fault,
        }
    }

    fn advice(mut self, advice: &'static str) -> Self {
        self.advice = advice;
        self
    }

    fn retry(mut self, return_to: &ReturnTo) -> Self {
        self.retry = Some(return_to.clone());
        self
    }

    fn offering_logout(mut self) -> Self {
        self.offers_logout = true;
        self
    }

    fn at(mut self, providers: &[ProviderName]) -> Self {
        self.providers = providers.into();
        self
    }

    fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn retry_after(self, wait: Duration) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)))
    }
}

const BEARER: HeaderValue = HeaderValue::from_static("Bearer");
const CHECK: &str = "Check the address, or go back to where you came from.";
const TRY_AGAIN: &str = "Sign in again. If it keeps happening, give the reference below to whoever runs this site.";
const TELL_OPERATOR: &str = "Give the reference below to whoever runs this site: it leads to the details in the log.";
/// When to come back to a provider that cannot be reached, where nobody knows better.
const RETRY_AFTER: Duration = Duration::from_secs(10);
const WAIT: &str = "Wait a moment and try again.";
const OTHER_ACCOUNT: &str = "Sign in again, with another account if you have one.";
/// How providers say that the person said no, or may not say yes: RFC 6749 §4.1.2.1, and what Apple and LinkedIn have for it.
const NOES: [&str; 3] = ["access_denied", "user_cancelled_authorize", "user_cancelled_login"];

impl Replies {
    /// Pages and links are the endpoints' own.
    #[must_use]
    pub(super) fn new(origin: Origin, links: Links, pages: Arc<Pages>) -> Self {
        Self { origin, links, pages }
    }

    /// The answer to a request that was rejected, with a log line when somebody has to know.
    #[must_use]
    pub(super) fn reject(
        &self,
        rejection: &Rejection,
        wants: Wants,
        path_and_query: &str,
        request_id: &str,
    ) -> Response<Body> {
        let sign_in_at: Option<&[ProviderName]> = if let Rejection::NotSignedIn { providers, .. } = rejection {
            Some(providers)
        } else {
            matches!(rejection, Rejection::Endpoint(EndpointError::SignInFirst)).then_some(&[])
        };
        if let (Some(providers), Wants::Navigation) = (sign_in_at, wants) {
            let login = self.links.login_at(providers, &ReturnTo::parse(path_and_query, &self.origin));
            return endpoints::redirect(StatusCode::FOUND, login.as_str());
        }
        if let Rejection::Recheck { provider, cookie } = rejection {
            let check = self.links.check(provider, &ReturnTo::parse(path_and_query, &self.origin));
            let mut redirect = endpoints::redirect(StatusCode::FOUND, check.as_str());
            redirect.headers_mut().extend(cookie.clone().map(|cookie| (header::SET_COOKIE, cookie)));
            return redirect;
        }
        let told = self.tell(rejection);
        log(rejection, &told, request_id);
        let mut response = match (told.oauth_error, wants) {
            (Some(code), _) => oauth_error(code, &told),
            (None, Wants::Navigation | Wants::Page) => self.page(&told, request_id),
            (None, Wants::Answer) => problem(&told, request_id),
        };
        *response.status_mut() = told.status;
        response.headers_mut().extend(told.headers);
        response
    }

    fn page(&self, told: &Told, request_id: &str) -> Response<Body> {
        let retry = told.retry.as_ref().map(|to| self.links.login_at(&told.providers, to));
        let retry = retry.map(|href| Action { label: "Sign in again".into(), href });
        let logout = self.links.logout(&ReturnTo::root());
        let ways_out = [
            Action { label: "Sign out".into(), href: logout.clone() },
            Action { label: "Sign out everywhere".into(), href: logout.with("everywhere", "1") },
        ];
        let ways_out = ways_out.into_iter().filter(|_| told.offers_logout);
        endpoints::page(self.pages.error(&ErrorPage {
            status: told.status,
            title: told.title.into(),
            cause: Cow::Borrowed(&told.cause),
            advice: told.advice.into(),
            actions: retry.into_iter().chain(ways_out).collect(),
            request_id,
        }))
    }

    fn tell(&self, rejection: &Rejection) -> Told {
        use Rejection as R;
        use StatusCode as S;
        match rejection {
            R::MethodNotAllowed => {
                Told::new(S::METHOD_NOT_ALLOWED, Fault::Caller, "Method not allowed", "This method is not forwarded.")
                    .header(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"))
            }
            R::BadTarget(BadTarget::TooLong) => {
                Told::new(S::URI_TOO_LONG, Fault::Caller, "Address too long", "The address is longer than 8192 bytes.")
            }
            R::BadTarget(why @ (BadTarget::Percent | BadTarget::Nul | BadTarget::NotAPath)) => {
                Told::new(S::BAD_REQUEST, Fault::Caller, "Malformed request", sentence(why))
            }
            R::BadHost(why) => {
                Told::new(S::BAD_REQUEST, Fault::Caller, "Malformed request", format!("The request has {why}."))
            }
            R::HeadersTooLarge => Told::new(
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                Fault::Caller,
                "Request headers too large",
                "The headers of this request, cookies included, are larger than this site takes.",
            )
            .advice("Delete this site's cookies in your browser and try again."),
            R::UnknownHost => Told::new(
                S::MISDIRECTED_REQUEST,
                Fault::Caller,
                "Unknown host",
                "This server does not answer for the host name that was asked for.",
            )
            .advice("Check the address. Operators: public_url and the routes' hosts say which names are answered for."),
            R::AmbiguousPath => Told::new(
                S::BAD_REQUEST,
                Fault::Caller,
                "Ambiguous address",
                "The path of this address can be read in several ways, and they lead to different places.",
            )
            .advice("Use the address without encoded slashes, dots or backslashes."),
            R::NoRoute => Told::new(S::NOT_FOUND, Fault::Caller, "Not found", "There is nothing at this address."),
            R::NotSignedIn { providers, challenge: None } => not_signed_in().at(providers).header(header::WWW_AUTHENTICATE, BEARER),
            R::NotSignedIn { providers, challenge: Some(challenge) } => {
                not_signed_in().at(providers).challenged(challenge, &[])
            }
            // Only navigations are sent there, and they are redirected before anything is told.
            R::Recheck { .. } => not_signed_in(),
            R::CutOff => Told::new(
                S::SERVICE_UNAVAILABLE,
                Fault::Ours,
                "Not possible right now",
                "Whether you are still signed in cannot be checked at the moment.",
            )
            .advice(WAIT)
            .retry_after(RETRY_AFTER),
            R::ClaimsUnavailable => Told::new(
                S::SERVICE_UNAVAILABLE,
                Fault::Ours,
                "Not possible right now",
                "What this site keeps about your account cannot be looked up. You are still signed in.",
            )
            .advice(WAIT)
            .retry_after(RETRY_AFTER),
            R::Caller { error, challenge } => caller::told(error, challenge),
            R::Scope { scopes, challenge } => caller::scope(scopes, challenge),
            R::Forbidden(Denial::NoRuleFits) => Told::new(
                S::FORBIDDEN,
                Fault::Caller,
                "No access",
                "You are signed in, but this account may not use this part of the site.",
            )
            .advice("Ask whoever runs this site for access, or sign in with another account.")
            .retry(&ReturnTo::root()),
            // No 5xx: trying again does not help, and nobody else's requests are affected.
            R::Withheld(withheld) => Told::new(
                S::FORBIDDEN,
                Fault::Caller,
                "Too much to pass on",
                format!("What this site must tell the application about your account does not fit ({}).", withheld.header),
            )
            .advice(
                "Whoever runs this site can raise max_bytes of this header (headers.formats), or have the provider send less. Give them the reference below.",
            ),
            R::NotSigned(NotSigned) => Told::new(
                S::INTERNAL_SERVER_ERROR,
                Fault::Ours,
                "Something went wrong",
                "What this site must tell the application about your account could not be signed.",
            )
            .advice(TELL_OPERATOR),
            R::Upstream(error) => upstream(error),
            R::Endpoint(error) => endpoint(error),
        }
    }
}

fn not_signed_in() -> Told {
    // RFC 6750 §3.1: no error code when the request carried no credential at all.
    Told::new(
        StatusCode::UNAUTHORIZED,
        Fault::Caller,
        "Sign-in needed",
        "This needs a sign-in, and there is none, or it has ended.",
    )
    .advice("Sign in, then send what you sent once more. Going back in the browser usually keeps what a form held.")
    .retry(&ReturnTo::root())
}

fn upstream(error: &UpstreamError) -> Told {
    use StatusCode as S;
    use UpstreamError as U;
    match error {
        U::Connect(_) => Told::new(
            S::BAD_GATEWAY,
            Fault::Ours,
            "Application unreachable",
            "The application behind this sign-in cannot be reached.",
        )
        .advice(WAIT),
        U::Broken(_) => Told::new(
            S::BAD_GATEWAY,
            Fault::Ours,
            "Application broke off",
            "The application behind this sign-in gave no proper answer.",
        )
        .advice(WAIT),
        U::Timeout => Told::new(
            S::GATEWAY_TIMEOUT,
            Fault::Ours,
            "Application too slow",
            "The application behind this sign-in did not answer in time.",
        )
        .advice(WAIT),
        U::Upgrade => Told::new(
            S::BAD_GATEWAY,
            Fault::Ours,
            "Application broke off",
            "The application behind this sign-in switched to a protocol that nobody asked for.",
        )
        .advice(TELL_OPERATOR),
        U::RequestBody(_) => Told::new(
            S::BAD_REQUEST,
            Fault::Caller,
            "Incomplete request",
            "The body of this request ended early or is malformed.",
        ),
    }
}

fn endpoint(error: &EndpointError) -> Told {
    use EndpointError as E;
    use StatusCode as S;
    match error {
        E::NotFound => Told::new(S::NOT_FOUND, Fault::Caller, "Not found", "There is nothing at this address."),
        E::MethodNotAllowed(allow) => {
            Told::new(S::METHOD_NOT_ALLOWED, Fault::Caller, "Method not allowed", "This address does not take this method.")
                .header(header::ALLOW, HeaderValue::from_static(allow))
        }
        E::NotSignedIn | E::SignInFirst => not_signed_in().header(header::WWW_AUTHENTICATE, BEARER),
        E::UnknownProvider => Told::new(
            S::NOT_FOUND,
            Fault::Caller,
            "Unknown provider",
            "This site does not know the sign-in provider that the address names.",
        )
        .advice("Start again and choose one.")
        .retry(&ReturnTo::root()),
        E::Form(why) => Told::new(S::BAD_REQUEST, Fault::Caller, "Incomplete sign-in", sentence(why))
            .advice(TRY_AGAIN)
            .retry(&ReturnTo::root()),
        E::Parameters(why) => Told::new(S::BAD_REQUEST, Fault::Caller, "Malformed request", sentence(why)),
        E::NotFromHere => Told::new(
            S::FORBIDDEN,
            Fault::Caller,
            "Asked for by another site",
            "Another site asked for this, or your browser does not say who did. Nothing has been done.",
        )
        .advice("Open the page of your sessions on this site, and do it there."),
        E::Logout(why) => logout(why),
        E::NoSuchSession => Told::new(
            S::NOT_FOUND,
            Fault::Caller,
            "No such session",
            "You have no session like this. It may have ended already.",
        )
        .advice("Go back and load the page of your sessions anew."),
        E::NoListing(_) => Told::new(
            S::SERVICE_UNAVAILABLE,
            Fault::Ours,
            "Your sessions cannot be shown right now",
            "The place where this site keeps the list of sessions does not answer. Signing out works all the same.",
        )
        .advice(WAIT)
        .offering_logout()
        .retry_after(RETRY_AFTER),
        E::Store(_) => Told::new(
            S::SERVICE_UNAVAILABLE,
            Fault::Ours,
            "Not possible right now",
            "The place where this site keeps its sessions does not answer.",
        )
        .advice(WAIT)
        .retry_after(RETRY_AFTER),
        E::Unavailable(unavailable) => Told::new(
            S::SERVICE_UNAVAILABLE,
            Fault::Provider,
            "Sign-in is not possible right now",
            "The sign-in provider cannot be reached. Whoever is signed in already stays so.",
        )
        .advice(WAIT)
        .retry_after(unavailable.retry_after)
        .retry(&ReturnTo::root()),
        E::LoginState(why) => login_state(why),
        E::Replayed(return_to) => Told::new(
            S::BAD_REQUEST,
            Fault::Caller,
            "Sign-in already used",
            "This sign-in has been finished or used before, for instance by the back button.",
        )
        .advice(TRY_AGAIN)
        .retry(return_to),
        E::ProviderRefused { code, return_to } if NOES.contains(&&**code) => Told::new(
            S::FORBIDDEN,
            Fault::Caller,
            "Sign-in refused",
            format!("The sign-in was cancelled, or the provider does not let this account use this site ({code})."),
        )
        .advice(OTHER_ACCOUNT)
        .retry(return_to),
        E::ProviderRefused { code, return_to } => Told::new(
            S::BAD_GATEWAY,
            Fault::Provider,
            "Sign-in refused",
            format!("The provider did not finish the sign-in ({code})."),
        )
        .advice(TRY_AGAIN)
        .retry(return_to),
        E::SignIn { error, provider, return_to } => sign_in(error, provider, return_to),
        E::TooLarge(too_large) => Told::new(
            S::INSUFFICIENT_STORAGE,
            Fault::Ours,
            "Sign-in does not fit",
            format!(
                "What this site keeps about your account needs {} bytes; a session may hold {}.",
                too_large.bytes, too_large.limit
            ),
        )
        .advice(
            "Whoever runs this site can pass on fewer claims (headers.claims), or have the provider send fewer groups. Give them the reference below.",
        ),
    }
}

/// OpenID Connect Back-Channel Logout 1.0 §2.8. The description is of our own words: nothing of the token, and no cause.
fn logout(why: &LogoutRefused) -> Told {
    use LogoutRefused as L;
    const TITLE: &str = "Logout refused";
    match why {
        L::Token(LogoutTokenError::Unavailable(unavailable)) => Told::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Fault::Provider,
            "Logout cannot be checked right now",
            "The provider's keys cannot be had.",
        )
        .advice(WAIT)
        .retry_after(unavailable.retry_after),
        L::Form(_)
        | L::Token(LogoutTokenError::Signature(_) | LogoutTokenError::Claims(_) | LogoutTokenError::Kind(_))
        | L::Used
        | L::Nobody => {
            let told = Told::new(StatusCode::BAD_REQUEST, Fault::Caller, TITLE, why.to_string());
            Told { oauth_error: Some("invalid_request"), ..told }
        }
    }
}

fn login_state(why: &LoginStateError) -> Told {
    use LoginStateError as L;
    let root = ReturnTo::root();
    let told = |title, cause| {
        Told::new(StatusCode::BAD_REQUEST, Fault::Caller, title, cause)
            .advice(TRY_AGAIN)
            .retry(why.return_to().unwrap_or(&root))
    };
    match why {
        L::NoCookie { .. } => told(
            "No sign-in in progress",
            "This browser has not begun a sign-in here, has begun it too long ago, or does not keep this site's cookies.",
        )
        .advice("Allow cookies for this site and sign in again."),
        L::TooOld { .. } => told("Sign-in took too long", "The sign-in was begun too long ago."),
        L::OtherProvider => told("Wrong provider", "The answer came from another provider than the sign-in was begun at."),
        L::OtherBrowser { .. } => {
            told("Sign-in cannot be continued", "The sign-in was begun in another browser, or once more in this one.")
        }
        L::TooLong(_) | L::Malformed | L::DoesNotOpen | L::FromTheFuture => {
            told("Sign-in cannot be continued", "This is no answer to a sign-in that was begun here.")
        }
    }
}

fn sign_in(error: &SignInError, provider: &str, return_to: &ReturnTo) -> Told {
    use SignInError as E;
    use StatusCode as S;
    let failed = |cause: String| Told::new(S::BAD_GATEWAY, error.fault(), "Sign-in failed", cause).retry(return_to);
    let unavailable = |retry_after| {
        let cause = format!("{provider} cannot be reached.");
        Told::new(S::SERVICE_UNAVAILABLE, error.fault(), "Sign-in is not possible right now", cause)
            .advice(WAIT)
            .retry_after(retry_after)
            .retry(return_to)
    };
    match error {
        E::Unavailable(error) => unavailable(error.retry_after),
        // The sign-in has not begun: it is as if nothing were known of the provider.
        E::Push(_) => unavailable(RETRY_AFTER),
        E::CodeSpent => Told::new(
            S::BAD_REQUEST,
            error.fault(),
            "Sign-in took too long",
            format!("{provider} no longer accepts this sign-in: it has been used or is too old."),
        )
        .advice(TRY_AGAIN)
        .retry(return_to),
        E::Issuer(_) => Told::new(
            S::BAD_REQUEST,
            error.fault(),
            "Wrong provider",
            format!("The answer did not come from {provider}: {}.", causes(error)),
        )
        .advice(TRY_AGAIN)
        .retry(return_to),
        E::Code => Told::new(
            S::BAD_REQUEST,
            error.fault(),
            "Incomplete sign-in",
            format!("The answer of {provider} has no usable code."),
        )
        .advice(TRY_AGAIN)
        .retry(return_to),
        E::User(UserError::UnverifiedEmail) => Told::new(
            S::FORBIDDEN,
            error.fault(),
            "E-mail address not verified",
            format!("{provider} has not verified this account's e-mail address, and this site needs a verified one."),
        )
        .advice("Verify the address at the provider, then sign in again.")
        .retry(return_to),
        E::User(UserError::EmailDomain) => Told::new(
            S::FORBIDDEN,
            error.fault(),
            "Not for this account",
            "Only e-mail addresses of certain domains may sign in here, and this account's is of another one."
                .to_owned(),
        )
        .advice(OTHER_ACCOUNT)
        .retry(return_to),
        // Which tenants may is for the log.
        E::IdToken(IdTokenError::Tenant { .. }) => Told::new(
            S::FORBIDDEN,
            error.fault(),
            "Not for this account",
            "This account's organisation is none of those that may sign in here.".to_owned(),
        )
        .advice(OTHER_ACCOUNT)
        .retry(return_to),
        E::Required(_) | E::User(UserError::OtherDomain { .. }) => {
            Told::new(S::FORBIDDEN, error.fault(), "Not for this account", format!("{}.", capital(&causes(error))))
                .advice(OTHER_ACCOUNT)
                .retry(return_to)
        }
        E::User(_) => {
            Told::new(S::FORBIDDEN, error.fault(), "No usable user name", format!("{}.", capital(&causes(error))))
                .advice(TELL_OPERATOR)
                .retry(return_to)
        }
        E::Misconfigured(_) | E::RequestRefused(_) | E::Signing(_) => {
            failed(format!("{provider} does not accept this site as its client.")).advice(TELL_OPERATOR)
        }
        E::Exchange(_)
        | E::Refused(_)
        | E::Answer(_)
        | E::Signature(_)
        | E::IdToken(_)
        | E::Userinfo(_)
        | E::Groups(_) => {
            failed(format!("What {provider} answered cannot be used: {}.", causes(error))).advice(TRY_AGAIN)
        }
    }
}

fn sentence(error: &impl ToString) -> String {
    format!("{}.", capital(&error.to_string()))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn problem(told: &Told, request_id: &str) -> Response<Body> {
    let document = pages::problem(told.status, told.title, &told.cause, request_id, &[]);
    let mut response = Response::new(Body::from(document));
    response.headers_mut().extend(pages::problem_headers());
    response
}

fn oauth_error(code: &str, told: &Told) -> Response<Body> {
    let document = json!({ "error": code, "error_description": told.cause });
    let mut response = Response::new(Body::from(document.to_string()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Once, here. What strangers can provoke at will is for `debug`; the access record has every request anyway.
fn log(rejection: &Rejection, told: &Told, request_id: &str) {
    let cause = causes(rejection);
    match (rejection, told.fault) {
        (Rejection::Upstream(_), Fault::Ours) => {
            warn!(request.id = request_id, error = cause, fault = "upstream", "The application failed");
        }
        (
            Rejection::Endpoint(
                EndpointError::SignIn { .. } | EndpointError::Unavailable(_) | EndpointError::TooLarge(_),
            ),
            Fault::Ours,
        ) => {
            error!(
                request.id = request_id,
                error = cause,
                fault = "ours",
                "A sign-in failed: the configuration or the registration is wrong"
            );
        }
        (Rejection::Endpoint(EndpointError::Logout(_)), Fault::Provider) => {
            warn!(
                request.id = request_id,
                error = cause,
                fault = "provider",
                "A logout by the provider could not be checked"
            );
        }
        (Rejection::Endpoint(EndpointError::NoListing(_)), Fault::Ours) => {
            warn!(request.id = request_id, error = cause, fault = "ours", "Somebody's sessions could not be listed");
        }
        // Said once where the store is watched; anybody can ask for this.
        (Rejection::Endpoint(EndpointError::Store(_)), Fault::Ours) => {
            debug!(
                request.id = request_id,
                error = cause,
                fault = "ours",
                "A logout in a frame could not be looked up"
            );
        }
        (Rejection::Caller { .. }, Fault::Provider) => {
            warn!(request.id = request_id, error = cause, fault = "provider", "A token could not be checked");
        }
        (Rejection::Caller { error: CallerError::Nameless(_), .. }, Fault::Caller) => {
            warn!(
                request.id = request_id,
                error = cause,
                fault = "caller",
                "A good token was refused: it names nobody"
            );
        }
        (_, Fault::Provider) => {
            warn!(request.id = request_id, error = cause, fault = "provider", "A sign-in failed");
        }
        (Rejection::Endpoint(EndpointError::SignIn { .. }), Fault::Caller) => {
            warn!(request.id = request_id, error = cause, fault = "caller", "A sign-in failed");
        }
        (_, Fault::Ours) => error!(request.id = request_id, error = cause, fault = "ours", "A request failed"),
        (_, Fault::Caller) => debug!(request.id = request_id, error = cause, fault = "caller", "Refused"),
    }
}
