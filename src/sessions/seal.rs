//! Seals small records so that only we can read, make or change them: AES-256-GCM-SIV (RFC 8452) under a ring of keys.
//!
//! A sealed text is base64url without padding of: version 1 byte, key 1 byte, id 16 bytes, ciphertext, tag 16 bytes.
//!
//! * Every configured key is first put through HKDF (RFC 5869) with the purpose, so that what was sealed as one thing never opens as another.
//! * The first key seals, all open. Which one sealed is told by a byte made from the key itself, so the order of the list does not matter;
//!   where two keys share that byte, both are tried.
//! * Version, key, id and what the ring is for (purpose, cookie name, public origin) are associated data: nothing opens elsewhere.
//! * The nonce is the first 12 bytes of the random id. Sealing again under the same id repeats it, which GCM-SIV bears: equal plaintexts
//!   become recognisable as equal, nothing more. It saves 16 characters a cookie; do not carry it over to plain GCM.

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{identity::short_hash, origin::Origin, secret::Secret};

const VERSION: u8 = 1;
const TAG_BYTES: usize = 16;

/// Random, in the clear, and the source of the nonce.
pub(super) type Id = [u8; 16];

/// The keys of one purpose. Nothing longer than `MAX` sealed bytes (a multiple of 3) is even decoded.
pub(super) struct Ring<const MAX: usize> {
    newest: Key,
    older: Vec<Key>,
    /// What the ring is for, hashed: fixed in length, so that associated data needs no separators.
    place: [[u8; 16]; 2],
}

/// One configured key, for one purpose.
pub(super) struct Key {
    id: u8,
    aead: LessSafeKey,
    derivation: Prk,
}

/// What a text held.
pub(super) struct Opened<'r> {
    pub(super) id: Id,
    pub(super) record: Vec<u8>,
    /// The key it was sealed with: what was derived beside it is derived from the same.
    pub(super) key: &'r Key,
}

/// Why a text holds nothing for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unopened {
    TooLong,
    /// Not base64url, too short, or of a version we do not know.
    Malformed,
    /// Tampered with, sealed with a key we do not have, or sealed for another place.
    Foreign,
}

impl<const MAX: usize> Ring<MAX> {
    /// The longest text that can open, in characters.
    pub(super) const MAX_TEXT: usize = MAX / 3 * 4;

    /// The ring for `purpose` at one cookie name and one public origin.
    pub(super) fn new(keys: &[Secret<[u8; 32]>], purpose: &str, cookie_name: &str, origin: &Origin) -> Self {
        const { assert!(MAX.is_multiple_of(3)) };
        // None of the three can hold a NUL.
        let place: [u8; 32] =
            short_hash(&[purpose.as_bytes(), b"\0", cookie_name.as_bytes(), b"\0", origin.as_str().as_bytes()]);
        let mut keys = keys.iter().map(|key| Key::new(key, purpose));
        #[expect(clippy::expect_used, reason = "a configuration without a session key is refused before it gets here")]
        let newest = keys.next().expect("a session key is configured");
        Self { newest, older: keys.collect(), place: halves(place) }
    }

    /// The key that seals.
    pub(super) fn newest(&self) -> &Key {
        &self.newest
    }

    /// Seals `record` under `id`.
    pub(super) fn seal(&self, id: &Id, record: &[u8]) -> String {
        let key = &self.newest;
        let mut ciphertext = Vec::with_capacity(record.len() + TAG_BYTES);
        ciphertext.extend_from_slice(record);
        #[expect(clippy::expect_used, reason = "GCM-SIV refuses only what is longer than 64 GiB")]
        key.aead
            .seal_in_place_append_tag(nonce(id), Aad::from(self.bound_to(key.id, id).as_flattened()), &mut ciphertext)
            .expect("a record is short");
        let mut sealed = Vec::with_capacity(2 + id.len() + ciphertext.len());
        sealed.extend_from_slice(&[VERSION, key.id]);
        sealed.extend_from_slice(id);
        sealed.extend_from_slice(&ciphertext);
        BASE64_URL_SAFE_NO_PAD.encode(sealed)
    }

    /// Opens `text`.
    pub(super) fn open(&self, text: &[u8]) -> Result<Opened<'_>, Unopened> {
        if text.len() > Self::MAX_TEXT {
            return Err(Unopened::TooLong);
        }
        // On the stack: this is on the way of every request.
        let mut bytes = [0; MAX];
        let length = BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).map_err(|_| Unopened::Malformed)?;
        let sealed = bytes.get(..length).and_then(Sealed::parse).ok_or(Unopened::Malformed)?;

        // Out of place, because a failed try would leave rubbish for the next key. Nearly always there is one try.
        let mut record = vec![0; sealed.ciphertext.len()];
        let keys = std::iter::once(&self.newest).chain(&self.older);
        for key in keys.filter(|key| key.id == sealed.key) {
            let bound_to = self.bound_to(key.id, sealed.id);
            let aad = Aad::from(bound_to.as_flattened());
            let opened =
                key.aead.open_separate_gather(nonce(sealed.id), aad, sealed.ciphertext, sealed.tag, &mut record);
            if opened.is_ok() {
                return Ok(Opened { id: *sealed.id, record, key });
            }
        }
        Err(Unopened::Foreign)
    }

    fn bound_to(&self, key: u8, id: &Id) -> [[u8; 16]; 4] {
        let [first, second] = self.place;
        [[VERSION, key, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], *id, first, second]
    }
}

impl Key {
    fn new(configured: &Secret<[u8; 32]>, purpose: &str) -> Self {
        // RFC 5869 §3.1: the salt is no secret; a fixed one keeps our keys apart from other uses of the same bytes.
        let root = Salt::new(HKDF_SHA256, b"doorward").extract(configured.expose());
        let aead = UnboundKey::from(expand(&root, &[purpose.as_bytes(), b"/seal"], &AES_256_GCM_SIV));
        Self {
            id: filled::<1>(&root, &[purpose.as_bytes(), b"/id"])[0],
            aead: LessSafeKey::new(aead),
            derivation: Prk::from(expand(&root, &[purpose.as_bytes(), b"/derive"], HKDF_SHA256)),
        }
    }

    /// A value for `label` that follows from this key and two ids, and that nobody without the key can tell from a random one.
    pub(super) fn derive<const N: usize>(&self, label: &str, one: &Id, other: &Id) -> [u8; N] {
        filled(&self.derivation, &[label.as_bytes(), b"\0", one, other])
    }
}

/// The parts of a sealed text, decoded.
struct Sealed<'b> {
    key: u8,
    id: &'b Id,
    ciphertext: &'b [u8],
    tag: &'b [u8; TAG_BYTES],
}

impl<'b> Sealed<'b> {
    fn parse(bytes: &'b [u8]) -> Option<Self> {
        let (&[VERSION, key], rest) = bytes.split_first_chunk()? else { return None };
        let (id, rest) = rest.split_first_chunk()?;
        let (ciphertext, tag) = rest.split_last_chunk()?;
        Some(Self { key, id, ciphertext, tag })
    }
}

fn nonce(id: &Id) -> Nonce {
    let [nonce @ .., _, _, _, _] = *id;
    Nonce::assume_unique_for_key(nonce)
}

fn halves(whole: [u8; 32]) -> [[u8; 16]; 2] {
    let mut halves = [[0; 16]; 2];
    halves.as_flattened_mut().copy_from_slice(&whole);
    halves
}

fn expand<'a, L: KeyType>(key: &'a Prk, info: &'a [&'a [u8]], length: L) -> aws_lc_rs::hkdf::Okm<'a, L> {
    #[expect(clippy::expect_used, reason = "HKDF refuses only more than 255 hashes of output; we ask for one at most")]
    key.expand(info, length).expect("a short output")
}

fn filled<const N: usize>(key: &Prk, info: &[&[u8]]) -> [u8; N] {
    struct Bytes<const N: usize>;
    impl<const N: usize> KeyType for Bytes<N> {
        fn len(&self) -> usize {
            N
        }
    }
    const { assert!(N <= 32) };
    let mut out = [0; N];
    #[expect(clippy::expect_used, reason = "the length asked for is the length of the array")]
    expand(key, info, Bytes::<N>).fill(&mut out).expect("the lengths agree");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(keys: &[[u8; 32]]) -> Ring<768> {
        let keys: Vec<_> = keys.iter().map(|key| Secret::new(*key)).collect();
        Ring::new(&keys, "test v1", "name", &Origin::parse("https://app.example.com").unwrap())
    }

    fn opens(ring: &Ring<768>, text: &str) -> Result<Vec<u8>, Unopened> {
        ring.open(text.as_bytes()).map(|opened| opened.record)
    }

    /// T-077.
    #[test]
    fn the_first_key_seals_and_all_open_in_any_order() {
        let old = ring(&[[1; 32]]).seal(&[7; 16], b"record");
        for (keys, answer) in [
            (vec![[1; 32]], Ok(b"record".to_vec())),
            (vec![[2; 32], [1; 32]], Ok(b"record".to_vec())),
            (vec![[1; 32], [2; 32]], Ok(b"record".to_vec())),
            (vec![[3; 32], [2; 32], [1; 32]], Ok(b"record".to_vec())),
            (vec![[2; 32]], Err(Unopened::Foreign)),
            (vec![[2; 32], [3; 32]], Err(Unopened::Foreign)),
        ] {
            assert_eq!(opens(&ring(&keys), &old), answer, "{:?}", keys.iter().map(|k| k[0]).collect::<Vec<_>>());
        }
        let new = ring(&[[2; 32], [1; 32]]).seal(&[7; 16], b"record");
        assert_eq!(opens(&ring(&[[1; 32]]), &new), Err(Unopened::Foreign), "the first key sealed, not the second");
    }

    /// A promise to what is out there: other bytes need another version. Computed by another implementation.
    #[test]
    fn the_sealed_bytes_stay() {
        let text = "AbYHBwcHBwcHBwcHBwcHBwcHK3yoAl50UkPgsdEFFkvBsGtyeK2_dg";
        assert_eq!(ring(&[[1; 32]]).seal(&[7; 16], b"record"), text);
        assert_eq!(opens(&ring(&[[1; 32]]), text), Ok(b"record".to_vec()));
    }

    /// T-074: the keys alone keep purposes apart, even if associated data did not.
    #[test]
    fn every_purpose_has_keys_of_its_own() {
        let (configured, place) = (Secret::new([1; 32]), ring(&[[1; 32]]).place);
        let with = |purpose| {
            let mut key = Key::new(&configured, purpose);
            key.id = 0;
            Ring::<768> { newest: key, older: vec![], place }
        };
        let text = with("a v1").seal(&[7; 16], b"record");
        assert_eq!(opens(&with("a v1"), &text), Ok(b"record".to_vec()));
        assert_eq!(opens(&with("b v1"), &text), Err(Unopened::Foreign));
        let derived = |purpose| Key::new(&configured, purpose).derive::<32>("label", &[1; 16], &[2; 16]);
        assert_ne!(derived("a v1"), derived("b v1"));
    }

    #[test]
    fn two_keys_that_share_an_identifier_are_both_tried() {
        let first = [0; 32];
        let shared = ring(&[first]).newest.id;
        let second = (1..=u16::MAX)
            .map(|n| {
                let mut key = [0; 32];
                key[..2].copy_from_slice(&n.to_be_bytes());
                key
            })
            .find(|key| ring(&[*key]).newest.id == shared)
            .unwrap();
        let both = ring(&[first, second]);
        for key in [first, second] {
            assert_eq!(opens(&both, &ring(&[key]).seal(&[9; 16], b"record")), Ok(b"record".to_vec()));
        }
    }

    /// T-055, T-074.
    #[test]
    fn a_text_opens_only_where_it_was_sealed() {
        let keys = [Secret::new([1; 32])];
        let at = |purpose, name, origin| Ring::<768>::new(&keys, purpose, name, &Origin::parse(origin).unwrap());
        let text = at("a v1", "n", "https://one.example").seal(&[7; 16], b"record");
        for (purpose, name, origin, answer) in [
            ("a v1", "n", "https://one.example", Ok(b"record".to_vec())),
            ("b v1", "n", "https://one.example", Err(Unopened::Foreign)),
            ("a v1", "m", "https://one.example", Err(Unopened::Foreign)),
            ("a v1", "n", "https://two.example", Err(Unopened::Foreign)),
            ("a v1", "n", "http://one.example", Err(Unopened::Foreign)),
            ("a v1", "n", "https://one.example:8443", Err(Unopened::Foreign)),
        ] {
            let ring = at(purpose, name, origin);
            // Even when the one byte that names the key happens to agree, or is made to.
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(&text).unwrap();
            bytes[1] = ring.newest.id;
            let text = BASE64_URL_SAFE_NO_PAD.encode(bytes);
            assert_eq!(opens(&ring, &text), answer, "{purpose} {name} {origin}");
        }
    }

    #[test]
    fn what_cannot_be_ours_is_refused_before_any_key_is_tried() {
        let ring = ring(&[[1; 32]]);
        let good = ring.seal(&[7; 16], b"");
        assert_eq!(opens(&ring, &good), Ok(vec![]));
        let mut other_version = BASE64_URL_SAFE_NO_PAD.decode(&good).unwrap();
        other_version[0] = 2;
        for (text, answer) in [
            (String::new(), Unopened::Malformed),
            ("A".to_owned(), Unopened::Malformed),
            (good[..good.len() - 2].to_owned(), Unopened::Malformed),
            (format!("{good}=="), Unopened::Malformed),
            (good.replace(|_| true, "+"), Unopened::Malformed),
            (format!(" {good}"), Unopened::Malformed),
            (BASE64_URL_SAFE_NO_PAD.encode(other_version), Unopened::Malformed),
            ("A".repeat(1_024), Unopened::Malformed),
            ("A".repeat(1_025), Unopened::TooLong),
            ("A".repeat(100_000), Unopened::TooLong),
        ] {
            assert_eq!(opens(&ring, &text), Err(answer), "{} characters", text.len());
        }
    }
}
