//! What may be written about a provider: `[providers.NAME]`, and each kind's table in `config/providers.toml`.

pub(super) mod bearer;
pub(super) mod values;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use jsonwebtoken::Algorithm;
use schemars::JsonSchema;
use serde::Deserialize;

use self::{
    bearer::Bearer,
    values::{Claims, LogoutUrl, Lookup, Spoken, Tenant},
};
use super::{
    addresses::{Issuer, ProviderUrl},
    leaf::Given,
    values::{EmailDomain, Pem, Scope},
};
use crate::{
    origin::Origin,
    providers::{ClientAuth, PushedRequests, ResponseMode, SilentCheck, UserinfoMode},
    secret::Secret,
};

/// One provider, and us as its client.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Provider {
    // who it is
    /// What kind of provider it is; without it, its name when that is a known kind, else `oidc`.
    pub(super) kind: Given<String>,
    /// What people read on the button.
    pub(super) display_name: Given<String>,
    /// People can sign in there; otherwise only its tokens count.
    pub(super) login: Given<bool>,
    /// What is spoken with it: OpenID Connect, or OAuth 2.0 alone, where a profile takes the place of the ID token.
    pub(super) protocol: Given<Spoken>,
    /// The issuer identifier, exactly as the provider writes it.
    pub(super) issuer: Given<Issuer>,
    /// Further values of `iss` that mean this issuer.
    pub(super) issuer_aliases: Given<Vec<String>>,
    /// Which tenant of the provider, where its kind is divided into tenants.
    pub(super) tenant: Given<Tenant>,
    /// The words that stand for many tenants in place of one.
    pub(super) shared_tenants: Given<Vec<Tenant>>,
    /// The claim that names somebody's tenant, where there are many.
    pub(super) tenant_claim: Given<String>,
    /// The tenants whose people may sign in, where there are many.
    pub(super) allowed_tenants: Given<Vec<Tenant>>,

    // where it is
    /// Where its metadata is, when that is not below the issuer.
    pub(super) discovery_url: Given<ProviderUrl>,
    /// Where browsers are sent to sign in, when the metadata does not say it or says it wrongly.
    pub(super) authorization_endpoint: Given<ProviderUrl>,
    /// Where codes become tokens, likewise.
    pub(super) token_endpoint: Given<ProviderUrl>,
    /// Where more is known about a person, likewise; with OAuth 2.0 alone, the profile.
    pub(super) userinfo_endpoint: Given<ProviderUrl>,
    /// Where its keys are, likewise.
    pub(super) jwks_uri: Given<ProviderUrl>,
    /// Where browsers are sent to sign out, likewise.
    pub(super) end_session_endpoint: Given<ProviderUrl>,
    /// Where authorization requests are pushed, likewise.
    pub(super) pushed_authorization_request_endpoint: Given<ProviderUrl>,
    /// Where tokens that do not say whose they are are asked about, likewise.
    pub(super) introspection_endpoint: Given<ProviderUrl>,
    /// The origin that stands for the issuer's own in what we ask ourselves, where browsers know it by another host.
    pub(super) back_channel_origin: Given<Origin>,
    /// Where browsers sign out, when that is no `end_session_endpoint`; `{client_id}`, `{return_to}`, `{issuer_origin}` and
    /// `{authorization_origin}` are replaced. Empty for nowhere.
    pub(super) logout_url: Given<LogoutUrl>,
    /// PEM certificates to trust for this provider instead of the system's.
    pub(super) ca_file: Given<PathBuf>,
    /// Accept plain http although the provider is not on this machine. Everybody on the way can then sign in as anybody.
    pub(super) insecure_http: Given<bool>,

    // who we are
    /// Our identifier there.
    pub(super) client_id: Given<String>,
    /// Our secret there; a public client, or one with a key, has none.
    pub(super) client_secret: Given<Secret<String>>,
    /// A file that holds the client secret.
    pub(super) client_secret_file: Given<PathBuf>,
    /// How we authenticate there; without it, as the provider's metadata offers, Basic first.
    pub(super) client_auth: Given<ClientAuth>,
    /// The private key that signs for us, PKCS#8 in PEM.
    pub(super) client_key: Given<Pem>,
    /// A file that holds the private key.
    pub(super) client_key_file: Given<PathBuf>,
    /// The identifier of that key (`kid`).
    pub(super) client_key_id: Given<String>,
    /// What that key signs with; without it, what is usual for it.
    pub(super) client_key_algorithm: Given<Algorithm>,
    /// A PEM file with that key's certificate, where the provider wants its thumbprint (`x5t`).
    pub(super) client_certificate_file: Given<PathBuf>,
    /// The team that our key belongs to (`iss` of what it signs); without it, our identifier.
    pub(super) client_team: Given<String>,
    /// Whom what our key signs is meant for (`aud`); without it, the token endpoint.
    pub(super) client_assertion_audience: Given<String>,
    /// The private keys that open encrypted tokens (JWE), PKCS#8 in PEM, one after the other.
    pub(super) decryption_key: Given<Pem>,
    /// A file that holds them.
    pub(super) decryption_key_file: Given<PathBuf>,

    // what is asked for
    /// What is asked for at a sign-in. With OpenID Connect, `openid` is always among it.
    pub(super) scopes: Given<Vec<Scope>>,
    /// Further parameters of the authorization request, for example `prompt = "select_account"`.
    pub(super) authorization_parameters: BTreeMap<String, Given<String>>,
    /// How the answer comes back: in the query, or as a form that is posted from the provider's site.
    pub(super) response_mode: Given<ResponseMode>,
    /// How a session without a refresh token is checked: with `prompt=none`, as at a sign-in, or not at all.
    pub(super) silent_check: Given<SilentCheck>,
    /// Whether authorization requests are pushed ahead of the browser (RFC 9126).
    pub(super) pushed_authorization_requests: Given<PushedRequests>,
    /// Use PKCE (RFC 7636), so that a stolen code is of no use.
    pub(super) pkce: Given<bool>,
    /// Ask that ID tokens repeat the nonce, so that none can be used twice.
    pub(super) nonce: Given<bool>,
    /// How long ago people may have signed in at the provider; who did so earlier does it again.
    pub(super) max_age: Given<Duration>,

    // what is believed
    /// Signature algorithms that are accepted.
    pub(super) algorithms: Given<Vec<Algorithm>>,
    /// When the userinfo endpoint is asked.
    pub(super) userinfo: Given<UserinfoMode>,
    /// Take claims from the access token too, last: it is a JWT of this provider.
    pub(super) access_token_claims: Given<bool>,
    /// With OAuth 2.0 alone, the claim of the profile that never changes and is never given to somebody else.
    pub(super) subject_claim: Given<String>,
    /// Prove to the profile endpoint that we have the client secret (Facebook).
    pub(super) appsecret_proof: Given<bool>,
    /// Where a list of e-mail addresses is, of which the primary and verified one counts (GitHub).
    pub(super) email_endpoint: Given<ProviderUrl>,
    /// For each claim, the values of which people must have one to sign in; an empty list: any.
    pub(super) required_claims: BTreeMap<String, Given<Vec<String>>>,
    /// The claim that names the user, or several, of which the first that is there counts.
    pub(super) user_claim: Given<Claims>,
    /// Make the user's `A` to `Z` lower case.
    pub(super) user_lower_case: Given<bool>,
    /// Cut this domain off the user; who has another one is refused.
    pub(super) user_strip_domain: Given<EmailDomain>,
    /// Put this in front of the user.
    pub(super) user_prefix: Given<String>,
    /// The claim with the e-mail address; it is called `email` everywhere else.
    pub(super) email_claim: Given<String>,
    /// The claim that says whether the address has been verified.
    pub(super) email_verified_claim: Given<String>,
    /// Let only people with a verified address in one of these domains sign in.
    pub(super) email_domains: Given<Vec<EmailDomain>>,
    /// The claim with the groups; it is called `groups` everywhere else.
    pub(super) groups_claim: Given<String>,
    /// Where groups are looked up besides.
    pub(super) groups_lookup: Given<Lookup>,
    /// The address of that lookup.
    pub(super) groups_endpoint: Given<ProviderUrl>,
    /// For Google's directory, the JSON file of the service account.
    pub(super) groups_account_file: Given<PathBuf>,
    /// For Google's directory, the administrator whom the service account acts for.
    pub(super) groups_subject: Given<String>,
    /// Let an e-mail address that the provider has not verified name the user. Whoever can type it in there can then be that user.
    pub(super) insecure_unverified_email: Given<bool>,
    /// Let another provider that has this too name the same users. Whoever is called alike at either is then one user.
    pub(super) insecure_shared_identifiers: Given<bool>,

    // what programs bring
    /// Which of its tokens count that programs bring, and who says so.
    pub(super) bearer: Bearer,
}
