//! The bytes of a session inside its seal. They have been authenticated when they are read; a record that makes no sense is still no session.
//!
//! ```text
//! signed in   4   seconds since 1970, big-endian; good until 2106
//! seen        4
//! provider    4
//! subject     8
//! flags       1   1: a provider session follows; 2: a due time; 4: the key of a record; 8: that has a refresh token; 16: and the claims
//! [provider session  8]
//! [due        4]
//! [record key 16]
//! user        length, UTF-8
//! claims      count, then for each: name (length, UTF-8), 0 for a single value or 1 + the number of values, values (length, UTF-8)
//! ```
//!
//! Lengths and counts are LEB128: one byte up to 127. Another layout is another version of the seal.

use super::{ProviderSessionTag, RecordKey, Session, SessionId, SubjectTag, seal::Id};
use crate::{
    clock::UnixTime,
    identity::{ClaimValue, Claims, Identity, ProviderTag, UserId},
};

const HAS_PROVIDER_SESSION: u8 = 1;
const HAS_DUE: u8 = 2;
const HAS_RECORD: u8 = 4;
const REFRESHES: u8 = 8;
const HAS_STORED_CLAIMS: u8 = 16;

/// The record of `session`, without its id.
pub(super) fn write(session: &Session) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    out.extend_from_slice(&seconds(session.signed_in));
    out.extend_from_slice(&seconds(session.seen));
    out.extend_from_slice(&session.provider.0);
    out.extend_from_slice(&session.subject.0);
    let flag = |is_there, flag| if is_there { flag } else { 0 };
    out.push(
        flag(session.provider_session.is_some(), HAS_PROVIDER_SESSION)
            | flag(session.due.is_some(), HAS_DUE)
            | flag(session.record.is_some(), HAS_RECORD)
            | flag(session.refreshes, REFRESHES)
            | flag(session.has_stored_claims, HAS_STORED_CLAIMS),
    );
    out.extend(session.provider_session.iter().flat_map(|tag| tag.0));
    out.extend(session.due.iter().flat_map(|due| seconds(*due)));
    out.extend(session.record.iter().flat_map(|key| *key.expose()));
    if session.has_stored_claims {
        write_identity(&mut out, &session.identity.user, &Claims::new());
    } else {
        write_identity(&mut out, &session.identity.user, &session.identity.claims);
    }
    out
}

/// An identity at the end of `out`.
pub(super) fn write_identity(out: &mut Vec<u8>, user: &UserId, claims: &Claims) {
    write_text(out, user.as_str());
    write_number(out, claims.len());
    for (name, value) in claims {
        write_text(out, name);
        match value {
            ClaimValue::One(_) => write_number(out, 0),
            ClaimValue::Many(values) => write_number(out, 1 + values.len()),
        }
        for value in value.iter() {
            write_text(out, value);
        }
    }
}

/// The session with this `id` and this `record`; `None` when the bytes are not exactly one record.
pub(super) fn read(id: Id, record: &[u8]) -> Option<Session> {
    let mut rest = Reader(record);
    let signed_in = rest.time()?;
    let seen = rest.time()?;
    let provider = ProviderTag(rest.array()?);
    let subject = SubjectTag(rest.array()?);
    let [flags] = rest.array()?;
    if flags & !(HAS_PROVIDER_SESSION | HAS_DUE | HAS_RECORD | REFRESHES | HAS_STORED_CLAIMS) != 0 {
        return None;
    }
    let has = |flag| flags & flag != 0;
    let provider_session = if has(HAS_PROVIDER_SESSION) { Some(ProviderSessionTag(rest.array()?)) } else { None };
    let due = if has(HAS_DUE) { Some(rest.time()?) } else { None };
    let record = if has(HAS_RECORD) { Some(RecordKey::new(rest.array()?)) } else { None };
    let identity = rest.identity()?;
    let id = SessionId(id);
    rest.0.is_empty().then_some(Session {
        id,
        identity,
        provider,
        subject,
        provider_session,
        signed_in,
        seen,
        due,
        record,
        refreshes: has(REFRESHES),
        has_stored_claims: has(HAS_STORED_CLAIMS),
    })
}

/// `time` in four bytes. What lies beyond 2106-02-07 becomes that day, so that it has ended rather than never ends.
pub(super) fn seconds(time: UnixTime) -> [u8; 4] {
    u32::try_from(time.0).unwrap_or(u32::MAX).to_be_bytes()
}

pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    write_number(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn write_number(out: &mut Vec<u8>, mut number: usize) {
    while number > 0x7f {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7f) as u8);
}

/// What is left to read.
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl<'b> Reader<'b> {
    /// What [`write_identity`] wrote.
    pub(super) fn identity(&mut self) -> Option<Identity> {
        let user = UserId::parse(self.text()?).ok()?;
        let mut claims = Claims::new();
        for _ in 0..self.number()? {
            let name = self.text()?;
            let value = match self.number()?.checked_sub(1) {
                None => ClaimValue::One(self.text()?.into()),
                Some(count) => {
                    ClaimValue::Many((0..count).map(|_| self.text().map(Into::into)).collect::<Option<_>>()?)
                }
            };
            if claims.insert(name.into(), value).is_some() {
                return None;
            }
        }
        Some(Identity { user, claims })
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub(super) fn time(&mut self) -> Option<UnixTime> {
        Some(UnixTime(u32::from_be_bytes(self.array()?).into()))
    }

    pub(super) fn text(&mut self) -> Option<&'b str> {
        let length = self.number()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    /// At most three bytes: a record is shorter than two million.
    fn number(&mut self) -> Option<usize> {
        let mut number = 0;
        for shift in [0, 7, 14] {
            let [byte] = self.array()?;
            number |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn session(user: &str, claims: &[(&str, ClaimValue)]) -> Session {
        Session {
            id: SessionId([7; 16]),
            identity: Identity {
                user: UserId::parse(user).unwrap(),
                claims: claims.iter().map(|(name, value)| ((*name).into(), value.clone())).collect(),
            },
            provider: ProviderTag([1, 2, 3, 4]),
            subject: SubjectTag([5; 8]),
            provider_session: None,
            signed_in: UnixTime(1_800_000_000),
            seen: UnixTime(1_800_000_060),
            due: None,
            record: None,
            refreshes: false,
            has_stored_claims: false,
        }
    }

    fn many(values: &[&str]) -> ClaimValue {
        ClaimValue::Many(values.iter().map(|value| (*value).into()).collect())
    }

    /// The layout is a promise to cookies that are out there: other bytes need another version.
    #[test]
    fn the_layout_stays() {
        let mut session = session("al", &[("g", many(&["x", ""])), ("e", ClaimValue::One("y".into()))]);
        session.provider_session = Some(ProviderSessionTag([9; 8]));
        let mut bytes = vec![0x6b, 0x49, 0xd2, 0x00, 0x6b, 0x49, 0xd2, 0x3c, 1, 2, 3, 4, 5, 5, 5, 5, 5, 5, 5, 5];
        bytes.extend_from_slice(&[1, 9, 9, 9, 9, 9, 9, 9, 9, 2, b'a', b'l']);
        bytes.extend_from_slice(&[2, 1, b'e', 0, 1, b'y', 1, b'g', 3, 1, b'x', 0]);
        assert_eq!(write(&session), bytes);
        assert_eq!(read([7; 16], &bytes), Some(session));
    }

    #[test]
    fn claims_that_are_in_the_record_are_not_in_the_cookie() {
        let session = Session { has_stored_claims: true, ..session("alice", &[("g", many(&["x"]))]) };
        let without =
            Session { identity: Identity { claims: Claims::new(), ..session.identity.clone() }, ..session.clone() };
        assert_eq!(read([7; 16], &write(&session)), Some(without));
    }

    /// T-056, T-073.
    #[test]
    fn where_one_field_ends_cannot_be_moved() {
        let records = [
            session("a|b", &[("c", many(&[]))]),
            session("a", &[("b|c", many(&[]))]),
            session("a", &[("b", many(&["c"]))]),
            session("a", &[("b", ClaimValue::One("c".into()))]),
            session("a", &[("bc", ClaimValue::One("".into()))]),
            session("a", &[("b", many(&["c", ""]))]),
            session("abc", &[]),
        ];
        for (i, one) in records.iter().enumerate() {
            assert_eq!(read([7; 16], &write(one)).as_ref(), Some(one));
            for other in &records[..i] {
                assert_ne!(write(one), write(other));
            }
        }
    }

    #[test]
    fn a_record_that_makes_no_sense_is_no_session() {
        let good = write(&session("alice", &[("g", many(&["x", "y"]))]));
        assert!(read([7; 16], &good).is_some());
        for end in 0..good.len() {
            assert_eq!(read([7; 16], &good[..end]), None, "cut at {end}");
        }
        let changed = |at: usize, to: &[u8]| {
            let mut bytes = good.clone();
            bytes.splice(at..at + 1, to.iter().copied());
            bytes
        };
        for (why, bytes) in [
            ("a byte too many", [good.as_slice(), &[0]].concat()),
            ("an unknown flag", changed(20, &[32])),
            ("a flag without its tag", changed(20, &[1])),
            ("a user that is not UTF-8", changed(22, &[0xff])),
            ("a user with a line break", changed(22, b"\n")),
            ("no user", [&good[..21], &[0, 0]].concat()),
            ("a count nobody can hold", changed(27, &[0xff, 0xff, 0x7f])),
            ("a number that does not end", changed(27, &[0xff, 0xff, 0xff, 0xff])),
            ("the same claim twice", [&good[..27], &[2, 1, b'g', 1, 1, b'g', 1]].concat()),
        ] {
            assert_eq!(read([7; 16], &bytes), None, "{why}");
        }
    }

    fn claims() -> impl Strategy<Value = Claims> {
        let text = || ".{0,200}".prop_map(String::into_boxed_str);
        let value = prop_oneof![
            text().prop_map(ClaimValue::One),
            prop::collection::vec(text(), 0..20).prop_map(ClaimValue::Many)
        ];
        prop::collection::btree_map(text(), value, 0..5)
    }

    proptest! {
        #[test]
        fn every_session_is_read_as_it_was_written(
            user in "[a-zA-Z0-9é€𝄞,;=\"|]{1,60}", provider: [u8; 4], subject: [u8; 8], at: [u32; 2],
            provider_session: Option<[u8; 8]>, claims in claims(), due: Option<u32>, record: Option<[u8; 16]>, refreshes: bool,
        ) {
            let session = Session {
                identity: Identity { user: UserId::parse(&user).unwrap(), claims },
                provider: ProviderTag(provider),
                subject: SubjectTag(subject),
                provider_session: provider_session.map(ProviderSessionTag),
                signed_in: UnixTime(at[0].into()),
                seen: UnixTime(at[1].into()),
                due: due.map(|due| UnixTime(due.into())),
                record: record.map(RecordKey::new),
                refreshes,
                ..session(&user, &[])
            };
            prop_assert_eq!(read([7; 16], &write(&session)), Some(session));
        }

        #[test]
        fn no_bytes_make_it_panic(head: [u8; 20], tail: Vec<u8>) {
            let _ = read([7; 16], &tail);
            let _ = read([7; 16], &[head.as_slice(), &[0], &tail].concat());
        }
    }
}
