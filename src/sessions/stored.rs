//! The record of a session in the store, and what seals it: AES-256-GCM-SIV under a key that follows from 16 random bytes in the session's
//! cookie, which is sealed itself. A copy of the store opens nothing; neither does a copy of the store and of the session keys.
//!
//! ```text
//! version     1   1
//! nonce      12
//! sealed, with version, session id and generation as associated data:
//!   due         4   seconds since 1970, big-endian
//!   identity        as in the cookie
//!   flags       1   1: a refresh token; 2: an ID token; 4: an access token; 8: until when that is good
//!   tokens          those that are there, in this order: length, UTF-8; the time in 4
//! tag        16
//! ```

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey},
    constant_time::verify_slices_are_equal,
    hkdf::{HKDF_SHA256, Salt},
};
use zeroize::Zeroizing;

use super::{
    SessionId,
    record::{Reader, seconds, write_identity, write_text},
};
use crate::{
    clock::UnixTime,
    grant::{AccessToken, Grant},
    identity::Identity,
    secret::{Secret, random},
};

const VERSION: u8 = 1;

const HAS_REFRESH_TOKEN: u8 = 1;
const HAS_ID_TOKEN: u8 = 2;
const HAS_ACCESS_TOKEN: u8 = 4;
const HAS_EXPIRY: u8 = 8;

/// What a session keeps outside its cookie.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Who it is, as far as the provider said when it was asked last.
    pub identity: Identity,
    /// When it should be asked again. A record whose `due` is before that of its cookie is an old one that the store has come back with: its refresh
    /// token has been used.
    pub due: UnixTime,
    /// Counts how often the record has been written; the higher one wins.
    pub generation: u32,
    /// The tokens.
    pub grant: Grant,
}

/// What opens the record of one session; only its cookie has it.
#[derive(Clone)]
pub struct RecordKey(Secret<[u8; 16]>);

impl RecordKey {
    pub(super) fn new(bytes: [u8; 16]) -> Self {
        Self(Secret::new(bytes))
    }

    /// One that nobody has had.
    #[must_use]
    pub fn random() -> Self {
        Self::new(random())
    }

    pub(super) fn expose(&self) -> &[u8; 16] {
        self.0.expose()
    }

    /// `stored`, sealed for the session `id`.
    pub(super) fn seal(&self, id: &SessionId, stored: &Stored) -> Vec<u8> {
        let nonce: [u8; 12] = random();
        let mut sealed = Zeroizing::new(stored.write());
        let bound_to = bound_to(id, stored.generation);
        #[expect(clippy::expect_used, reason = "GCM-SIV refuses only what is longer than 64 GiB")]
        let tag = self
            .aead()
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound_to), &mut sealed)
            .expect("a record is short");
        [&[VERSION], nonce.as_slice(), &sealed, tag.as_ref()].concat()
    }

    /// What was sealed for the session `id`; `None` when these bytes are not that.
    pub(super) fn open(&self, id: &SessionId, generation: u32, sealed: &[u8]) -> Option<Stored> {
        let (&[VERSION], rest) = sealed.split_first_chunk()? else { return None };
        let (nonce, rest) = rest.split_first_chunk::<12>()?;
        let mut opened = Zeroizing::new(rest.to_vec());
        let (nonce, bound_to) = (Nonce::assume_unique_for_key(*nonce), bound_to(id, generation));
        let record = self.aead().open_in_place(nonce, Aad::from(bound_to), &mut opened).ok()?;
        Stored::read(generation, record)
    }

    fn aead(&self) -> LessSafeKey {
        let root = Salt::new(HKDF_SHA256, b"doorward record v1").extract(self.expose());
        #[expect(clippy::expect_used, reason = "HKDF refuses only more than 255 hashes of output")]
        let key = root.expand(&[], &AES_256_GCM_SIV).expect("a short output");
        LessSafeKey::new(UnboundKey::from(key))
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for RecordKey {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(self.expose(), other.expose()).is_ok()
    }
}

impl Eq for RecordKey {}

/// One session's record is none of another's, and an old one none of a new one's.
fn bound_to(id: &SessionId, generation: u32) -> [u8; 21] {
    let mut bound = [0; 21];
    let parts = [VERSION].into_iter().chain(id.0).chain(generation.to_be_bytes());
    bound.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    bound
}

impl Stored {
    fn write(&self) -> Vec<u8> {
        let Grant { refresh_token, id_token, access_token } = &self.grant;
        let expires = access_token.as_ref().and_then(|token| token.expires);
        let flag = |is_there, flag| if is_there { flag } else { 0 };
        let mut out = Vec::with_capacity(4_096);
        out.extend_from_slice(&seconds(self.due));
        write_identity(&mut out, &self.identity.user, &self.identity.claims);
        out.push(
            flag(refresh_token.is_some(), HAS_REFRESH_TOKEN)
                | flag(id_token.is_some(), HAS_ID_TOKEN)
                | flag(access_token.is_some(), HAS_ACCESS_TOKEN)
                | flag(expires.is_some(), HAS_EXPIRY),
        );
        let access_token = access_token.as_ref().map(|access| &access.token);
        for token in [refresh_token.as_ref(), id_token.as_ref(), access_token].into_iter().flatten() {
            write_text(&mut out, token.expose());
        }
        out.extend(expires.iter().flat_map(|expires| seconds(*expires)));
        out
    }

    fn read(generation: u32, record: &[u8]) -> Option<Self> {
        let mut rest = Reader(record);
        let due = rest.time()?;
        let identity = rest.identity()?;
        let [flags] = rest.array()?;
        let has = |flag| flags & flag != 0;
        let mut token = |flag| match has(flag) {
            true => Some(Some(Secret::new(rest.text()?.to_owned()))),
            false => Some(None),
        };
        let (refresh_token, id_token) = (token(HAS_REFRESH_TOKEN)?, token(HAS_ID_TOKEN)?);
        let access_token = token(HAS_ACCESS_TOKEN)?;
        let expires = if has(HAS_EXPIRY) { Some(rest.time()?) } else { None };
        let access_token = access_token.map(|token| AccessToken { token, expires });
        let grant = Grant { refresh_token, id_token, access_token };
        rest.0.is_empty().then_some(Self { identity, due, generation, grant })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{ClaimValue, Claims, UserId};

    const ID: SessionId = SessionId([1; 16]);

    fn stored(grant: Grant) -> Stored {
        let claims = Claims::from([("groups".into(), ClaimValue::Many(vec!["a".into(), "b".into()]))]);
        let identity = Identity { user: UserId::parse("alice").unwrap(), claims };
        Stored { identity, due: UnixTime(1_800_000_000), generation: 3, grant }
    }

    fn secret(text: &str) -> Option<Secret<String>> {
        Some(Secret::new(text.to_owned()))
    }

    fn all() -> Grant {
        let access_token = AccessToken { token: Secret::new("at".to_owned()), expires: Some(UnixTime(1_800_003_600)) };
        Grant { refresh_token: secret("rt"), id_token: secret("a.b.c"), access_token: Some(access_token) }
    }

    fn told(stored: &Stored) -> String {
        let Grant { refresh_token, id_token, access_token } = &stored.grant;
        let text = |token: &Option<Secret<String>>| token.as_ref().map(|token| token.expose().clone());
        let access = access_token.as_ref().map(|access| (access.token.expose().clone(), access.expires));
        format!(
            "{:?} {} {} {:?} {:?} {access:?}",
            stored.identity,
            stored.due,
            stored.generation,
            text(refresh_token),
            text(id_token)
        )
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let key = RecordKey::random();
        for grant in [
            Grant::default(),
            Grant { refresh_token: secret("rt"), ..Grant::default() },
            Grant { id_token: secret("a.b.c"), ..Grant::default() },
            Grant { access_token: Some(AccessToken { token: Secret::new("at".to_owned()), expires: None }), ..all() },
            all(),
        ] {
            let stored = stored(grant);
            let opened = key.open(&ID, 3, &key.seal(&ID, &stored)).unwrap();
            assert_eq!(told(&opened), told(&stored));
        }
    }

    #[test]
    fn a_copy_of_the_store_opens_nothing() {
        let key = RecordKey::random();
        let sealed = key.seal(&ID, &stored(all()));
        assert!(key.open(&ID, 3, &sealed).is_some());
        for token in ["rt", "a.b.c", "alice", "groups"] {
            assert!(!sealed.windows(token.len()).any(|window| window == token.as_bytes()), "{token} can be read");
        }
        assert!(RecordKey::random().open(&ID, 3, &sealed).is_none(), "another session's key");
        assert!(key.open(&SessionId([2; 16]), 3, &sealed).is_none(), "under another session's id");
        assert!(key.open(&ID, 4, &sealed).is_none(), "as a later one");
        for end in 0..sealed.len() {
            assert!(key.open(&ID, 3, &sealed[..end]).is_none(), "cut at {end}");
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(&ID, 3, &changed).is_none(), "changed at {at}");
        }
        assert_ne!(sealed, key.seal(&ID, &stored(all())), "two times the same record look different");
    }
}
