//! Several gateways, each a process of its own, in front of one application and one provider, behind one public name.

use std::{
    fs::{self, File},
    net::SocketAddr,
    process::Stdio,
    time::{Duration, Instant},
};

use doorward::{clock::Clock, dev::provider::Provider};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use crate::{
    application::Application,
    support::{gate, redis::free_port, soon, wire},
};

pub struct Fleet {
    /// `127.0.0.1:port`: what browsers believe they talk to. Nobody listens there.
    pub authority: String,
    pub provider: Provider,
    pub replicas: Vec<Replica>,
    /// Given to every replica.
    settings: Vec<(String, String)>,
    _application: Application,
}

impl Fleet {
    /// So many gateways with this store; the provider is asked again about each session every two seconds. `more` settings are dotted keys.
    pub async fn start(replicas: usize, store: &str, more: &[(&str, &str)]) -> Self {
        let authority = format!("127.0.0.1:{}", free_port());
        let public = format!("http://{authority}");
        let provider = gate::provider(&public, &Clock::system()).await;
        let application = Application::start().await;
        let mut settings: Vec<(String, String)> = [
            ("public_url", &*public),
            ("upstream", &application.url()),
            ("threads", "1"),
            ("log.format", "json"),
            ("log.filter", "info,access=off"),
            ("session.key", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"),
            ("session.store", store),
            ("session.revalidate", "2s"),
            ("providers.dev.issuer", provider.issuer()),
            ("providers.dev.client_id", gate::CLIENT_ID),
            ("providers.dev.client_secret", gate::CLIENT_SECRET),
            ("providers.dev.scopes", "openid,offline_access"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
        for (key, value) in more {
            settings.retain(|(known, _)| known != key);
            settings.push(((*key).to_owned(), (*value).to_owned()));
        }
        let mut fleet = Self { authority, provider, replicas: Vec::new(), settings, _application: application };
        for _ in 0..replicas {
            fleet.add(&[]).await;
        }
        fleet
    }

    /// One more, with settings of its own.
    pub async fn add(&mut self, more: &[(&str, &str)]) -> &mut Replica {
        let mut settings = self.settings.clone();
        for (key, value) in more {
            settings.retain(|(known, _)| known != key);
            settings.push(((*key).to_owned(), (*value).to_owned()));
        }
        self.replicas.push(Replica::start(settings).await);
        self.replicas.last_mut().unwrap()
    }

    /// Where each of them is.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.replicas.iter().map(|replica| replica.address).collect()
    }
}

/// A running gateway. It ends with this.
pub struct Replica {
    pub address: SocketAddr,
    admin: SocketAddr,
    settings: Vec<(String, String)>,
    folder: TempDir,
    process: Option<Child>,
}

impl Replica {
    async fn start(settings: Vec<(String, String)>) -> Self {
        let local = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let folder = tempfile::tempdir().unwrap();
        let mut replica = Self { address: local(), admin: local(), settings, folder, process: None };
        replica.run().await;
        replica
    }

    /// Starts it; returns when it is ready.
    pub async fn run(&mut self) {
        let file = self.folder.path().join("log");
        let log = File::options().create(true).append(true).open(&file).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        let listen = [("listen", self.address), ("admin.listen", self.admin)];
        command.envs(listen.map(|(key, address)| (variable(key), address.to_string())));
        command.envs(self.settings.iter().map(|(key, value)| (variable(key), value.clone())));
        let mut process = command.spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while !self.is_ready().await {
            let ended = process.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < until,
                "the gateway is not ready: {}",
                fs::read_to_string(&file).unwrap()
            );
            pause().await;
        }
        self.process = Some(process);
    }

    /// SIGTERM, and what is under way may finish.
    pub async fn stop(&mut self) {
        self.signal("-TERM").await;
        let mut process = self.process.take().unwrap();
        let ended = soon(process.wait()).await.unwrap();
        assert!(ended.success(), "{ended}");
    }

    /// SIGHUP.
    pub async fn reload(&self) {
        self.signal("-HUP").await;
    }

    async fn signal(&self, signal: &str) {
        let process = self.process.as_ref().and_then(Child::id).unwrap().to_string();
        assert!(Command::new("kill").args([signal, &process]).status().await.unwrap().success());
    }

    async fn is_ready(&self) -> bool {
        TcpStream::connect(self.admin).await.is_ok() && self.readiness().await.0 == 200
    }

    /// What `/readyz` says.
    pub async fn readiness(&self) -> (u16, String) {
        let answer =
            wire::send(self.admin, "GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await;
        (answer.status, answer.text())
    }

    /// Whether it lets in whoever sends this `Cookie`.
    pub async fn knows(&self, authority: &str, cookie: &str) -> bool {
        knows(self.address, authority, cookie).await
    }

    /// What it has logged, a line each: `LEVEL message`.
    pub fn said(&self) -> String {
        let log = self.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let text = |line: &serde_json::Value, field| line[field].as_str().unwrap_or_default().to_owned();
        lines.map(|line| format!("{} {}\n", text(&line, "level"), text(&line, "message"))).collect()
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

/// Whether the gateway at `place` lets in whoever sends this `Cookie`.
pub async fn knows(place: SocketAddr, authority: &str, cookie: &str) -> bool {
    let head = format!("Host: {authority}\r\nCookie: {cookie}\r\nConnection: close");
    let answer = wire::send(place, format!("GET /_auth/whoami HTTP/1.1\r\n{head}\r\n\r\n")).await;
    match answer.status {
        200 => true,
        401 => false,
        _ => panic!("{answer:?}"),
    }
}

/// Waits until `is_so`.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so().await {
        assert!(Instant::now() < end, "{what}: not within 60 seconds");
        pause().await;
    }
}

/// Another process gives no sign to wait for.
pub async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

fn variable(key: &str) -> String {
    format!("DOORWARD_{}", key.replace('.', "__").to_uppercase())
}
