//! Tokens that programs bring (RFC 6750, RFC 9449): who vouches for one, and for how long that is believed.
//!
//! * A JWT is given to the provider whose issuer it names, among those that count where it is used; a black box to the one of them that takes
//!   black boxes. What a token names itself only picks who is asked: nobody is asked about a token of somebody else.
//! * An answer is kept until it is no longer good, never past the token's end; a refusal for a few seconds. The key is a hash of the token and
//!   of the providers that could be asked, so an answer never counts where somebody else would have been asked. A reload forgets all.
//! * Whoever asks about a token that is being asked about waits for that answer.
//! * What a route wants of a token is not kept: it is looked at anew at each request.

pub mod dpop;
pub mod presented;

use std::{fmt, sync::Arc, time::Duration};

use quick_cache::{
    Weighter,
    sync::{Cache, EntryAction, EntryResult},
};

use crate::{
    clock::{Clock, UnixTime},
    identity::short_hash,
    providers::{BearerError, BearerRefusal, Provider, Shape, Unavailable, Vouched},
    secret::Secret,
};

/// For how long a token that was refused is refused without another look.
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// For how long nobody is asked about the same token once nobody could tell.
const UNKNOWN_FOR: Duration = Duration::from_secs(2);
/// One entry of the cache in bytes; what is larger counts as several.
const ENTRY: usize = 1_024;

/// A token and those who could be asked about it, in a hash.
pub type Key = [u8; 32];

/// The providers whose tokens count at some route.
#[derive(Clone, Debug)]
pub struct Realm {
    providers: Box<[Arc<Provider>]>,
    tag: [u8; 8],
}

impl Realm {
    /// Those of `providers` whose tokens count at all.
    #[must_use]
    pub fn new<'a>(providers: impl Iterator<Item = &'a Arc<Provider>>) -> Self {
        let providers: Box<[_]> = providers.filter(|provider| provider.takes_tokens()).cloned().collect();
        let tags: Vec<[u8; 4]> = providers.iter().map(|provider| provider.tag().0).collect();
        Self { tag: short_hash(&[b"realm", tags.as_flattened()]), providers }
    }

    /// Their issuers, as metadata names them (RFC 9728 §2).
    pub fn issuers(&self) -> impl Iterator<Item = String> {
        self.providers.iter().flat_map(|provider| provider.issuers())
    }

    /// The provider that `token` is given to.
    async fn answerer(&self, token: &str) -> Result<&Arc<Provider>, TokenError> {
        match Shape::of(token) {
            Shape::Jwt(Some(iss)) => self.issuer(&iss, |_| true).await?.ok_or(TokenError::UnknownIssuer),
            // What does not say whose it is, is a black box, whatever it looks like.
            Shape::Jwt(None) | Shape::BlackBox => self.black_box().ok_or(TokenError::NobodyAnswers),
            Shape::Encrypted(iss) => {
                let reader = match &iss {
                    Some(iss) => self.issuer(iss, Provider::decrypts).await?,
                    None => self.providers.iter().find(|provider| provider.decrypts()),
                };
                reader.or(self.black_box()).ok_or(TokenError::NobodyAnswers)
            }
        }
    }

    fn black_box(&self) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|provider| provider.takes_black_boxes())
    }

    /// Whose tokens are by `iss`, among those that `can` read them. One that cannot be asked for its names keeps nobody else from answering.
    async fn issuer(&self, iss: &str, can: fn(&Provider) -> bool) -> Result<Option<&Arc<Provider>>, Unavailable> {
        let mut among = self.providers.iter().filter(|provider| can(provider));
        if let Some(provider) = among.clone().find(|provider| provider.is_token_issuer(iss)) {
            return Ok(Some(provider));
        }
        let mut unavailable = None;
        for provider in among.by_ref() {
            match provider.is_token_issuer_by_metadata(iss).await {
                Ok(true) => return Ok(Some(provider)),
                Ok(false) => {}
                Err(error) => unavailable = Some(error),
            }
        }
        unavailable.map_or(Ok(None), Err)
    }
}

/// Why a token says nothing about its bearer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenError {
    /// A JWT of an issuer that does not count here.
    #[error("its issuer is none whose tokens count here")]
    UnknownIssuer,
    /// A black box where only JWTs count.
    #[error("it does not say whose it is, and no provider here takes such tokens")]
    NobodyAnswers,
    /// The provider does not vouch for it.
    #[error(transparent)]
    Bearer(#[from] BearerError),
}

impl From<Unavailable> for TokenError {
    fn from(error: Unavailable) -> Self {
        Self::Bearer(error.into())
    }
}

impl TokenError {
    /// What is wrong with the token itself; `None` when nobody could tell.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::UnknownIssuer | Self::NobodyAnswers | Self::Bearer(BearerError::Refused(_)))
    }
}

/// What is known about a token.
#[derive(Debug)]
pub struct Answer {
    /// Stands for the token where it is spoken of.
    pub key: Key,
    /// Who vouches for it and for whom, or why nobody does.
    pub outcome: Result<Vouched, TokenError>,
    until: UnixTime,
}

impl Answer {
    fn new(key: Key, outcome: Result<Vouched, TokenError>, now: UnixTime) -> Self {
        let until = match &outcome {
            Ok(vouched) => vouched.good_until,
            Err(error) if error.is_refusal() => now.plus(REFUSED_FOR),
            Err(_) => now.plus(UNKNOWN_FOR),
        };
        Self { key, outcome, until }
    }

    fn is_good(&self, now: UnixTime) -> bool {
        now < self.until
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Arc<Answer>> for Weight {
    fn weight(&self, _: &Key, answer: &Arc<Answer>) -> u64 {
        let bytes = answer.outcome.as_ref().map_or(0, Vouched::bytes);
        u64::try_from(1 + bytes / ENTRY).unwrap_or(u64::MAX)
    }
}

/// What is known about tokens.
pub struct Tokens {
    answers: Cache<Key, Arc<Answer>, Weight>,
    clock: Clock,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("answers", &self.answers.len()).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Remembers `limit` answers at most, each of up to a kilobyte of claims; a larger one counts as several.
    #[must_use]
    pub fn new(limit: usize, clock: Clock) -> Self {
        Self { answers: Cache::with_weighter(limit, u64::try_from(limit).unwrap_or(u64::MAX), Weight), clock }
    }

    /// What is known about `token` where `realm` counts; asks when that is nothing, or no longer good.
    pub async fn look_up(&self, realm: &Realm, token: &str) -> Arc<Answer> {
        let now = self.clock.now();
        let key = short_hash(&[&realm.tag, token.as_bytes()]);
        if let Some(answer) = self.answers.get(&key).filter(|answer| answer.is_good(now)) {
            return answer;
        }
        // Boxed: most tokens have been seen before.
        Box::pin(self.ask(key, realm, token, now)).await
    }

    async fn ask(&self, key: Key, realm: &Realm, token: &str, now: UnixTime) -> Arc<Answer> {
        let entry = self.answers.entry_async(&key, |_, answer: &mut Arc<Answer>| match answer.is_good(now) {
            true => EntryAction::Retain(Arc::clone(answer)),
            false => EntryAction::ReplaceWithGuard,
        });
        let guard = match entry.await {
            EntryResult::Retained(answer) | EntryResult::Removed(_, answer) => return answer,
            EntryResult::Vacant(guard) | EntryResult::Replaced(guard, _) => Some(guard),
            // It has no timeout.
            EntryResult::Timeout => None,
        };
        let outcome = match realm.answerer(token).await {
            Ok(provider) => provider.vouch(&Secret::new(token.to_owned())).await.map_err(TokenError::from),
            Err(error) => Err(error),
        };
        let answer = Arc::new(Answer::new(key, outcome, self.clock.now()));
        if let Some(guard) = guard {
            // Refused when it was forgotten meanwhile: then it is asked again.
            let _kept = guard.insert(Arc::clone(&answer));
        }
        answer
    }
}

/// A refusal as callers are told (RFC 6750 §3.1): what is wrong with their token, in words that name nobody else's.
#[must_use]
pub fn description(error: &TokenError) -> &'static str {
    use BearerRefusal as R;
    match error {
        TokenError::UnknownIssuer => "the token is of an issuer that does not count here",
        TokenError::NobodyAnswers => "the token is not of a kind that counts here",
        TokenError::Bearer(BearerError::Refused(refusal)) => match refusal {
            R::Token(_) => "the token's form or signature is not accepted",
            R::BlackBox => "the token is not of a kind that counts here",
            R::IdToken => "this is an ID token; an access token is needed",
            R::Untyped | R::Kind(_) => "this is not an access token",
            R::Issuer { .. } => "the token is of an issuer that does not count here",
            R::Missing(_) | R::Malformed(_) => "the token lacks a claim that it has to have",
            R::Expired { .. } => "the token has expired",
            R::NotYetValid { .. } => "the token is not valid yet",
            R::Client(_) => "the token was issued to a client whose tokens do not count here",
            R::Inactive => "the token is not active",
        },
        TokenError::Bearer(
            BearerError::Unavailable(_)
            | BearerError::Endpoint { .. }
            | BearerError::Answer { .. }
            | BearerError::NotOffered(_)
            | BearerError::Signing(_)
            | BearerError::Misconfigured(_),
        ) => "nobody can say now whether the token is good",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        identity::{ClaimValue, Claims, Identity, ProviderName, UserId},
        outgoing,
        providers::{Audience, Bearer, BearerMethod, Providers, Settings, testing},
    };

    const NOW: UnixTime = UnixTime(1_800_000_000);

    /// Providers whose tokens are JWTs, by name; nobody listens at their addresses.
    fn providers(names: &[&str]) -> Providers {
        let one = |name: &&str| Settings {
            bearer: Some(Bearer {
                method: BearerMethod::Jwt,
                introspection: None,
                audiences: [].into(),
                audience_claim: "aud".into(),
                clients: [].into(),
                issuers: Vec::new(),
                plain_jwt: false,
                id_tokens: false,
                userinfo_fallback: false,
                recheck: Duration::from_secs(1),
                insecure_any_audience: false,
            }),
            name: ProviderName::parse(name).unwrap(),
            ..testing::settings("http://127.0.0.1:1")
        };
        let settings = names.iter().map(one).collect();
        let uri = |_: &ProviderName| "http://127.0.0.1/cb".to_owned();
        Providers::new(settings, uri, &outgoing::system_roots(), &Clock::stopped(NOW)).unwrap()
    }

    fn realm(names: &[&str]) -> Realm {
        Realm::new(providers(names).all())
    }

    fn vouched(claim_bytes: usize) -> Vouched {
        let claims = Claims::from([("c".into(), ClaimValue::One("x".repeat(claim_bytes).into()))]);
        Vouched {
            identity: Ok(Arc::new(Identity { user: UserId::parse("ada").unwrap(), claims })),
            scopes: [].into(),
            audience: Audience::Any,
            confirmation: None,
            good_until: NOW.plus(Duration::from_secs(60)),
        }
    }

    /// However many tokens come, and however large their claims are.
    #[tokio::test]
    async fn what_is_remembered_has_a_bound() {
        let tokens = Tokens::new(1_000, Clock::stopped(NOW));
        let realm = realm(&["op"]);
        for n in 0..5_000 {
            let answer = tokens.look_up(&realm, &format!("made-up-{n}")).await;
            assert!(matches!(answer.outcome, Err(TokenError::NobodyAnswers)));
        }
        assert!((500..=1_000).contains(&tokens.answers.len()), "{}", tokens.answers.len());
        tokens.answers.clear();
        for n in 0..1_000_u32 {
            let key = short_hash(&[&n.to_be_bytes()]);
            tokens.answers.insert(key, Arc::new(Answer::new(key, Ok(vouched(10 * ENTRY)), NOW)));
        }
        assert!((50..=91).contains(&tokens.answers.len()), "large ones count as several: {}", tokens.answers.len());
        assert!(tokens.answers.weight() <= 1_000);
    }

    #[tokio::test]
    async fn an_answer_is_for_those_who_could_be_asked() {
        let tokens = Tokens::new(100, Clock::stopped(NOW));
        let key = |realm: Realm| {
            let tokens = &tokens;
            async move { tokens.look_up(&realm, "x").await.key }
        };
        let one = key(realm(&["op"])).await;
        assert_eq!(one, key(realm(&["op"])).await);
        assert_ne!(one, key(realm(&["other"])).await);
        assert_ne!(one, key(realm(&["op", "other"])).await);
        assert_ne!(one, key(realm(&[])).await);
    }

    /// Only what is wrong with a token is a refusal; an outage is remembered for a moment, so that nobody is asked once a request.
    #[test]
    fn a_refusal_is_kept_longer_than_an_outage() {
        let until = |outcome| Answer::new([0; 32], outcome, NOW).until.since(NOW).as_secs();
        assert_eq!(until(Err(TokenError::UnknownIssuer)), 5);
        assert_eq!(until(Err(BearerError::from(BearerRefusal::Inactive).into())), 5);
        assert_eq!(until(Err(BearerError::NotOffered("introspection").into())), 2);
        assert_eq!(until(Ok(vouched(1))), 60);
    }
}
