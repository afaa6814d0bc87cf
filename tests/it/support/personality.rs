//! A provider that behaves as a real one does, and a gateway that is told about it what an operator would say: the kind, an id and a secret,
//! and, as tests have no internet, where the provider really is. Everything else comes from the kind's table, which is what is tested.

use std::sync::Arc;

use doorward::{
    clock::Clock,
    dev::provider::{Client, ClientKey, Endpoint, KeyProof, Provider},
    providers::{self, Providers},
};
use jsonwebtoken::Algorithm;
use serde_json::Value;
use tokio::net::TcpListener;
use url::Url;

use super::{
    Browser, Gate, Upstream,
    browser::{Answer, someone},
    gate::{CLIENT_ID, CLIENT_SECRET, NOW, load},
};

/// How one real provider behaves.
pub struct Personality {
    /// Which kind it is configured as; also its name.
    pub kind: &'static str,
    /// What stands behind the host in the provider's address.
    pub path: &'static str,
    /// Its habits.
    pub behaves: fn(&Provider),
    /// The keys of its table that an operator, or a test without internet, has to set besides the client's. `ISSUER` stands for the
    /// provider's address, `ORIGIN` for that without the path.
    pub settings: &'static [(&'static str, &'static str)],
}

/// A key of the client's: the provider knows its public half.
pub struct Key {
    pub proof: KeyProof,
    pub algorithm: Algorithm,
    pub pair: rcgen::KeyPair,
}

impl Key {
    /// ES256.
    pub fn ec(proof: KeyProof) -> Self {
        Self { proof, algorithm: Algorithm::ES256, pair: rcgen::KeyPair::generate().unwrap() }
    }

    /// RS256.
    pub fn rsa(proof: KeyProof) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        Self { proof, algorithm: Algorithm::RS256, pair }
    }
}

/// The gateway in front of that provider.
pub struct World {
    pub gate: Gate,
    pub kind: &'static str,
    /// What browsers call the gateway.
    pub public: String,
    /// As the gateway is told of it.
    told: Vec<providers::Settings>,
}

/// What the application was told.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    pub user: String,
    pub email: Option<String>,
    pub groups: Option<String>,
}

/// The answer to somebody who was refused.
#[derive(Debug)]
pub struct Refused {
    pub status: u16,
    pub page: String,
}

/// What should come of a sign-in: the user, or the status of a page and words on it.
pub type Expected = Result<&'static str, (u16, &'static str)>;

impl Personality {
    /// A gateway in front of it.
    pub async fn world(&self) -> World {
        self.with(&[]).await
    }

    /// The same with more settings; those of the provider's table without its name.
    pub async fn with(&self, more: &[(&str, &str)]) -> World {
        self.start(None, None, more).await
    }

    /// With a client that has a key instead of a secret.
    pub async fn with_key(&self, key: &Key, more: &[(&str, &str)]) -> World {
        self.start(None, Some(key), more).await
    }

    /// What browsers call the gateway may be something else than where it listens; then TLS ends before it.
    pub async fn start(&self, public: Option<&str>, key: Option<&Key>, more: &[(&str, &str)]) -> World {
        let clock = Clock::stopped(NOW);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = format!("http://{}", listener.local_addr().unwrap());
        let public = public.unwrap_or(&own).to_owned();
        let mut client = Client {
            id: CLIENT_ID.to_owned(),
            secret: Some(CLIENT_SECRET.to_owned().into()),
            key: None,
            redirect_uris: vec![format!("{public}/_auth/callback/{}", self.kind)],
            post_logout_redirect_uris: vec![format!("{public}/_auth/signed-out")],
            backchannel_logout_uri: Some(format!("{public}/_auth/backchannel-logout/{}", self.kind)),
            frontchannel_logout_uri: Some(format!("{public}/_auth/frontchannel-logout/{}", self.kind)),
        };
        let table = |key: &str| format!("providers.{}.{key}", self.kind);
        let mut settings: Vec<(String, String)> = vec![
            (table("client_id"), CLIENT_ID.to_owned()),
            ("headers.claims.x_email".to_owned(), "email".to_owned()),
            ("headers.claims.x_groups".to_owned(), "groups".to_owned()),
            ("public_url".to_owned(), public.clone()),
        ];
        settings.extend(
            ["issuer", "client_id", "client_secret"].map(|key| (format!("providers.dev.{key}"), "-".to_owned())),
        );
        match key {
            None => settings.push((table("client_secret"), CLIENT_SECRET.to_owned())),
            Some(key) => {
                client.secret = None;
                let (pem, proof) = (key.pair.public_key_pem(), key.proof.clone());
                client.key = Some(ClientKey { pem, algorithm: key.algorithm, proof });
                settings.push((table("client_key"), key.pair.serialize_pem()));
            }
        }

        let at = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", at.local_addr().unwrap());
        let provider = Provider::new(format!("{origin}{}", self.path), vec![client], clock.clone());
        (self.behaves)(&provider);
        tokio::spawn(provider.clone().serve(at, std::future::pending()));

        let named = |(key, value): &(&str, &str)| {
            let own = (!key.contains('.') && *key != "credentials")
                || ["authorization_parameters.", "required_claims.", "bearer."].iter().any(|own| key.starts_with(own));
            let key = if own { table(key) } else { (*key).to_owned() };
            (key, value.replace("ORIGIN", &origin))
        };
        let given: Vec<_> = self.settings.iter().chain(more).map(named).collect();
        settings.retain(|(key, _)| !given.iter().any(|(given, _)| given == key));
        // Of two that a test gives, the later one counts.
        for (key, value) in given {
            settings.retain(|(known, _)| *known != key);
            settings.push((key, value));
        }
        let settings: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let upstream = Upstream::start().await;
        let told = load(&own, &provider, &upstream, &settings).providers;
        let gate = Gate::beside(listener, provider, upstream, clock, &settings);
        World { gate, kind: self.kind, public, told }
    }
}

impl World {
    pub fn provider(&self) -> &Provider {
        &self.gate.provider
    }

    /// The provider as the gateway knows it, to be asked without the gateway.
    pub fn known(&self) -> Arc<providers::Provider> {
        let callback = self.url(&format!("/_auth/callback/{}", self.kind));
        let roots = rustls::RootCertStore::empty();
        let known = Providers::new(self.told.clone(), |_| callback.clone(), &roots, &self.gate.clock).unwrap();
        Arc::clone(known.only().unwrap())
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public)
    }

    /// A browser that finds the gateway.
    pub fn browser(&self) -> Browser {
        let mut browser = Browser::new();
        let public = Url::parse(&self.public).unwrap();
        let authority = format!("{}:{}", public.host_str().unwrap(), public.port_or_known_default().unwrap());
        browser.reaches(&authority, &self.gate);
        browser
    }

    /// Where a browser is sent to sign in.
    pub async fn authorization(&self) -> Url {
        let answer = self.browser().get(&self.url("/_auth/login")).await;
        assert_eq!(answer.status, 302, "{answer:?}");
        Url::parse(answer.header("location")).unwrap()
    }

    /// Goes to sign in as `sub` with `claims`, up to the callback's answer.
    pub async fn callback(&self, browser: &mut Browser, sub: &str, claims: &Value) -> Answer {
        let page = browser.reach_provider(&self.url("/")).await;
        let callback = browser.choose(&page, &someone(sub, &claims.to_string())).await;
        browser.get(&callback).await
    }

    /// Signs in as `sub` with `claims`, in a browser of its own.
    pub async fn sign_in(&self, sub: &str, claims: &Value) -> Result<Told, Refused> {
        let mut browser = self.browser();
        let back = self.callback(&mut browser, sub, claims).await;
        self.told(&mut browser, &back).await
    }

    /// What the application is told of a browser that came `back`.
    pub async fn told(&self, browser: &mut Browser, back: &Answer) -> Result<Told, Refused> {
        if back.status != 303 {
            assert!(self.gate.upstream.take().is_empty());
            return Err(Refused { status: back.status.as_u16(), page: main_of(back) });
        }
        let answer = browser.get(&self.url("/")).await;
        if answer.status != 200 {
            return Err(Refused { status: answer.status.as_u16(), page: main_of(&answer) });
        }
        let request = self.gate.upstream.take_one();
        let user = request.one("x-user").expect("an X-User");
        Ok(Told { user, email: request.one("x-email"), groups: request.one("x-groups") })
    }

    /// Each row: who signs in with which claims, and what becomes of it.
    pub async fn signs_in(&self, rows: &[(&str, Value, Expected)]) {
        for (sub, claims, expected) in rows {
            let found = self.sign_in(sub, claims).await;
            check(&format!("{}: {sub} {claims}", self.kind), &found, *expected);
        }
    }

    /// The groups that the application is told when `sub` signs in with `claims`.
    pub async fn groups(&self, sub: &str, claims: &Value) -> Option<String> {
        self.sign_in(sub, claims).await.unwrap_or_else(|refused| panic!("{refused:?}")).groups
    }

    /// Signs in as `sub` and out again: where the browser is sent.
    pub async fn logout(&self, sub: &str, claims: &Value) -> Url {
        let mut browser = self.browser();
        let back = self.callback(&mut browser, sub, claims).await;
        assert_eq!(back.status, 303, "{back:?}");
        self.leave(&mut browser).await
    }

    /// Signs a browser out that is signed in: where it is sent.
    pub async fn leave(&self, browser: &mut Browser) -> Url {
        let left = browser.get(&self.url("/_auth/logout")).await;
        assert_eq!(left.status, 303, "{left:?}");
        assert_eq!(browser.get(&self.url("/")).await.status, 302, "signed out here");
        Url::parse(&left.location()).unwrap()
    }

    /// Whether `location` is our own page that says that the session there goes on.
    pub fn stays_here(&self, location: &Url) -> bool {
        location.as_str().starts_with(&self.url("/_auth/signed-out?"))
            && parameter(location, "at").as_deref() == Some(self.kind)
    }

    /// How often `endpoint` was asked.
    pub fn asked(&self, endpoint: Endpoint) -> usize {
        self.provider().requests(endpoint)
    }
}

/// What a page says, without what stands around it.
fn main_of(answer: &Answer) -> String {
    let text = answer.text();
    text.split_once("<main").map_or(&*text, |(_, main)| main).to_owned()
}

/// Compares what was found with what was expected.
#[track_caller]
pub fn check(case: &str, found: &Result<Told, Refused>, expected: Expected) {
    match (found, expected) {
        (Ok(told), Ok(user)) => assert_eq!(told.user, user, "{case}"),
        (Err(refused), Err((status, says))) => {
            assert_eq!(refused.status, status, "{case}: {refused:?}");
            assert!(refused.page.contains(says), "{case}: {says} in {refused:?}");
        }
        (found, expected) => panic!("{case}: {found:?} instead of {expected:?}"),
    }
}

/// A parameter of `url`'s query.
pub fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
