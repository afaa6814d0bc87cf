//! For tests only: somebody whom tokens can be encrypted for.

use aws_lc_rs::{
    aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{self, ECDH_P256, UnparsedPublicKey},
    cipher::{AES_128, AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey},
    encoding::{AsDer, EcPrivateKeyRfc5915Der, Pkcs8V1Der},
    hmac,
    key_wrap::{self, AesKek, KeyWrap},
    rsa::{
        KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PrivateDecryptingKey,
        PublicEncryptingKey,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{DecryptionKey, Encryption, derived};
use crate::secret::random;

/// A key pair.
pub(in crate::providers) struct Recipient {
    pub(in crate::providers) key: DecryptionKey,
    public: Public,
}

enum Public {
    Rsa(PublicEncryptingKey),
    P256(Vec<u8>),
}

/// An uncompressed point.
fn point(key: &agreement::PrivateKey) -> Vec<u8> {
    key.compute_public_key().unwrap().as_ref().to_vec()
}

impl Recipient {
    pub(in crate::providers) fn rsa() -> Self {
        let pair = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        Self { key: DecryptionKey::from_pkcs8(der.as_ref()).unwrap(), public: Public::Rsa(pair.public_key()) }
    }

    pub(in crate::providers) fn p256() -> Self {
        let pair = agreement::PrivateKey::generate(&ECDH_P256).unwrap();
        let der: EcPrivateKeyRfc5915Der<'_> = pair.as_der().unwrap();
        Self { key: DecryptionKey::from_pkcs8(der.as_ref()).unwrap(), public: Public::P256(point(&pair)) }
    }

    /// `content` for this one, as the `alg` and `enc` of `header` say; what belongs to `alg` is added to it.
    pub(in crate::providers) fn encrypt(&self, mut header: Value, content: &[u8]) -> String {
        let enc = header["enc"].as_str().and_then(Encryption::named).unwrap_or(Encryption::A128Gcm);
        let alg = header["alg"].as_str().unwrap_or_default().to_owned();
        let mut cek = random::<64>()[..enc.key_bytes()].to_vec();
        let encrypted_key = match &self.public {
            Public::Rsa(key) => {
                let key = OaepPublicEncryptingKey::new(key.clone()).unwrap();
                let mut room = vec![0; key.ciphertext_size()];
                let algorithm = if alg == "RSA-OAEP" { &OAEP_SHA1_MGF1SHA1 } else { &OAEP_SHA256_MGF1SHA256 };
                key.encrypt(algorithm, &cek, &mut room, None).unwrap().to_vec()
            }
            Public::P256(ours) => {
                let ephemeral = agreement::PrivateKey::generate(&ECDH_P256).unwrap();
                let point = point(&ephemeral);
                let (x, y) = point[1..].split_at(32);
                if header.get("epk").is_none() {
                    let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
                    header["epk"] = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
                }
                let (name, length) = match &*alg {
                    "ECDH-ES+A128KW" => (&*alg, 16),
                    "ECDH-ES+A256KW" => (&*alg, 32),
                    _ => (enc.name(), enc.key_bytes()),
                };
                let theirs = UnparsedPublicKey::new(&ECDH_P256, ours);
                let agreed =
                    agreement::agree(&ephemeral, theirs, (), |z| Ok(derived(z, name, b"", b"", length))).unwrap();
                if alg.ends_with("KW") {
                    let cipher = if length == 16 { &key_wrap::AES_128 } else { &key_wrap::AES_256 };
                    let mut room = vec![0; cek.len() + 8];
                    AesKek::new(cipher, &agreed).unwrap().wrap(&cek, &mut room).unwrap().to_vec()
                } else {
                    cek.clone_from(&agreed);
                    Vec::new()
                }
            }
        };
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        let (iv, ciphertext, tag) = seal(enc, &cek, &header, content);
        let parts = [encrypted_key, iv, ciphertext, tag].map(|part| URL_SAFE_NO_PAD.encode(part));
        format!("{header}.{}", parts.join("."))
    }
}

pub(super) fn seal(enc: Encryption, key: &[u8], header: &str, content: &[u8]) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let mut text = content.to_vec();
    let (cipher, mac) = match enc {
        Encryption::A128Gcm | Encryption::A256Gcm => {
            let algorithm = if key.len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
            let iv = random::<12>();
            let key = LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap());
            let nonce = Nonce::assume_unique_for_key(iv);
            let tag = key.seal_in_place_separate_tag(nonce, Aad::from(header), &mut text).unwrap();
            return (iv.to_vec(), text, tag.as_ref().to_vec());
        }
        Encryption::A128CbcHs256 => (&AES_128, hmac::HMAC_SHA256),
        Encryption::A256CbcHs512 => (&AES_256, hmac::HMAC_SHA512),
    };
    let (mac_key, cipher_key) = key.split_at(key.len() / 2);
    let iv = random::<16>();
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(cipher, cipher_key).unwrap()).unwrap();
    key.less_safe_encrypt(&mut text, EncryptionContext::Iv128((&iv).into())).unwrap();
    let length = (8 * header.len() as u64).to_be_bytes();
    let tag = hmac::sign(&hmac::Key::new(mac, mac_key), &[header.as_bytes(), &iv, &text, &length].concat());
    (iv.to_vec(), text, tag.as_ref()[..mac_key.len()].to_vec())
}
