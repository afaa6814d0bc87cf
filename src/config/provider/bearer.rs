//! What may be written about a provider's tokens that programs bring: `[providers.NAME.bearer]`.

use std::time::Duration;

use figment::value::Value;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    config::leaf::{Given, Leaf, one_of, one_of_schema},
    providers::{BearerMethod, IntrospectionProtocol},
};

/// Which tokens of a provider count, and who says so.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Bearer {
    /// Who answers for a token: the provider's keys (it is a JWT), its introspection or userinfo endpoint, keys and introspection as fits, nobody.
    pub(in crate::config) method: Given<Method>,
    /// How the provider is asked about tokens that do not say whose they are.
    pub(in crate::config) introspection: Given<Introspection>,
    /// Whom a token has to be for, one of them; `{client_id}` and `{issuer}` are replaced. Without it, the route.
    pub(in crate::config) audiences: Given<Vec<String>>,
    /// The claim that says whom a token is for.
    pub(in crate::config) audience_claim: Given<String>,
    /// The clients whose tokens count; without it, any.
    pub(in crate::config) clients: Given<Vec<String>>,
    /// Further values of `iss` that its access tokens have.
    pub(in crate::config) issuers: Given<Vec<String>>,
    /// Let access tokens count that are JWTs but do not say that they are access tokens (RFC 9068).
    pub(in crate::config) plain_jwt: Given<bool>,
    /// Let ID tokens count too.
    pub(in crate::config) id_tokens: Given<bool>,
    /// Ask the userinfo endpoint where a token lacks a claim that is needed.
    pub(in crate::config) userinfo_fallback: Given<bool>,
    /// For how long the answer about a token is believed that does not say itself whose it is.
    pub(in crate::config) recheck: Given<Duration>,
    /// Let tokens count that are for somebody else. Whoever can read one of those can then use it here.
    pub(in crate::config) insecure_any_audience: Given<bool>,
}

/// Who answers for a token; `None` where none counts.
#[derive(Clone, Copy)]
pub(in crate::config) struct Method(pub(in crate::config) Option<BearerMethod>);

const METHODS: [(&str, Method); 5] = [
    ("auto", Method(Some(BearerMethod::Auto))),
    ("jwt", Method(Some(BearerMethod::Jwt))),
    ("introspection", Method(Some(BearerMethod::Introspection))),
    ("userinfo", Method(Some(BearerMethod::Userinfo))),
    ("none", Method(None)),
];

impl Leaf for Method {
    fn parse(value: &Value) -> Result<Self, String> {
        one_of(value, &METHODS)
    }

    fn schema() -> serde_json::Value {
        one_of_schema(&METHODS)
    }
}

/// How a provider is asked; `None` for not at all, unless the method is to ask.
#[derive(Clone, Copy)]
pub(in crate::config) struct Introspection(pub(in crate::config) Option<IntrospectionProtocol>);

const INTROSPECTION: [(&str, Introspection); 4] = [
    ("none", Introspection(None)),
    ("standard", Introspection(Some(IntrospectionProtocol::Standard))),
    ("tokeninfo", Introspection(Some(IntrospectionProtocol::Tokeninfo))),
    ("validate_bearer", Introspection(Some(IntrospectionProtocol::ValidateBearer))),
];

impl Leaf for Introspection {
    fn parse(value: &Value) -> Result<Self, String> {
        one_of(value, &INTROSPECTION)
    }

    fn schema() -> serde_json::Value {
        one_of_schema(&INTROSPECTION)
    }
}
