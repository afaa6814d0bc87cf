//! What may be written: one struct per table, one field per key. Providers have so many that they stand in `provider`.
//!
//! The descriptions here are the schema's, which editors show. The schema in turn is what keys are known by, so a key
//! is added here, in `config/defaults.toml` and in `docs/configuration.md`; a test compares the three.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use http::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    addresses::{AdminListen, RouteHost, TrustedPeer, Upstream as UpstreamUrl},
    formats::{ClaimSource, Separator},
    leaf::{Given, Size},
    presets::Preset,
    provider::Provider,
    store::{Prefix, Store},
    values::{EmailDomain, LogFilter, Pem, Scope},
};
use crate::{
    gateway::settings::{Credentials, Encoding, ListForm, PathPrefix, TooLong},
    identity::UserId,
    origin::Origin,
    secret::Secret,
    server::Listen,
    telemetry::Format,
};

/// What a configuration file of Doorward may hold. Every key can also be an environment variable: `DOORWARD_` and the key in
/// upper case, `__` between the levels.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Doorward")]
pub(super) struct Raw {
    /// Where callers connect: `host:port`, `unix:/path`, or `systemd` for a passed socket.
    pub(super) listen: Given<Listen>,
    /// The origin browsers use: `https://app.example.com`. Redirect URIs are built from it, never from what a request says.
    pub(super) public_url: Given<Origin>,
    /// Where the gateway's own endpoints live on that origin.
    pub(super) prefix: Given<PathPrefix>,
    /// The application behind the gateway, when there is one; short for a single route with path `/`.
    pub(super) upstream: Given<UpstreamUrl>,
    /// Who may use that application; without it, whoever has signed in.
    #[schemars(with = "Allow")]
    pub(super) allow: Option<Allow>,
    /// Headers by whose value that application knows that a request comes from here, each by its name.
    pub(super) secret_headers: BTreeMap<String, SecretHeader>,
    /// The header that carries the access token of the session to the application behind `upstream`; without it, the application gets none.
    pub(super) access_token_header: Given<HeaderName>,
    /// What tells who a caller is, at `upstream` and at routes that do not say otherwise: a session cookie, a token, or either.
    pub(super) credentials: Given<Credentials>,
    /// What tokens that programs bring have to allow, and what becomes of them.
    pub(super) tokens: Tokens,
    /// Which application serves which host and path, when there is more than one. The longest path wins.
    pub(super) routes: Vec<Route>,
    /// Peers whose `X-Forwarded-For`, `-Proto` and `-Host` count: addresses, ranges, or `unix`.
    pub(super) trusted_proxies: Given<Vec<TrustedPeer>>,
    /// Worker threads; 0 is one a core.
    pub(super) threads: Given<usize>,
    /// The providers people can sign in at, each under a name of your choice that stands in URLs and logs.
    pub(super) providers: BTreeMap<String, Provider>,
    /// Sessions and logins under way.
    pub(super) session: Session,
    /// What the application is told about who is calling.
    pub(super) headers: Headers,
    /// A signed word to the application about who is calling, for those that verify instead of trust.
    pub(super) assertion: Assertion,
    /// TLS towards callers. Without it the gateway speaks plain HTTP, behind something that ends TLS.
    pub(super) tls: Tls,
    /// The operator's own listener: `/livez`, `/readyz` and `/sessions`.
    pub(super) admin: Admin,
    /// Logs, to standard error.
    pub(super) log: Log,
    /// Limits of time, size and number.
    pub(super) limits: Limits,
}

/// Who may use a route: whoever fits at least one entry.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Allow {
    /// User identifiers, compared byte for byte.
    pub(super) users: Given<Vec<UserId>>,
    /// Domains of verified e-mail addresses.
    pub(super) email_domains: Given<Vec<EmailDomain>>,
    /// For each claim, the values of which one suffices.
    pub(super) claims: BTreeMap<String, Given<Vec<String>>>,
}

/// One application, or one part of it.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Route {
    /// The host it is for; without it, any.
    pub(super) host: Given<RouteHost>,
    /// The path prefix it is for, segment by segment: `/app` covers `/app/x`, not `/application`. Without it, `/`.
    pub(super) path: Given<PathPrefix>,
    /// The application: scheme, host and port.
    pub(super) upstream: Given<UpstreamUrl>,
    /// Whether everybody may use it without signing in. The application is told nothing about them.
    pub(super) anonymous: Given<bool>,
    /// The providers whose sessions and tokens count here; without it, all.
    pub(super) providers: Given<Vec<String>>,
    /// What tells who a caller is here; without it, `credentials` outside.
    pub(super) credentials: Given<Credentials>,
    /// The scopes that a token needs here, all of them; without it, `tokens.scopes`.
    pub(super) token_scopes: Given<Vec<Scope>>,
    /// Whom a token has to be for here, one of them; without it, `tokens.audiences`.
    pub(super) token_audiences: Given<Vec<String>>,
    /// Whether the application gets the token too; without it, `tokens.forward`.
    pub(super) forward_token: Given<bool>,
    /// The header that carries the access token of the session to this application; without it, the application gets none.
    pub(super) access_token_header: Given<HeaderName>,
    /// The header that carries the user identifier here; without it, `headers.user`.
    pub(super) user_header: Given<HeaderName>,
    /// Whom assertions are for here (`aud`); without it, the application's scheme, host and port.
    pub(super) audience: Given<String>,
    /// Headers by whose value the application knows that a request comes from here, each by its name.
    pub(super) secret_headers: BTreeMap<String, SecretHeader>,
    /// Who may use it; without it, whoever has signed in.
    #[schemars(with = "Allow")]
    pub(super) allow: Option<Allow>,
}

/// What tokens that programs bring have to allow, and what becomes of them.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tokens {
    /// The scopes that a token needs, all of them, at routes that do not say otherwise.
    pub(super) scopes: Given<Vec<Scope>>,
    /// Whom a token has to be for, one of them, at routes that do not say otherwise; without it, as the provider's settings say.
    pub(super) audiences: Given<Vec<String>>,
    /// Whether the application gets the token too, at routes that do not say otherwise.
    pub(super) forward: Given<bool>,
    /// Answers about tokens that are kept at most.
    pub(super) answers: Given<usize>,
}

/// A header whose value only the application and the gateway know.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SecretHeader {
    /// The value.
    pub(super) value: Given<Secret<String>>,
    /// A file that holds the value.
    pub(super) value_file: Given<PathBuf>,
}

/// Sessions and logins under way.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Session {
    /// 32 bytes in base64url that seal sessions; `doorward key` makes one.
    pub(super) key: Given<Secret<String>>,
    /// A file that holds the key.
    pub(super) key_file: Given<PathBuf>,
    /// Former keys, which still open sessions.
    pub(super) previous_keys: Given<Vec<Secret<String>>>,
    /// A file that holds the former keys, one a line.
    pub(super) previous_keys_file: Given<PathBuf>,
    /// A session ends this long after its sign-in.
    pub(super) max_age: Given<Duration>,
    /// A session ends when nothing was asked with it for this long.
    pub(super) idle_timeout: Given<Duration>,
    /// From the start of a login to its end.
    pub(super) login_timeout: Given<Duration>,
    /// How often a provider is asked again about a session; `0s` for never.
    pub(super) revalidate: Given<Duration>,
    /// How long a session goes on whose provider or record should be asked and does not answer.
    pub(super) outage_grace: Given<Duration>,
    /// How long sessions count on a replica that cannot learn which have been ended.
    pub(super) cut_off_grace: Given<Duration>,
    /// Sessions that a user may have at once, the oldest end; 0 for any number.
    pub(super) per_user: Given<usize>,
    /// Ended sessions that are remembered at most.
    pub(super) revocations: Given<usize>,
    /// Where sessions keep what a cookie should not carry, and replicas tell each other what has ended: `memory`, or the URL of a Redis.
    pub(super) store: Given<Store>,
    /// Our user there; without it, `default`.
    pub(super) store_username: Given<String>,
    /// Their password.
    pub(super) store_password: Given<Secret<String>>,
    /// A file that holds the password.
    pub(super) store_password_file: Given<PathBuf>,
    /// The password of the sentinels.
    pub(super) store_sentinel_password: Given<Secret<String>>,
    /// A file that holds the sentinels' password.
    pub(super) store_sentinel_password_file: Given<PathBuf>,
    /// PEM certificates to trust for the store instead of the system's.
    pub(super) store_ca_file: Given<PathBuf>,
    /// What every key there begins with.
    pub(super) store_prefix: Given<Prefix>,
    /// From a question to the store to its answer.
    pub(super) store_timeout: Given<Duration>,
    /// What `memory` keeps at most.
    pub(super) store_memory_bytes: Given<Size>,
}

/// What the application is told about who is calling.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Headers {
    /// Names of headers that applications know from elsewhere. Every other key here wins.
    pub(super) preset: Given<Preset>,
    /// The header that carries the user identifier.
    pub(super) user: Given<HeaderName>,
    /// How that identifier is written.
    pub(super) user_encoding: Given<Encoding>,
    /// Further headers, each from the claim it names; `false` for one of the preset's that is not to be sent.
    pub(super) claims: BTreeMap<String, Given<ClaimSource>>,
    /// How claims are written into those headers, by the header's name.
    pub(super) formats: BTreeMap<String, HeaderFormat>,
}

/// How a claim is written into its header.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HeaderFormat {
    /// How a list is written: its values joined, or a JSON array. With it, a single value is a list of one.
    pub(super) list: Given<ListForm>,
    /// The sign between joined values; where a value holds it or `\`, a `\` stands before that.
    pub(super) separator: Given<Separator>,
    /// How the text is carried.
    pub(super) encoding: Given<Encoding>,
    /// The most bytes that are sent.
    pub(super) max_bytes: Given<Size>,
    /// What happens when it would be more: no header, or no request.
    pub(super) too_long: Given<TooLong>,
}

/// The signed assertion.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Assertion {
    /// The header that carries it; without it, there is none.
    pub(super) header: Given<HeaderName>,
    /// The private key that signs, PEM, on the curve P-256.
    pub(super) key: Given<Pem>,
    /// A file that holds the key.
    pub(super) key_file: Given<PathBuf>,
    /// Former keys, and one that is to come: published, but they sign nothing. PEM, one after the other.
    pub(super) previous_keys: Given<Pem>,
    /// A file that holds them.
    pub(super) previous_keys_file: Given<PathBuf>,
    /// How long it counts.
    pub(super) lifetime: Given<Duration>,
}

/// TLS towards callers.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tls {
    /// A PEM file with our certificate and those that vouch for it.
    pub(super) cert: Given<PathBuf>,
    /// A PEM file with its private key.
    pub(super) key: Given<PathBuf>,
    /// Ask callers for a certificate, so that tokens can be bound to it (RFC 8705). They need not have one.
    pub(super) client_certificates: Given<bool>,
}

/// The operator's own listener.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Admin {
    /// Where operators connect; empty for nowhere.
    pub(super) listen: Given<AdminListen>,
}

/// Logs.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    /// What is logged: a level, or levels by target.
    pub(super) filter: Given<LogFilter>,
    /// One line for people, or one JSON object a line.
    pub(super) format: Given<Format>,
}

/// Limits of time, size and number.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    /// Bytes of a request's line and header section.
    pub(super) header_bytes: Given<Size>,
    /// Header fields of a request.
    pub(super) header_count: Given<usize>,
    /// For a caller to send them.
    pub(super) header_timeout: Given<Duration>,
    /// How long a caller's connection may wait for its next request.
    pub(super) idle_timeout: Given<Duration>,
    /// Connections of callers at the same time.
    pub(super) connections: Given<usize>,
    /// How long requests in flight may go on when the gateway is told to stop.
    pub(super) shutdown_grace: Given<Duration>,
    /// To open a connection to an application.
    pub(super) upstream_connect_timeout: Given<Duration>,
    /// For an application to begin its answer.
    pub(super) upstream_response_timeout: Given<Duration>,
    /// How long an unused connection to an application is kept.
    pub(super) upstream_idle_timeout: Given<Duration>,
    /// How long a tunnel (WebSocket) may be silent.
    pub(super) tunnel_idle_timeout: Given<Duration>,
    /// One request to a provider with its answer.
    pub(super) provider_timeout: Given<Duration>,
    /// The largest answer of a provider.
    pub(super) provider_answer_bytes: Given<Size>,
    /// A provider's metadata and keys are renewed when they are older.
    pub(super) provider_renew_after: Given<Duration>,
    /// A provider's metadata and keys are each fetched at most once per this.
    pub(super) provider_min_interval: Given<Duration>,
    /// Requests to one provider at the same time.
    pub(super) provider_concurrency: Given<usize>,
}
