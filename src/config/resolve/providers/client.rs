//! Who we are at a provider: our identifier, and what proves that it is us.

use std::path::Path;

use aws_lc_rs::{
    digest,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair,
    },
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};

use super::table::Table;
use crate::{
    config::{files, provider::Provider, values::Pem},
    providers::{ClientAuth, ClientKey},
    secret::Secret,
};

/// Us.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: Option<Secret<String>>,
    pub(super) auth: Option<ClientAuth>,
    pub(super) key: Option<ClientKey>,
}

/// `is_needed`: the provider has to know us. Otherwise nothing has to be written.
pub(super) fn resolve(raw: &mut Provider, is_needed: bool, table: &mut Table<'_, '_>) -> Option<Client> {
    let id = match is_needed || raw.client_id.is_given() {
        true => table.required(&mut raw.client_id, "client_id"),
        false => Some(String::new()),
    };
    let has_secret = raw.client_secret.is_given() || raw.client_secret_file.is_given();
    let has_key = raw.client_key.is_given() || raw.client_key_file.is_given();
    let (inline, file) = (std::mem::take(&mut raw.client_secret), std::mem::take(&mut raw.client_secret_file));
    let secret = table.reading.secret(inline, file, &table.key("client_secret"));
    let auth = table.value(&mut raw.client_auth, "client_auth");
    let auth = match auth {
        Some(ClientAuth::Basic | ClientAuth::Post) if !has_secret => {
            table.refuse(&["client_auth"], "says how a secret is presented, but there is no `client_secret`");
            // A kind's habit; a public client, or one with a key, has its own.
            None
        }
        Some(ClientAuth::PrivateKeyJwt | ClientAuth::MintedSecret)
            if !is_needed && !has_secret && !has_key && !table.is_written("client_auth") =>
        {
            None
        }
        Some(ClientAuth::PrivateKeyJwt | ClientAuth::MintedSecret) if has_secret && !has_key => {
            let secret = if table.is_written("client_secret") { "client_secret" } else { "client_secret_file" };
            table.wrong(secret, "is not what this provider wants: it wants a key (`client_key_file`)");
            None
        }
        Some(auth @ (ClientAuth::PrivateKeyJwt | ClientAuth::MintedSecret)) if !has_key => {
            let what = "is required, or `client_key_file`: the private key that signs for us at this provider";
            table.missing("client_key", what);
            Some(auth)
        }
        auth => auth,
    };
    let key = key(raw, has_key, auth, table);
    Some(Client { id: id?, secret, auth, key })
}

fn key(raw: &mut Provider, has_key: bool, auth: Option<ClientAuth>, table: &mut Table<'_, '_>) -> Option<ClientKey> {
    let id = table.value(&mut raw.client_key_id, "client_key_id");
    let issuer = table.value(&mut raw.client_team, "client_team");
    let audience = table.value(&mut raw.client_assertion_audience, "client_assertion_audience");
    let chosen = table.value(&mut raw.client_key_algorithm, "client_key_algorithm");
    let certificate = table.value(&mut raw.client_certificate_file, "client_certificate_file");
    if !has_key {
        let names = ["client_key_id", "client_key_algorithm", "client_certificate_file", "client_team"];
        // Where the key itself is asked for, that is what is wrong.
        if !matches!(auth, Some(ClientAuth::PrivateKeyJwt | ClientAuth::MintedSecret)) {
            table.refuse(&names, "means nothing without `client_key` or `client_key_file`");
        }
        return None;
    }
    let is_minted = auth == Some(ClientAuth::MintedSecret);
    if is_minted {
        for (name, is_there, what) in [
            ("client_team", issuer.is_some(), "is required: the team that the key belongs to"),
            ("client_key_id", id.is_some(), "is required: the identifier that the provider gave the key"),
        ] {
            if !is_there {
                table.missing(name, what);
            }
        }
    }
    let written_at = if raw.client_key.is_given() { "client_key" } else { "client_key_file" };
    let (inline, file) = (std::mem::take(&mut raw.client_key), std::mem::take(&mut raw.client_key_file));
    let Pem(pem) = table.reading.secret(inline, file, &table.key("client_key"))?;
    let fitting = match fitting_algorithms(&pem) {
        Ok(fitting) => fitting,
        Err(what) => {
            table.wrong(written_at, what);
            return None;
        }
    };
    let algorithm = chosen.or(fitting.first().copied())?;
    if !fitting.contains(&algorithm) {
        let known: Vec<_> = fitting.iter().map(|algorithm| format!("`{algorithm:?}`")).collect();
        table.wrong("client_key_algorithm", format!("does not fit the key, which signs with {}", known.join(", ")));
    } else if is_minted && algorithm != Algorithm::ES256 {
        table.wrong(written_at, "is no P-256 key; a minted secret is signed with ES256");
    }
    let x5t = certificate
        .and_then(|path| thumbprint(&path).map_err(|what| table.wrong("client_certificate_file", what)).ok());
    Some(ClientKey { pem, algorithm, id, x5t, issuer, audience })
}

/// What a key can sign with, the usual one first. The reason never repeats the key.
pub(super) fn fitting_algorithms(pem: &Secret<String>) -> Result<&'static [Algorithm], &'static str> {
    const RSA: [Algorithm; 6] =
        [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|_| {
        "is no private key in PEM (`-----BEGIN PRIVATE KEY-----`); `openssl pkcs8 -topk8 -nocrypt` makes one of others"
    })?;
    let der = der.secret_pkcs8_der();
    if EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).is_ok() {
        Ok(&[Algorithm::ES256])
    } else if EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der).is_ok() {
        Ok(&[Algorithm::ES384])
    } else if Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).is_ok() {
        Ok(&[Algorithm::EdDSA])
    } else if RsaKeyPair::from_pkcs8(der).is_ok() {
        Ok(&RSA)
    } else {
        Err("is no key that can be used: P-256, P-384, Ed25519, or RSA with at least 2048 bits")
    }
}

/// `x5t` (RFC 7515 §4.1.7): SHA-1, which only finds the certificate again.
fn thumbprint(path: &Path) -> Result<String, String> {
    let certificate = files::first_certificate(path)?;
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &certificate);
    Ok(BASE64_URL_SAFE_NO_PAD.encode(hash))
}
