//! Which sessions a user has: written at a sign-in and whenever a session is renewed, for people who want to see and end them.
//!
//! An entry is sealed with the session keys: a copy of the store does not tell who is signed in from where.

use std::net::IpAddr;

use super::{
    AccountTag, Session, SessionId, Sessions,
    record::{self, Reader, write_text},
    seal::Id,
    store::StoreError,
};
use crate::{
    clock::UnixTime,
    identity::{Claims, ProviderTag, UserId},
};

pub(super) const PURPOSE: &str = "doorward listing v1";
/// The longest sealed entry: `User-Agent`, user identifier and a little more.
pub(super) const MAX_BYTES: usize = 768;
/// How much of `User-Agent` is kept, in bytes.
const MAX_AGENT: usize = 200;

/// Where a session was used last, as far as the browser and the connection say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whence {
    /// The beginning of `User-Agent`.
    agent: Box<str>,
    /// The caller's address.
    pub address: Option<IpAddr>,
}

impl Whence {
    /// A browser that calls itself `agent`, at `address`.
    #[must_use]
    pub fn new(agent: &str, address: Option<IpAddr>) -> Self {
        let mut kept = String::new();
        for c in agent.chars().filter(|c| !c.is_control()) {
            if kept.len() + c.len_utf8() > MAX_AGENT {
                break;
            }
            kept.push(c);
        }
        Self { agent: kept.into(), address }
    }

    /// The beginning of `User-Agent`, without control characters.
    #[must_use]
    pub fn agent(&self) -> &str {
        &self.agent
    }
}

/// One session of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub id: SessionId,
    /// Where they signed in.
    pub provider: ProviderTag,
    /// When they did.
    pub signed_in: UnixTime,
    /// When it was last renewed, which happens every few minutes while it is used.
    pub seen: UnixTime,
    /// Where it was used then.
    pub whence: Whence,
}

impl Sessions {
    /// The sessions of `user` that have not ended, the one used last first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn listed(&self, user: &UserId, now: UnixTime) -> Result<Vec<Listed>, StoreError> {
        let account = AccountTag::of(user);
        let mut listed = Vec::new();
        let mut ended = Vec::new();
        for (id, sealed) in self.store.listed(account).await? {
            match self.open_entry(&id, &sealed) {
                Some((session, whence)) if self.is_alive(&session, now).is_ok() => {
                    let Session { id, provider, signed_in, seen, .. } = session;
                    listed.push(Listed { id, provider, signed_in, seen, whence });
                }
                Some(_) => ended.push(id),
                // Perhaps with a key that another replica has already.
                None => {}
            }
        }
        if !ended.is_empty() {
            // What cannot be taken out now is left out next time too.
            let _unless_it_fails = self.store.unlist(account, &ended).await;
        }
        listed.sort_by_key(|session| std::cmp::Reverse((session.seen, session.signed_in, session.id)));
        Ok(listed)
    }

    /// Notes that `session` was used from `whence`. Without a store that answers, the listing stays as it was.
    pub async fn list(&self, session: &Session, whence: &Whence) {
        let account = AccountTag::of(&session.identity.user);
        let entry = self.seal_entry(session, whence);
        if let Err(error) = self.store.list(account, &session.id, entry.as_bytes(), self.max_age).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "A session is not in the listing of its user's");
        }
    }

    /// The record's key stays out: an entry is for whoever has the session keys, a record for whoever has the cookie.
    fn seal_entry(&self, session: &Session, whence: &Whence) -> String {
        let mut entry = Vec::with_capacity(256);
        write_text(&mut entry, &whence.agent);
        write_text(&mut entry, &whence.address.map(|address| address.to_string()).unwrap_or_default());
        let mut session = Session { record: None, ..session.clone() };
        session.identity.claims = Claims::new();
        entry.extend(record::write(&session));
        self.listings.seal(&session.id.0, &entry)
    }

    fn open_entry(&self, id: &SessionId, sealed: &[u8]) -> Option<(Session, Whence)> {
        let opened = self.listings.open(sealed).ok().filter(|opened| opened.id == id.0)?;
        let mut rest = Reader(&opened.record);
        let agent: Box<str> = rest.text()?.into();
        let address = rest.text()?.parse().ok();
        let id: Id = opened.id;
        record::read(id, rest.0).map(|session| (session, Whence { agent, address }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_hides_behind_a_long_name() {
        for agent in ["x".repeat(5_000), "\u{1d11e}".repeat(2_000), format!("a\r\n{}", "b".repeat(199))] {
            let whence = Whence::new(&agent, None);
            assert!(
                whence.agent().len() <= MAX_AGENT && whence.agent().len() > MAX_AGENT - 4,
                "{}",
                whence.agent().len()
            );
            assert!(!whence.agent().contains(char::is_control));
        }
    }
}
