//! The bytes of a session inside its seal. They have been authenticated when they are read; a record that makes no sense is still no session.
//!
//! ```text
//! signed in   4   seconds since 1970, big-endian; good until 2106
//! seen        4
//! provider    4
//! subject     8
//! flags       1   1: a provider session follows
//! [provider session  8]
//! user        length, UTF-8
//! claims      count, then for each: name (length, UTF-8), 0 for a single value or 1 + the number of values, values (length, UTF-8)
//! ```
//!
//! Lengths and counts are LEB128: one byte up to 127. Another layout is another version of the seal.

use super::{ProviderSessionTag, Session, SessionId, SubjectTag, seal::Id};
use crate::{
    clock::UnixTime,
    identity::{ClaimValue, Claims, Identity, ProviderTag, UserId},
};

const HAS_PROVIDER_SESSION: u8 = 1;

/// The record of `session`, without its id.
pub(super) fn write(session: &Session) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    out.extend_from_slice(&seconds(session.signed_in));
    out.extend_from_slice(&seconds(session.seen));
    out.extend_from_slice(&session.provider.0);
    out.extend_from_slice(&session.subject.0);
    match &session.provider_session {
        Some(tag) => {
            out.push(HAS_PROVIDER_SESSION);
            out.extend_from_slice(&tag.0);
        }
        None => out.push(0),
    }
    write_text(&mut out, session.identity.user.as_str());
    write_number(&mut out, session.identity.claims.len());
    for (name, value) in &session.identity.claims {
        write_text(&mut out, name);
        match value {
            ClaimValue::One(_) => write_number(&mut out, 0),
            ClaimValue::Many(values) => write_number(&mut out, 1 + values.len()),
        }
        for value in value.iter() {
            write_text(&mut out, value);
        }
    }
    out
}

/// The session with this `id` and this `record`; `None` when the bytes are not exactly one record.
pub(super) fn read(id: Id, record: &[u8]) -> Option<Session> {
    let mut rest = Reader(record);
    let signed_in = rest.time()?;
    let seen = rest.time()?;
    let provider = ProviderTag(rest.array()?);
    let subject = SubjectTag(rest.array()?);
    let provider_session = match rest.array()? {
        [0] => None,
        [HAS_PROVIDER_SESSION] => Some(ProviderSessionTag(rest.array()?)),
        [_] => return None,
    };
    let user = UserId::parse(rest.text()?).ok()?;
    let mut claims = Claims::new();
    for _ in 0..rest.number()? {
        let name = rest.text()?;
        let value = match rest.number()?.checked_sub(1) {
            None => ClaimValue::One(rest.text()?.into()),
            Some(count) => ClaimValue::Many((0..count).map(|_| rest.text().map(Into::into)).collect::<Option<_>>()?),
        };
        if claims.insert(name.into(), value).is_some() {
            return None;
        }
    }
    let id = SessionId(id);
    rest.0.is_empty().then_some(Session {
        id,
        identity: Identity { user, claims },
        provider,
        subject,
        provider_session,
        signed_in,
        seen,
    })
}

/// `time` in four bytes. What lies beyond 2106-02-07 becomes that day, so that it has ended rather than never ends.
pub(super) fn seconds(time: UnixTime) -> [u8; 4] {
    u32::try_from(time.0).unwrap_or(u32::MAX).to_be_bytes()
}

fn write_text(out: &mut Vec<u8>, text: &str) {
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
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub(super) fn time(&mut self) -> Option<UnixTime> {
        Some(UnixTime(u32::from_be_bytes(self.array()?).into()))
    }

    fn text(&mut self) -> Option<&'b str> {
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
            ("an unknown flag", changed(20, &[2])),
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
            provider_session: Option<[u8; 8]>, claims in claims(),
        ) {
            let session = Session {
                identity: Identity { user: UserId::parse(&user).unwrap(), claims },
                provider: ProviderTag(provider),
                subject: SubjectTag(subject),
                provider_session: provider_session.map(ProviderSessionTag),
                signed_in: UnixTime(at[0].into()),
                seen: UnixTime(at[1].into()),
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
