//! Encrypted tokens: a signed JWT inside a JWE in compact serialization (RFC 7516, RFC 7519 §5.2).
//!
//! * Encryption hides and vouches for nothing: everybody may have the public half of our key. What comes out is a text from a stranger, and
//!   the provider's signature on it is checked as on any other.
//! * What can be refused by looking is refused before a private key is used: keys of ours that fit are few, and so are the algorithms.
//! * Whatever goes wrong with the key is one and the same error, and takes the same way: an answer that tells a broken key from a broken
//!   text opens tokens bit by bit (RFC 7516 §11.5).
//! * The header's `kid` is not looked at, since keys in PEM have none; nor are keys and addresses that it carries (`jwk`, `jku`, `x5c`).

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{self, ECDH_P256, UnparsedPublicKey},
    cipher::{self, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey},
    digest, hmac,
    key_wrap::{self, AesBlockCipher, AesKek, KeyWrap},
    rsa::{OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey, PrivateDecryptingKey},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    error::printable,
    json::Object,
    jws::{MAX_HEADER, MAX_TOKEN, is_access_token},
};
use crate::secret::{self, Secret};

/// Keys that one token is tried with at most; the configuration has no more either.
pub const MAX_DECRYPTION_KEYS: usize = 4;
/// What an RSA key may have, in bits. Every stranger's token costs us a use of it, which takes eight times as long when it is twice as long.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;

/// Why an encrypted token could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JweError {
    /// More bytes than a token of ours ever has.
    #[error("it is larger than {MAX_TOKEN} bytes")]
    TooLarge,
    /// The header is not base64url of a JSON object with unique names, is too large, or lacks something.
    #[error("it is encrypted, and its header cannot be read")]
    Header,
    /// `alg` is not done here: RSA1_5, which leaks, and everything that is made with a password or a shared secret, never are.
    #[error("it is encrypted with the algorithm `{0}`, which is not supported")]
    Algorithm(Box<str>),
    /// `enc` is not done here.
    #[error("its content is encrypted with `{0}`, which is not supported")]
    Encryption(Box<str>),
    /// The header asks for something that is not done here.
    #[error("it is encrypted, and its header has `{0}`, which is not supported")]
    Unsupported(&'static str),
    /// We have keys, but of another kind.
    #[error("it is encrypted with `{0}`, and none of our decryption keys is for that")]
    NoKey(&'static str),
    /// It is not for our key, or has been changed. More is not said.
    #[error("it is encrypted, and none of our decryption keys opens it")]
    Failed,
    /// It has been opened, and is nothing that a signature could be checked of: claims without one, or another JWE.
    #[error("it is encrypted, and what it holds is not a signed JWT")]
    Content,
}

/// A private key of ours that tokens are encrypted for.
#[derive(Clone)]
pub struct DecryptionKey(Arc<Private>);

enum Private {
    Rsa(OaepPrivateDecryptingKey),
    P256(agreement::PrivateKey),
}

impl DecryptionKey {
    /// The key in `pkcs8` (DER), when it is RSA with 2048 to 4096 bits, or on P-256.
    #[must_use]
    pub fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        let rsa = || {
            let key = PrivateDecryptingKey::from_pkcs8(pkcs8).ok()?;
            let key = Some(key).filter(|key| RSA_BITS.contains(&key.key_size_bits()))?;
            OaepPrivateDecryptingKey::new(key).map(Private::Rsa).ok()
        };
        let p256 = || agreement::PrivateKey::from_private_key_der(&ECDH_P256, pkcs8).map(Private::P256).ok();
        Some(Self(Arc::new(rsa().or_else(p256)?)))
    }
}

impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The signed JWT inside `token`; `None` when it is not encrypted, or when there are no keys: then it is as it is.
pub(super) fn opened(token: &Secret<String>, keys: &[DecryptionKey]) -> Result<Option<Secret<String>>, JweError> {
    // One more than five, so that ten dots are not taken for five parts.
    if keys.is_empty() || token.expose().splitn(6, '.').count() != 5 {
        return Ok(None);
    }
    let content = Jwe::parse(token.expose())?.open(keys)?;
    // Another JWE has five parts, claims without a signature have dots anywhere or nowhere.
    let is_signed = |text: &String| text.splitn(4, '.').count() == 3;
    let text = String::from_utf8(content).ok().filter(is_signed).ok_or(JweError::Content)?;
    Ok(Some(Secret::new(text)))
}

/// A token that has the form of a JWE, nothing more.
struct Jwe<'a> {
    management: Management,
    encryption: Encryption,
    /// The header as it was sent: what the tag is over besides.
    header: &'a str,
    encrypted_key: Vec<u8>,
    iv: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
}

impl<'a> Jwe<'a> {
    fn parse(token: &'a str) -> Result<Self, JweError> {
        if token.len() > MAX_TOKEN {
            return Err(JweError::TooLarge);
        }
        let parts: Vec<&str> = token.splitn(6, '.').collect();
        let &[header, encrypted_key, iv, ciphertext, tag] = parts.as_slice() else { return Err(JweError::Header) };
        let (management, encryption) = read_header(header)?;
        let read = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JweError::Failed);
        Ok(Self {
            management,
            encryption,
            header,
            encrypted_key: read(encrypted_key)?,
            iv: read(iv)?,
            ciphertext: read(ciphertext)?,
            tag: read(tag)?,
        })
    }

    /// What it holds, opened by the first of `keys` that does.
    fn open(&self, keys: &[DecryptionKey]) -> Result<Vec<u8>, JweError> {
        let mut fitting = keys.iter().filter(|key| self.management.is_for(&key.0)).take(MAX_DECRYPTION_KEYS).peekable();
        if fitting.peek().is_none() {
            return Err(JweError::NoKey(self.management.name));
        }
        fitting.find_map(|key| self.opened_by(&key.0)).ok_or(JweError::Failed)
    }

    fn opened_by(&self, key: &Private) -> Option<Vec<u8>> {
        let length = self.encryption.key_bytes();
        let found = self.management.content_key(key, &self.encrypted_key, self.encryption);
        // RFC 7516 §11.5: without a key it goes on with one that nobody knows, so that both ends take equally long.
        let key = found.filter(|key| key.len() == length).unwrap_or_else(|| {
            let mut random = Zeroizing::new(secret::random::<64>().to_vec());
            random.truncate(length);
            random
        });
        self.encryption.open(&key, self)
    }
}

/// What counts of a header: how the content's key is found, and what the content is encrypted with.
fn read_header(encoded: &str) -> Result<(Management, Encryption), JweError> {
    if encoded.len() > MAX_HEADER {
        return Err(JweError::Header);
    }
    let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| JweError::Header)?;
    let header = Object::parse(&json).ok_or(JweError::Header)?;
    let text = |name: &str| header.get(name).and_then(Value::as_str).ok_or(JweError::Header);
    let (alg, enc) = (text("alg")?, text("enc")?);
    // RFC 7516 §4.1.13: what is critical has to be understood, and none is. A small `zip` becomes a large text.
    for member in ["crit", "zip"] {
        if header.contains_key(member) {
            return Err(JweError::Unsupported(member));
        }
    }
    // RFC 7519 §5.2 wants `JWT` for what is signed inside; some leave it out, or name the kind of token (RFC 9068 §2.1).
    match header.get("cty") {
        None => {}
        Some(Value::String(cty)) if cty.eq_ignore_ascii_case("JWT") || is_access_token(cty) => {}
        Some(_) => return Err(JweError::Unsupported("cty")),
    }
    let encryption = Encryption::named(enc).ok_or_else(|| JweError::Encryption(printable(enc)))?;
    let agreement = || Agreement::read(&header);
    let (name, way) = match alg {
        "RSA-OAEP" => ("RSA-OAEP", Way::Rsa(&OAEP_SHA1_MGF1SHA1)),
        "RSA-OAEP-256" => ("RSA-OAEP-256", Way::Rsa(&OAEP_SHA256_MGF1SHA256)),
        "ECDH-ES" => ("ECDH-ES", Way::Agreed(agreement()?)),
        "ECDH-ES+A128KW" => ("ECDH-ES+A128KW", Way::Wrapped(agreement()?, &key_wrap::AES_128, 16)),
        "ECDH-ES+A256KW" => ("ECDH-ES+A256KW", Way::Wrapped(agreement()?, &key_wrap::AES_256, 32)),
        _ => return Err(JweError::Algorithm(printable(alg))),
    };
    Ok((Management { name, way }, encryption))
}

/// How the content's key is found (RFC 7518 §4.1).
struct Management {
    name: &'static str,
    way: Way,
}

enum Way {
    /// It is encrypted for us.
    Rsa(&'static OaepAlgorithm),
    /// It is agreed upon.
    Agreed(Agreement),
    /// It is wrapped with one that is agreed upon, of so many bytes.
    Wrapped(Agreement, &'static AesBlockCipher, usize),
}

impl Management {
    fn is_for(&self, key: &Private) -> bool {
        match (&self.way, key) {
            (Way::Rsa(_), Private::Rsa(_)) | (Way::Agreed(_) | Way::Wrapped(..), Private::P256(_)) => true,
            (Way::Rsa(_), Private::P256(_)) | (Way::Agreed(_) | Way::Wrapped(..), Private::Rsa(_)) => false,
        }
    }

    fn content_key(&self, key: &Private, encrypted: &[u8], encryption: Encryption) -> Option<Zeroizing<Vec<u8>>> {
        match (&self.way, key) {
            (Way::Rsa(algorithm), Private::Rsa(key)) => {
                let mut room = Zeroizing::new(vec![0; key.min_output_size()]);
                let found = key.decrypt(algorithm, encrypted, &mut room, None).ok()?;
                Some(Zeroizing::new(found.to_vec()))
            }
            // RFC 7516 §5.2 step 10: where the key is the agreed one, none is sent.
            (Way::Agreed(_), Private::P256(_)) if !encrypted.is_empty() => None,
            (Way::Agreed(agreement), Private::P256(key)) => {
                agreement.key(key, encryption.name(), encryption.key_bytes())
            }
            (Way::Wrapped(agreement, cipher, length), Private::P256(key)) => {
                unwrapped(cipher, &agreement.key(key, self.name, *length)?, encrypted)
            }
            (Way::Rsa(_), Private::P256(_)) | (Way::Agreed(_) | Way::Wrapped(..), Private::Rsa(_)) => None,
        }
    }
}

/// AES Key Wrap (RFC 3394).
fn unwrapped(cipher: &'static AesBlockCipher, key: &[u8], wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut room = Zeroizing::new(vec![0; wrapped.len()]);
    let found = AesKek::new(cipher, key).ok()?.unwrap(wrapped, &mut room).ok()?;
    Some(Zeroizing::new(found.to_vec()))
}

/// The sender's side of a key agreement (RFC 7518 §4.6.1).
struct Agreement {
    /// An uncompressed point; whether it lies on the curve is looked at where it is used.
    ephemeral: Vec<u8>,
    apu: Vec<u8>,
    apv: Vec<u8>,
}

impl Agreement {
    fn read(header: &Map<String, Value>) -> Result<Self, JweError> {
        let read = |value: &Value| value.as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let epk = header.get("epk").and_then(Value::as_object).ok_or(JweError::Header)?;
        let is = |name: &str, value: &str| epk.get(name).is_some_and(|found| found == value);
        // RFC 7518 §6.2.1.2: full length, always.
        let coordinate = |name: &str| epk.get(name).and_then(read).filter(|bytes| bytes.len() == 32);
        let (Some(x), Some(y), true) = (coordinate("x"), coordinate("y"), is("kty", "EC") && is("crv", "P-256")) else {
            return Err(JweError::Header);
        };
        let party = |name: &str| header.get(name).map_or(Some(Vec::new()), read).ok_or(JweError::Header);
        Ok(Self { ephemeral: [&[4], x.as_slice(), &y].concat(), apu: party("apu")?, apv: party("apv")? })
    }

    /// The agreed key of `length` bytes for `algorithm`.
    fn key(&self, ours: &agreement::PrivateKey, algorithm: &str, length: usize) -> Option<Zeroizing<Vec<u8>>> {
        let theirs = UnparsedPublicKey::new(&ECDH_P256, &self.ephemeral);
        agreement::agree(ours, theirs, (), |agreed| Ok(derived(agreed, algorithm, &self.apu, &self.apv, length))).ok()
    }
}

/// The Concat KDF with SHA-256 (RFC 7518 §4.6.2). Everything is far shorter than what its counters of 32 bits hold.
fn derived(agreed: &[u8], algorithm: &str, apu: &[u8], apv: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(length + digest::SHA256_OUTPUT_LEN));
    for round in 1..=length.div_ceil(digest::SHA256_OUTPUT_LEN) {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&(round as u32).to_be_bytes());
        hash.update(agreed);
        for part in [algorithm.as_bytes(), apu, apv] {
            hash.update(&(part.len() as u32).to_be_bytes());
            hash.update(part);
        }
        hash.update(&(8 * length as u32).to_be_bytes());
        key.extend_from_slice(hash.finish().as_ref());
    }
    key.truncate(length);
    key
}

/// What the content is encrypted with (RFC 7518 §5.1).
#[derive(Clone, Copy)]
enum Encryption {
    A128Gcm,
    A256Gcm,
    A128CbcHs256,
    A256CbcHs512,
}

impl Encryption {
    const ALL: [Self; 4] = [Self::A128Gcm, Self::A256Gcm, Self::A128CbcHs256, Self::A256CbcHs512];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::A128Gcm => "A128GCM",
            Self::A256Gcm => "A256GCM",
            Self::A128CbcHs256 => "A128CBC-HS256",
            Self::A256CbcHs512 => "A256CBC-HS512",
        }
    }

    fn key_bytes(self) -> usize {
        match self {
            Self::A128Gcm => 16,
            Self::A256Gcm | Self::A128CbcHs256 => 32,
            Self::A256CbcHs512 => 64,
        }
    }

    fn open(self, key: &[u8], jwe: &Jwe<'_>) -> Option<Vec<u8>> {
        match self {
            Self::A128Gcm => gcm(UnboundKey::new(&AES_128_GCM, key).ok()?, jwe),
            Self::A256Gcm => gcm(UnboundKey::new(&AES_256_GCM, key).ok()?, jwe),
            Self::A128CbcHs256 => cbc(hmac::HMAC_SHA256, &cipher::AES_128, key, jwe),
            Self::A256CbcHs512 => cbc(hmac::HMAC_SHA512, &cipher::AES_256, key, jwe),
        }
    }
}

fn gcm(key: UnboundKey, jwe: &Jwe<'_>) -> Option<Vec<u8>> {
    // The tag has to be whole: the library takes no shorter one.
    let nonce = Nonce::try_assume_unique_for_key(&jwe.iv).ok()?;
    let mut text = jwe.ciphertext.clone();
    LessSafeKey::new(key).open_in_place_separate_tag(nonce, Aad::from(jwe.header), &jwe.tag, &mut text).ok()?;
    Some(text)
}

/// AES-CBC with HMAC (RFC 7518 §5.2.2.2): nothing is decrypted before the tag fits, so that padding tells nobody anything.
fn cbc(mac: hmac::Algorithm, cipher: &'static cipher::Algorithm, key: &[u8], jwe: &Jwe<'_>) -> Option<Vec<u8>> {
    let (mac_key, cipher_key) = key.split_at_checked(key.len() / 2)?;
    let mut hash = hmac::Context::with_key(&hmac::Key::new(mac, mac_key));
    for part in [jwe.header.as_bytes(), &jwe.iv, &jwe.ciphertext, &(8 * jwe.header.len() as u64).to_be_bytes()] {
        hash.update(part);
    }
    let whole = hash.sign();
    // RFC 7518 §5.2.2.1: the first half counts.
    let expected = whole.as_ref().get(..mac_key.len())?;
    if !bool::from(expected.ct_eq(&jwe.tag)) {
        return None;
    }
    let iv: [u8; 16] = jwe.iv.as_slice().try_into().ok()?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(cipher, cipher_key).ok()?).ok()?;
    let mut text = jwe.ciphertext.clone();
    let length = key.decrypt(&mut text, DecryptionContext::Iv128(iv.into())).ok()?.len();
    text.truncate(length);
    Some(text)
}

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
