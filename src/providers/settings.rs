//! One provider as configured: us, registered there, and everything it does differently from the standard.
//!
//! Differences are values here, not branches on a provider's name: a new ordinary provider is a table in `config/providers.toml`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jsonwebtoken::Algorithm;
use url::Url;

use super::jwe::DecryptionKey;
use crate::{
    identity::{NeededClaims, ProviderName},
    secret::Secret,
};

/// One provider, and us as its client.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in URLs and logs.
    pub name: ProviderName,
    /// What people read on the button: "Google".
    pub display_name: String,
    /// What is spoken with it.
    pub protocol: Protocol,
    /// People can sign in there. Otherwise only its tokens count.
    pub login: bool,

    // who it is
    /// The issuer identifier, compared byte for byte. With [`Tenants`] it holds `{tenantid}`.
    pub issuer: String,
    /// Further values of `iss` that mean this issuer: it spells its own name in more than one way, or has changed it.
    pub issuer_aliases: Vec<String>,
    /// Many tenants behind one registration, and which of them may sign in.
    pub tenants: Option<Tenants>,
    /// Where its metadata is, when it is not `issuer` + `/.well-known/openid-configuration`.
    pub discovery_url: Option<Url>,
    /// Endpoints by hand; each wins over the metadata.
    pub endpoints: Endpoints,
    /// An origin that stands for the issuer's own in everything that we ask ourselves, where browsers know it by another host.
    pub back_channel: Option<Url>,
    /// PEM certificates to trust for this provider instead of the system's.
    pub ca: Option<Arc<[u8]>>,
    /// Plain http is accepted although the host is not loopback.
    pub insecure_http: bool,

    // who we are
    /// Our identifier there; empty where nobody signs in and nothing is asked.
    pub client_id: String,
    /// Our secret there; a public client, or one with a key, has none.
    pub client_secret: Option<Secret<String>>,
    /// How we authenticate at the token endpoint; `None` takes what the metadata offers, Basic first.
    pub client_auth: Option<ClientAuth>,
    /// What signs for us, for [`ClientAuth::PrivateKeyJwt`] and [`ClientAuth::MintedSecret`].
    pub client_key: Option<ClientKey>,
    /// The private keys that tokens may be encrypted for; without any, encrypted ones are refused.
    pub decryption_keys: Vec<DecryptionKey>,

    // what is asked for
    /// `openid` is among them, unless the protocol is plain OAuth 2.0.
    pub scopes: Vec<String>,
    /// Further parameters of the authorization request, e.g. `prompt`.
    pub authorization_parameters: Vec<(String, String)>,
    /// How the answer comes back.
    pub response_mode: ResponseMode,
    /// How a session without a refresh token is checked.
    pub silent_check: SilentCheck,
    /// Whether the request goes ahead of the browser (RFC 9126).
    pub pushed_requests: PushedRequests,
    /// PKCE is used (RFC 7636).
    pub pkce: bool,
    /// The ID token has to repeat the nonce. It is sent in any case, and compared when it comes.
    pub nonce: bool,
    /// How long ago the person may have signed in there (`max_age`, then `auth_time` is checked).
    pub max_age: Option<Duration>,

    // what is believed
    /// Signature algorithms that are accepted: asymmetric ones only.
    pub algorithms: Vec<Algorithm>,
    /// When the userinfo endpoint is asked.
    pub userinfo: UserinfoMode,
    /// The access token is a JWT of this issuer whose claims count last.
    pub access_token_claims: bool,
    /// For each claim, the values of which the ID token (or the profile) must have one; an empty set: it must have the claim.
    pub required_claims: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
    /// Which claim is the user.
    pub user: UserRules,
    /// Where the e-mail address is, and what makes it count.
    pub email: EmailRules,
    /// Where the groups are.
    pub groups: Groups,
    /// What the configuration needs to keep of this provider's claims.
    pub needed_claims: NeededClaims,
    /// How the tokens that programs bring are checked; `None` where none of this provider counts.
    pub bearer: Option<Bearer>,

    /// Where the browser signs out there, when that is not the metadata's `end_session_endpoint`: a URL in which `{client_id}`, `{return_to}`,
    /// `{issuer_origin}` and `{authorization_origin}` are replaced. An empty one: nowhere.
    pub logout_url: Option<Box<str>>,
    /// Limits of our requests there.
    pub limits: Limits,
}

/// How a token of this provider that a program brings is checked: is it active, and whose is it?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// Who answers.
    pub method: BearerMethod,
    /// How black boxes are asked about; `None` where none is. Always there with [`BearerMethod::Introspection`].
    pub introspection: Option<IntrospectionProtocol>,
    /// Whom a token has to be for, one of them; empty: the route that it is used at, as a resource of ours (RFC 8707, RFC 9728).
    pub audiences: BTreeSet<Box<str>>,
    /// The claim that says whom a token is for: `aud`, or what a provider has instead.
    pub audience_claim: Box<str>,
    /// The clients whose tokens count; empty: any, when the token is for us.
    pub clients: BTreeSet<Box<str>>,
    /// Further values of `iss` that access tokens have, `{tenantid}` as in the issuer.
    pub issuers: Vec<String>,
    /// JWT access tokens whose `typ` is `JWT` or absent count beside those of RFC 9068.
    pub plain_jwt: bool,
    /// ID tokens count too.
    pub id_tokens: bool,
    /// The userinfo endpoint is asked where a token lacks the user claim or another one that is needed.
    pub userinfo_fallback: bool,
    /// For how long the answer about a black box is believed.
    pub recheck: Duration,
    /// Tokens that are for somebody else count too: whoever can read one of those tokens can use it here.
    pub insecure_any_audience: bool,
}

impl Bearer {
    /// Whether it answers for tokens that do not say whose they are.
    #[must_use]
    pub fn takes_black_boxes(&self) -> bool {
        self.introspection.is_some() || self.method == BearerMethod::Userinfo
    }
}

/// Who answers for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BearerMethod {
    /// It is a JWT, and the provider's keys vouch for it (RFC 9068).
    Jwt,
    /// The introspection endpoint (RFC 7662).
    Introspection,
    /// The userinfo endpoint: the token is good when that answers with a subject.
    Userinfo,
    /// A JWT of this issuer as [`Self::Jwt`], and black boxes as [`Self::Introspection`] where that is configured.
    Auto,
}

/// How a provider is asked about a black box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntrospectionProtocol {
    /// RFC 7662.
    Standard,
    /// Google's `tokeninfo`: no `active`, no client authentication.
    Tokeninfo,
    /// PingFederate's grant at the token endpoint: no `active`, claims in a nested object.
    ValidateBearer,
}

/// What is spoken with a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OpenID Connect: an ID token says who signed in.
    Oidc,
    /// OAuth 2.0 (RFC 6749) alone: a profile asked for with the access token says it.
    OAuth2(OAuth2),
}

/// What differs where there is no ID token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth2 {
    /// The claim of the profile that is the subject: stable, never given to somebody else.
    pub subject_claim: Box<str>,
    /// The profile is asked for with an `appsecret_proof` (Facebook).
    pub appsecret_proof: bool,
    /// A list of addresses, of which the one that is primary and verified counts (GitHub).
    pub email_endpoint: Option<Url>,
}

/// Which tenants may sign in at a provider that serves many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenants {
    /// The claim that names the tenant; its value stands for `{tenantid}` in the issuer.
    pub claim: Box<str>,
    /// Never empty.
    pub allowed: BTreeSet<Box<str>>,
}

/// Endpoints by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// `authorization_endpoint`.
    pub authorization: Option<Url>,
    /// `token_endpoint`.
    pub token: Option<Url>,
    /// `userinfo_endpoint`; for plain OAuth 2.0 the profile.
    pub userinfo: Option<Url>,
    /// `jwks_uri`.
    pub jwks: Option<Url>,
    /// `end_session_endpoint`.
    pub end_session: Option<Url>,
    /// `pushed_authorization_request_endpoint`.
    pub pushed_requests: Option<Url>,
    /// `introspection_endpoint`.
    pub introspection: Option<Url>,
}

/// How a confidential client authenticates (OpenID Connect Core §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// `client_secret_basic`, both parts form-encoded (RFC 6749 §2.3.1).
    Basic,
    /// `client_secret_post`.
    Post,
    /// `private_key_jwt` (RFC 7523).
    PrivateKeyJwt,
    /// `client_secret_post` with a secret that is an ES256 JWT of our own (Apple).
    MintedSecret,
}

/// A private key of ours that a provider knows the public half of.
#[derive(Clone, Debug)]
pub struct ClientKey {
    /// PKCS#8 in PEM.
    pub pem: Secret<String>,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// `kid`, where the provider wants one.
    pub id: Option<String>,
    /// The SHA-1 thumbprint of its certificate, base64url (`x5t`, Entra).
    pub x5t: Option<String>,
    /// `iss` of what it signs; `None` for our client identifier. Apple wants the team here.
    pub issuer: Option<String>,
    /// `aud` of what it signs, `{issuer}` for the issuer; `None` for the token endpoint, or the issuer where a secret is minted.
    pub audience: Option<String>,
}

/// How the answer of an authorization request comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseMode {
    /// In the query, as is usual; nothing is asked for.
    Query,
    /// As a form that is posted from the provider's site (OAuth 2.0 Form Post Response Mode).
    FormPost,
}

/// How a session is checked that has no refresh token: its browser goes through the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilentCheck {
    /// With `prompt=none` (OpenID Connect Core §3.1.2.1), and if the provider wants to show a page, once more without.
    PromptNone,
    /// As at a sign-in: where the person is known, nobody has to do anything.
    Redirect,
    /// Not at all.
    Off,
}

/// Whether authorization requests are pushed ahead of the browser (RFC 9126).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushedRequests {
    /// Where the metadata has the endpoint.
    WhenOffered,
    /// Only where the metadata requires it.
    WhenRequired,
}

/// When the userinfo endpoint is asked at a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserinfoMode {
    /// Never.
    Never,
    /// When the ID token lacks the user claim or a claim that the configuration needs.
    WhenMissing,
    /// At every sign-in.
    Always,
}

/// Which claim is the user, and what is made of it. A claim that begins with `/` is a JSON Pointer (RFC 6901) into nested ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRules {
    /// Never empty; the first that is there counts.
    pub claims: Vec<Box<str>>,
    /// What becomes of its value, in the order of the fields.
    pub transform: UserTransform,
}

/// What becomes of a user claim's value. Applied twice it changes nothing more (or refuses, for want of the domain), except for the prefix; two
/// values that differ in more than the case of ASCII letters stay different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserTransform {
    /// `A` to `Z` to lower case.
    pub lower_case: bool,
    /// `bob@corp.com` becomes `bob`; who has no `@` or another domain is refused, so that nobody passes for somebody here.
    pub strip_domain: Option<Box<str>>,
    /// Put in front.
    pub prefix: Option<Box<str>>,
}

/// Where the e-mail address is, and what makes it count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailRules {
    /// The claim with the address; it counts as the claim `email` everywhere.
    pub claim: Box<str>,
    /// The claim that says whether it is verified: `true`, `"true"`, `1` or `"1"`.
    pub verified_claim: Box<str>,
    /// Only people with a verified address in one of these domains may sign in; empty for everybody. Lower case.
    pub domains: BTreeSet<Box<str>>,
    /// An address that the provider has not verified may name the user.
    pub insecure_unverified: bool,
}

/// Where the groups are.
#[derive(Clone, Debug)]
pub struct Groups {
    /// The claim with them; it counts as the claim `groups` everywhere. A JSON Pointer when it begins with `/`.
    pub claim: Box<str>,
    /// Where they are looked up besides.
    pub lookup: Option<GroupLookup>,
}

/// Where groups are looked up.
#[derive(Clone, Debug)]
pub enum GroupLookup {
    /// Microsoft Graph, when the token says that there are too many to list (`_claim_names`, `hasgroups`).
    MicrosoftGraph {
        /// The list of a person's groups.
        endpoint: Url,
    },
    /// Google's Directory API, by a service account with domain-wide delegation.
    GoogleDirectory {
        /// `https://admin.googleapis.com/admin/directory/v1/groups`.
        endpoint: Url,
        /// Where the service account gets its token.
        token_endpoint: Url,
        /// The account's e-mail address.
        account: Box<str>,
        /// The account's private key, PKCS#8 in PEM.
        key: Secret<String>,
        /// The administrator it acts for.
        subject: Box<str>,
    },
    /// GitHub's organisations, as `org`, and teams, as `org/team`.
    GitHub {
        /// `https://api.github.com`.
        api: Url,
    },
}

/// Limits of requests to a provider, and of how often it is asked.
#[derive(Clone, Debug)]
pub struct Limits {
    /// One request with its answer.
    pub timeout: Duration,
    /// The largest answer, in bytes.
    pub answer_bytes: usize,
    /// Metadata and keys older than this are renewed in the background.
    pub renew_after: Duration,
    /// Metadata and keys are each fetched at most once per this, failed tries included.
    pub min_interval: Duration,
    /// Requests to one provider at the same time.
    pub concurrency: usize,
}

impl Settings {
    /// A provider that follows the standard, with nothing special: what `oidc` is in `config/providers.toml`.
    #[must_use]
    pub fn standard(name: ProviderName, issuer: &str, client_id: &str, limits: Limits) -> Self {
        Self {
            display_name: name.as_str().to_owned(),
            name,
            protocol: Protocol::Oidc,
            login: true,
            issuer: issuer.to_owned(),
            issuer_aliases: Vec::new(),
            tenants: None,
            discovery_url: None,
            endpoints: Endpoints::default(),
            back_channel: None,
            ca: None,
            insecure_http: false,
            client_id: client_id.to_owned(),
            client_secret: None,
            client_auth: None,
            client_key: None,
            decryption_keys: Vec::new(),
            scopes: vec!["openid".to_owned()],
            authorization_parameters: Vec::new(),
            response_mode: ResponseMode::Query,
            silent_check: SilentCheck::PromptNone,
            pushed_requests: PushedRequests::WhenOffered,
            pkce: true,
            nonce: true,
            max_age: None,
            algorithms: vec![Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA],
            userinfo: UserinfoMode::WhenMissing,
            access_token_claims: false,
            required_claims: BTreeMap::new(),
            user: UserRules { claims: vec!["sub".into()], transform: UserTransform::default() },
            email: EmailRules {
                claim: "email".into(),
                verified_claim: "email_verified".into(),
                domains: BTreeSet::new(),
                insecure_unverified: false,
            },
            groups: Groups { claim: "groups".into(), lookup: None },
            needed_claims: NeededClaims::default(),
            bearer: None,
            logout_url: None,
            limits,
        }
    }
}
