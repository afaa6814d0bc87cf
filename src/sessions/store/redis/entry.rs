//! One entry of the log, as it stands in the stream.
//!
//! ```text
//! version   1   1
//! kind      1   1: session; 2: provider's session; 3: subject; 4: account; 5: provider
//! until     8   seconds since 1970, big-endian
//! ends      8   likewise
//! id       16   or shorter, filled with zeros
//! ```

use crate::{
    clock::UnixTime,
    identity::ProviderTag,
    sessions::{
        AccountTag, ProviderSessionTag, SessionId, SubjectTag,
        revocations::{Revocation, Revoked},
    },
};

const VERSION: u8 = 1;

const BYTES: usize = 34;

pub(super) fn write(entry: &Revocation) -> [u8; BYTES] {
    let (kind, id): (u8, &[u8]) = match &entry.what {
        Revoked::Session(SessionId(id)) => (1, id),
        Revoked::ProviderSession(ProviderSessionTag(tag)) => (2, tag),
        Revoked::Subject(SubjectTag(tag)) => (3, tag),
        Revoked::Account(AccountTag(tag)) => (4, tag),
        Revoked::Provider(ProviderTag(tag)) => (5, tag),
    };
    let (until, ends) = (entry.until.0.to_be_bytes(), entry.ends.0.to_be_bytes());
    let mut out = [0; BYTES];
    let head = [VERSION, kind];
    let parts = head.iter().chain(&until).chain(&ends).chain(id);
    out.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    out
}

/// `None` for what another version wrote, and for what is none.
pub(super) fn read(bytes: &[u8]) -> Option<Revocation> {
    let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
    let (&[version, kind], rest) = bytes.split_first_chunk()?;
    let (until, rest) = rest.split_first_chunk::<8>()?;
    let (ends, id) = rest.split_first_chunk::<8>()?;
    if version != VERSION {
        return None;
    }
    let what = match kind {
        1 => Revoked::Session(SessionId(tag(id)?)),
        2 => Revoked::ProviderSession(ProviderSessionTag(tag(id)?)),
        3 => Revoked::Subject(SubjectTag(tag(id)?)),
        4 => Revoked::Account(AccountTag(tag(id)?)),
        5 => Revoked::Provider(ProviderTag(tag(id)?)),
        _ => return None,
    };
    let time = |bytes: &[u8; 8]| UnixTime(u64::from_be_bytes(*bytes));
    Some(Revocation { what, until: time(until), ends: time(ends) })
}

/// `N` bytes with nothing but zeros behind them.
fn tag<const N: usize>(id: &[u8]) -> Option<[u8; N]> {
    let (tag, rest) = id.split_first_chunk()?;
    rest.iter().all(|byte| *byte == 0).then_some(*tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> [Revocation; 5] {
        [
            Revoked::Session(SessionId([7; 16])),
            Revoked::ProviderSession(ProviderSessionTag([7; 8])),
            Revoked::Subject(SubjectTag([7; 8])),
            Revoked::Account(AccountTag([7; 8])),
            Revoked::Provider(ProviderTag([7; 4])),
        ]
        .map(|what| Revocation { what, until: UnixTime(1_800_000_000), ends: UnixTime(u64::MAX) })
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        for entry in all() {
            assert_eq!(read(&write(&entry)), Some(entry));
        }
    }

    #[test]
    fn what_is_no_entry_is_passed_over() {
        for entry in all() {
            let written = write(&entry);
            for end in 0..written.len() {
                assert_eq!(read(&written[..end]), None, "cut at {end}");
            }
            for (at, wrong) in [(0, 0), (0, 2), (1, 0), (1, 6)] {
                let mut changed = written;
                changed[at] = wrong;
                assert_eq!(read(&changed), None, "{wrong} at {at}");
            }
            assert_eq!(read(&[written.as_slice(), &[0]].concat()), None, "something behind it");
            let mut longer = written;
            longer[BYTES - 1] = 1;
            assert_ne!(read(&longer), Some(entry), "a longer id is another one");
        }
    }
}
