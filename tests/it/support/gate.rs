//! The gateway under test: the whole of it, on a free port, configured as operators do.

use std::{
    io::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use doorward::{
    app::App,
    clock::{Clock, UnixTime},
    config,
    dev::provider::{Client, Endpoint, Provider},
    sessions::store::{self, Location, RedisSettings},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    Browser, Upstream, soon,
    wire::{self, Raw},
};

pub const CLIENT_ID: &str = "gate";
pub const CLIENT_SECRET: &str = "s3cr:et/+%&=";
/// Some day: tests own time.
pub const NOW: UnixTime = UnixTime(1_800_000_000);

/// A route for everything, one for `/public` that lets everybody in.
pub const ROUTES: &str = r#"
    [[routes]]
    path = "/"
    upstream = "UPSTREAM"
    [[routes]]
    path = "/public"
    upstream = "UPSTREAM"
    anonymous = true
"#;

pub struct Gate {
    pub address: SocketAddr,
    pub provider: Provider,
    pub upstream: Upstream,
    pub clock: Clock,
    pub stop: CancellationToken,
    /// The operator's listener, when `admin.listen` asks for one.
    pub admin: Option<SocketAddr>,
    /// What the next reload finds.
    next: Arc<Mutex<Option<config::Settings>>>,
    served: JoinHandle<()>,
}

impl Gate {
    /// With one provider, `dev`, and one application.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The same with more settings: dotted keys and values as the environment would have them, or `file` for the text of a file. `UPSTREAM`
    /// and `ISSUER` stand for the addresses of both; `-` takes a setting away.
    pub async fn with(more: &[(&str, &str)]) -> Self {
        let clock = Clock::stopped(NOW);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = provider(&format!("http://{}", listener.local_addr().unwrap()), &clock).await;
        Self::beside(listener, provider, Upstream::start().await, clock, more)
    }

    /// With these routes instead of one application.
    pub async fn routing(routes: &str, more: &[(&str, &str)]) -> Self {
        let more: Vec<_> = [("upstream", "-"), ("file", routes)].iter().chain(more).copied().collect();
        Self::with(&more).await
    }

    /// With a store that nobody answers at.
    pub async fn without_store(more: &[(&str, &str)]) -> Self {
        let clock = Clock::stopped(NOW);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let public = format!("http://{}", listener.local_addr().unwrap());
        let provider = provider(&public, &clock).await;
        let upstream = Upstream::start().await;
        let mut settings = load(&public, &provider, &upstream, more);
        // Port 1 is nobody's.
        let location = Location::Standalone { address: "127.0.0.1:1".into(), database: 0 };
        settings.sessions.store = store::Settings::Redis(Box::new(RedisSettings {
            location,
            tls: None,
            username: None,
            password: None,
            sentinel_password: None,
            prefix: "doorward".into(),
            timeout: Duration::from_millis(200),
        }));
        Self::told(listener, settings, provider, upstream, clock)
    }

    /// In front of a provider and an application that run already.
    pub fn beside(
        listener: TcpListener,
        provider: Provider,
        upstream: Upstream,
        clock: Clock,
        more: &[(&str, &str)],
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let settings = load(&format!("http://{address}"), &provider, &upstream, more);
        Self::told(listener, settings, provider, upstream, clock)
    }

    /// Told exactly this.
    pub fn told(
        listener: TcpListener,
        settings: config::Settings,
        provider: Provider,
        upstream: Upstream,
        clock: Clock,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let app = App::on(listener.into(), settings, clock.clone()).unwrap();
        let stop = CancellationToken::new();
        let admin = app.admin_address();
        let next = Arc::new(Mutex::new(None));
        let reload = Arc::clone(&next);
        let served = tokio::spawn(app.run(stop.clone(), move || reload.lock().unwrap().take()));
        Self { address, provider, upstream, clock, stop, admin, next, served }
    }

    /// A second gateway for the same public address, provider and application: another replica, or the same one after a restart.
    pub async fn replica(&self, more: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let public = format!("http://{}", self.address);
        let more: Vec<_> = [("public_url", &*public)].iter().chain(more).copied().collect();
        Self::beside(listener, self.provider.clone(), self.upstream.clone(), self.clock.clone(), &more)
    }

    /// What it would be told with these settings.
    pub fn settings(&self, more: &[(&str, &str)]) -> config::Settings {
        load(&format!("http://{}", self.address), &self.provider, &self.upstream, more)
    }

    /// Tells the process to reload (all gateways in it, of which only this one finds something new) and waits until this one has looked.
    pub async fn reload(&self, settings: config::Settings) {
        *self.next.lock().unwrap() = Some(settings);
        let this = std::process::id().to_string();
        let told = std::process::Command::new("kill").args(["-HUP", &this]).status().unwrap();
        assert!(told.success());
        soon(async {
            while self.next.lock().unwrap().is_some() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Our own address of `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// How often the provider has been asked for tokens.
    pub fn token_requests(&self) -> usize {
        self.provider.requests(Endpoint::Token)
    }

    /// A browser in which `person` has signed in.
    pub async fn signed_in(&self, person: &str) -> Browser {
        let mut browser = Browser::new();
        let back = browser.sign_in(self, person).await;
        assert_eq!(back.status, 303, "{back:?}");
        browser
    }

    /// The same, and its session at the provider is called `sid`.
    pub async fn signed_in_as(&self, person: &str, sid: &str) -> Browser {
        let sid = serde_json::Value::from(sid);
        self.provider.faults().next_id_token(move |_, claims| _ = claims.insert("sid".to_owned(), sid));
        self.signed_in(person).await
    }

    /// The same, where there is a choice of providers.
    pub async fn signed_in_at(&self, person: &str, provider: &str) -> Browser {
        let mut browser = Browser::new();
        let login = self.url(&format!("/_auth/login?rd=%2F&provider={provider}"));
        let back = browser.sign_in_at(&login, person).await;
        assert_eq!(back.status, 303, "{back:?}");
        browser
    }

    /// The `Cookie` line of a browser in which `person` has signed in.
    pub async fn cookie_of(&self, person: &str) -> String {
        format!("Cookie: doorward={}", self.signed_in(person).await.cookie(self, "doorward").unwrap())
    }

    /// Asks by hand, on a connection of its own: `line` is method and target, `headers` whole lines.
    pub async fn ask(&self, line: &str, headers: &[&str]) -> Raw {
        self.say(wire::request(self, line, headers)).await
    }

    /// These bytes, on a connection of its own.
    pub async fn say(&self, bytes: impl AsRef<[u8]>) -> Raw {
        wire::send(self.address, bytes).await
    }

    /// Waits until it has stopped.
    pub async fn stopped(self) {
        soon(self.served).await.unwrap();
    }
}

/// A provider that knows the gateway at `public`.
pub async fn provider(public: &str, clock: &Clock) -> Provider {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let provider = provider_called(issuer, public, clock);
    tokio::spawn(provider.clone().serve(listener, std::future::pending()));
    provider
}

/// The same, not served yet.
pub fn provider_called(issuer: String, public: &str, clock: &Clock) -> Provider {
    let client = Client {
        id: CLIENT_ID.to_owned(),
        secret: Some(CLIENT_SECRET.to_owned().into()),
        key: None,
        redirect_uris: vec![format!("{public}/_auth/callback/dev"), format!("{public}/_auth/callback/other")],
        post_logout_redirect_uris: vec![format!("{public}/_auth/signed-out")],
        backchannel_logout_uri: Some(format!("{public}/_auth/backchannel-logout/dev")),
        frontchannel_logout_uri: Some(format!("{public}/_auth/frontchannel-logout/dev")),
    };
    Provider::new(issuer, vec![client], clock.clone())
}

/// What a gateway at `public` is told: the least that runs, and `more`.
pub fn load(public: &str, provider: &Provider, upstream: &Upstream, more: &[(&str, &str)]) -> config::Settings {
    let mut settings: Vec<(String, String)> = [
        ("public_url", public),
        ("upstream", &*upstream.url()),
        ("admin.listen", ""),
        ("session.key", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"),
        ("providers.dev.issuer", provider.issuer()),
        ("providers.dev.client_id", CLIENT_ID),
        ("providers.dev.client_secret", CLIENT_SECRET),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec();
    let mut file = None;
    for (key, value) in more {
        settings.retain(|(known, _)| known != key);
        let value = value.replace("UPSTREAM", &upstream.url()).replace("ISSUER", provider.issuer());
        match (*key, &*value) {
            ("file", text) => {
                let mut written = tempfile::NamedTempFile::new().unwrap();
                written.write_all(text.as_bytes()).unwrap();
                file = Some(written);
            }
            (_, "-") => {}
            (key, _) => settings.push((key.to_owned(), value)),
        }
    }
    let variables = settings.iter().map(|(key, value)| (variable(key), value.clone()));
    let path = file.as_ref().map(|file| ("DOORWARD_CONFIG".to_owned(), file.path().to_str().unwrap().to_owned()));
    let sources = config::Sources::new(config::CommandLine::default(), variables.chain(path));
    config::load(&sources).unwrap_or_else(|problems| panic!("{problems}")).settings
}

fn variable(key: &str) -> String {
    format!("DOORWARD_{}", key.replace('.', "__").replace('-', "_").to_uppercase())
}
