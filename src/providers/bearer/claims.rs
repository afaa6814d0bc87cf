//! What is said of a token becomes [`Vouched`]: the same for a JWT and for what an endpoint answers.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::{Map, Value};

use super::{Audience, BearerError, BearerRefusal, Confirmation, Vouched, userinfo};
use crate::{
    clock::UnixTime,
    identity::Identity,
    providers::{
        Bearer, BearerMethod, OAuth2, Protocol, Provider, RequiredClaim, UserError,
        claims::{Sources, Wanted},
        error::printable,
        id_token::{LEEWAY, seconds, time, whole},
    },
    secret::Secret,
};

/// For how long a signature is believed: keys may be withdrawn, and what a token says need not be read at every request.
const JWT_RECHECK: Duration = Duration::from_secs(300);

/// An active token whose owner cannot be named to the application.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nameless {
    /// The user claim.
    #[error(transparent)]
    User(#[from] UserError),
    /// `required_claims`.
    #[error(transparent)]
    Required(#[from] RequiredClaim),
}

/// What is said of a token, and who says it.
pub(super) struct Said {
    claims: Map<String, Value>,
    /// The token itself says it, and a key vouches for it.
    is_signed: bool,
    is_id_token: bool,
}

impl Said {
    pub(super) fn by_keys(claims: Map<String, Value>, is_id_token: bool) -> Self {
        Self { claims, is_signed: true, is_id_token }
    }

    pub(super) fn by_answer(claims: Map<String, Value>) -> Self {
        Self { claims, is_signed: false, is_id_token: false }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }

    /// The client it was issued to (RFC 9068 §2.2, and what providers have instead): of an ID token the one that it is for.
    fn client(&self) -> Option<&str> {
        let names = ["client_id", "azp", "cid", "appid"];
        let named = names.into_iter().find_map(|name| self.text(name));
        named.or_else(|| self.text("aud").filter(|_| self.is_id_token))
    }

    /// The times that it is good between; its end, where it has one.
    fn times(&self, now: UnixTime) -> Result<Option<UnixTime>, BearerRefusal> {
        let time = |name: &'static str| time(&self.claims, name).map_err(|_| BearerRefusal::Malformed(name.into()));
        let exp = time("exp")?;
        if exp.is_none() && self.is_signed {
            return Err(BearerRefusal::Missing("exp".into()));
        }
        if let Some(exp) = exp.filter(|exp| seconds(now) >= exp + LEEWAY.as_secs_f64()) {
            return Err(BearerRefusal::Expired { exp: whole(exp), now });
        }
        for name in ["nbf", "iat"] {
            if let Some(from) = time(name)?.filter(|from| *from > seconds(now.plus(LEEWAY))) {
                return Err(BearerRefusal::NotYetValid { nbf: whole(from), now });
            }
        }
        Ok(exp.map(whole))
    }

    /// What says that it is no access token. A JWT has been looked at already.
    fn kind(&self, rules: &Bearer) -> Result<(), BearerRefusal> {
        let is = |name: &str, kind: &str| self.text(name).is_some_and(|found| found.eq_ignore_ascii_case(kind));
        if (is("typ", "ID") || is("token_use", "id")) && !rules.id_tokens {
            return Err(BearerRefusal::IdToken);
        }
        // An answer's `token_type` is that of RFC 6749 §7.1; `typ` is Keycloak's, `token_use` Cognito's.
        let accepted: [(&str, &[&str]); 3] = [
            ("token_type", &["Bearer", "DPoP", "access_token", "N_A"]),
            ("typ", &["Bearer", "DPoP", "ID", "JWT", "at+jwt"]),
            ("token_use", &["access", "access_token", "id"]),
        ];
        for (name, kinds) in accepted {
            let Some(found) = self.claims.get(name).filter(|found| !found.is_null()) else { continue };
            let found = found.as_str().ok_or_else(|| BearerRefusal::Malformed(name.into()))?;
            if !kinds.iter().any(|kind| found.eq_ignore_ascii_case(kind)) {
                return Err(BearerRefusal::Kind(printable(found)));
            }
        }
        Ok(())
    }

    fn audience(&self, provider: &Provider, rules: &Bearer) -> Result<Audience, BearerRefusal> {
        if rules.insecure_any_audience {
            return Ok(Audience::Any);
        }
        let name = if self.is_id_token { "aud" } else { &*rules.audience_claim };
        let malformed = || BearerRefusal::Malformed(name.into());
        let named: Box<[Box<str>]> = match self.claims.get(name) {
            None | Some(Value::Null) => Box::default(),
            Some(Value::String(one)) => [one.as_str().into()].into(),
            Some(Value::Array(many)) => {
                many.iter().map(|one| one.as_str().map(Into::into)).collect::<Option<_>>().ok_or_else(malformed)?
            }
            Some(_) => return Err(malformed()),
        };
        if !named.is_empty() {
            let mut accepted = rules.audiences.clone();
            if self.is_id_token && !provider.settings.client_id.is_empty() {
                accepted.insert(provider.settings.client_id.as_str().into());
            }
            return Ok(Audience::Named { named, accepted: Arc::new(accepted) });
        }
        let is_ours = |client: &str| {
            let ours = &provider.settings.client_id;
            (!ours.is_empty() && client == ours) || rules.clients.contains(client)
        };
        let client = self.client().or_else(|| provider.proven_client(rules));
        if !self.is_signed && client.is_some_and(is_ours) {
            return Ok(Audience::OurClient);
        }
        Err(BearerRefusal::Missing(name.into()))
    }

    /// RFC 6749 §3.3: `scope`, separated by spaces; some have a list, or call it `scp`.
    fn scopes(&self) -> BTreeSet<Box<str>> {
        let mut scopes = BTreeSet::new();
        for name in ["scope", "scp"] {
            match self.claims.get(name) {
                Some(Value::String(text)) => scopes.extend(text.split_ascii_whitespace().map(Into::into)),
                Some(Value::Array(many)) => scopes.extend(many.iter().filter_map(Value::as_str).map(Into::into)),
                _ => {}
            }
        }
        scopes
    }

    /// `cnf` (RFC 7800 §3.1). One that is not understood must not be overlooked.
    fn confirmation(&self) -> Option<Confirmation> {
        let cnf = self.claims.get("cnf").filter(|cnf| !cnf.is_null())?;
        let members = cnf.as_object();
        let only = members.and_then(|members| members.iter().next().filter(|_| members.len() == 1));
        Some(match only {
            Some((name, Value::String(key))) if name == "jkt" => Confirmation::Key(key.as_str().into()),
            Some((name, Value::String(certificate))) if name == "x5t#S256" => {
                Confirmation::Certificate(certificate.as_str().into())
            }
            _ => Confirmation::Unknown,
        })
    }
}

impl Provider {
    pub(super) async fn vouched(
        &self,
        said: Said,
        rules: &Bearer,
        token: &Secret<String>,
        now: UnixTime,
    ) -> Result<Vouched, BearerError> {
        self.check_issuer(&said)?;
        let expires = said.times(now)?;
        said.kind(rules)?;
        if !rules.clients.is_empty() {
            // One that does not say whose it is, is none of theirs.
            let client = said.client().or_else(|| self.proven_client(rules));
            let client = client.ok_or(BearerRefusal::Missing("client_id".into()))?;
            if !rules.clients.contains(client) {
                return Err(BearerRefusal::Client(printable(client)).into());
            }
        }
        let audience = said.audience(self, rules)?;
        let recheck = if said.is_signed { JWT_RECHECK } else { rules.recheck };
        let latest = now.plus(recheck);
        Ok(Vouched {
            identity: self.identified(&said, rules, token, now).await?,
            scopes: said.scopes(),
            audience,
            confirmation: said.confirmation(),
            good_until: expires.map_or(latest, |expires| expires.min(latest)),
        })
    }

    /// Us, where an answer is one about a token of ours or none at all: Facebook's proof is made with our secret, and refused for a token of
    /// another client.
    fn proven_client(&self, rules: &Bearer) -> Option<&str> {
        let is_proven = rules.method == BearerMethod::Userinfo
            && matches!(self.settings.protocol, Protocol::OAuth2(OAuth2 { appsecret_proof: true, .. }));
        is_proven.then_some(self.settings.client_id.as_str())
    }

    /// A JWT says whose it is; an endpoint may, and then it has to fit.
    fn check_issuer(&self, said: &Said) -> Result<(), BearerRefusal> {
        let Some(iss) = said.claims.get("iss") else {
            return if said.is_signed { Err(BearerRefusal::Missing("iss".into())) } else { Ok(()) };
        };
        let iss = iss.as_str().ok_or(BearerRefusal::Malformed("iss".into()))?;
        let metadata = self.metadata.peek();
        let as_metadata = metadata.as_ref().and_then(|metadata| metadata.access_token_issuer.as_deref());
        let is_ours = self.is_token_issuer(iss) || as_metadata == Some(iss);
        let refused = || BearerRefusal::Issuer { expected: self.issuer().into(), found: printable(iss) };
        is_ours.then_some(()).ok_or_else(refused)
    }

    /// Whose it is: what the token says, with groups and userinfo where they are wanted.
    async fn identified(
        &self,
        said: &Said,
        rules: &Bearer,
        token: &Secret<String>,
        now: UnixTime,
    ) -> Result<Result<Arc<Identity>, Nameless>, BearerError> {
        let wanted = Wanted::of(&self.settings);
        let subject = said.text("sub").unwrap_or_default();
        let groups = self.groups_for_bearer(&said.claims, subject, token).await;
        let alone = Sources { groups: groups.as_ref(), ..Sources::alone(&said.claims) };
        if let Err(error) = wanted.check_required(alone) {
            return Ok(Err(error.into()));
        }
        // An ID token opens no endpoint.
        let may_ask = rules.userinfo_fallback && !said.is_id_token && !subject.is_empty();
        let asks = may_ask && !wanted.missing(alone).is_empty();
        let more = if asks {
            let metadata = self.metadata.get().await?;
            Some(userinfo::add(&self.client, &self.keys, &metadata, token, subject, now).await?)
        } else {
            None
        };
        let sources = Sources { userinfo: more.as_ref(), ..alone };
        Ok(match wanted.user(sources) {
            Ok(user) => Ok(Arc::new(Identity { user, claims: wanted.kept(sources) })),
            Err(error) => Err(error.into()),
        })
    }

    /// As at a sign-in, but no token is shown to a directory that it may not be meant for.
    async fn groups_for_bearer(
        &self,
        claims: &Map<String, Value>,
        subject: &str,
        token: &Secret<String>,
    ) -> Option<Value> {
        let directory = self.directory.as_ref().filter(|directory| directory.is_asked(&self.settings, claims))?;
        if !directory.takes_any_token() {
            tracing::debug!(provider.name = %self.name(), "leaving out the groups of a token: it does not list them");
            return Some(Value::Null);
        }
        let found = self.look_up_groups(claims, subject, Some(token)).await?;
        Some(found.map_or_else(|error| self.no_groups(&error), Value::from))
    }
}
