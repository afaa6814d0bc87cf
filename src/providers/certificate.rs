//! The key in a certificate, for key sets that have nothing else: `x5c` without `n` and `e` (RFC 7517 §4.7).
//!
//! The certificate is a container here and vouches for nothing: the set came from the provider itself, over TLS, like every other key of it.
//! So neither its dates nor its issuer are looked at, and of its structure no more than what leads to the key.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
/// `[0]`, constructed: the version, which certificates of version 1 leave out.
const VERSION: u8 = 0xa0;

/// Padding or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Modulus and exponent of the RSA key in the certificate `text`, an entry of `x5c`. It is base64, and base64url at some providers.
pub(super) fn rsa_key(text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let certificate = BASE64.decode(text.replace('-', "+").replace('_', "/")).ok()?;
    // RFC 8017 A.1.1: a sequence of the two.
    let (numbers, _) = element(public_key(&certificate)?, SEQUENCE)?;
    let (modulus, rest) = element(numbers, INTEGER)?;
    let (exponent, _) = element(rest, INTEGER)?;
    Some((modulus.to_vec(), exponent.to_vec()))
}

/// RFC 5280 §4.1: `subjectPublicKey`.
fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if let Some((_, after)) = element(rest, VERSION) {
        rest = after;
    }
    // Serial number, signature algorithm, issuer, validity, subject.
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        (_, rest) = element(rest, tag)?;
    }
    let (info, _) = element(rest, SEQUENCE)?;
    let (_, key) = element(info, SEQUENCE)?;
    // The first byte counts unused bits; a key has none.
    element(key, BIT_STRING)?.0.strip_prefix(&[0])
}

/// The content of the DER element with `tag` at the beginning of `input`, and what follows it.
fn element(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let rest = input.strip_prefix(&[tag])?;
    let (first, rest) = rest.split_first()?;
    // X.690 §8.1.3: short, or the number of bytes that follow. A certificate is never larger than three of them can say.
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::*;

    /// T-140.
    #[test]
    fn a_key_is_found_in_its_certificate_and_nowhere_else() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let der = rcgen::CertificateParams::default().self_signed(&key).unwrap().der().to_vec();
        // What the library says the key is: the content of the bit string.
        let (numbers, _) = element(key.public_key_raw(), SEQUENCE).unwrap();
        let (modulus, _) = element(numbers, INTEGER).unwrap();
        for text in [STANDARD.encode(&der), URL_SAFE_NO_PAD.encode(&der)] {
            assert_eq!(rsa_key(&text), Some((modulus.to_vec(), vec![1, 0, 1])));
        }
        let ec = rcgen::KeyPair::generate().unwrap();
        let ec = rcgen::CertificateParams::default().self_signed(&ec).unwrap().der().to_vec();
        assert_eq!(rsa_key(&STANDARD.encode(ec)), None, "no RSA key");
        for text in ["", "MIIB", "not base64!", "MIIBgTCB"] {
            assert_eq!(rsa_key(text), None, "{text}");
        }
        for end in 0..der.len() {
            assert_eq!(rsa_key(&STANDARD.encode(&der[..end])), None, "cut at {end}");
        }
        for at in 0..der.len().min(200) {
            let mut broken = der.clone();
            broken[at] ^= 0xff;
            let _: Option<(Vec<u8>, Vec<u8>)> = rsa_key(&STANDARD.encode(&broken));
        }
    }
}
