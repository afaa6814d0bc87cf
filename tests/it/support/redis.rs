//! Real redis-servers on loopback, and what happens to them: killed, frozen, cut off, without their data.
//!
//! Nothing here knows the crate, so that unit tests can have it too: `#[path = "…/tests/it/support/redis.rs"] mod redis;`, with
//! `#[expect(dead_code, unreachable_pub, reason = "…")]` on it, because nobody needs everything.

#[path = "redis/cluster.rs"]
pub mod cluster;
#[path = "redis/sentinel.rs"]
pub mod sentinel;
#[path = "redis/shim.rs"]
pub mod shim;
#[path = "redis/tls.rs"]
pub mod tls;

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

use tempfile::TempDir;

use self::tls::Certificates;

/// One server. It ends with this, however the test ends.
pub struct Redis {
    folder: TempDir,
    port: u16,
    args: Vec<String>,
    process: Option<Child>,
    is_frozen: bool,
    /// What `cli` and `url` say who they are.
    user: Option<String>,
    password: Option<String>,
    certificates: Option<Certificates>,
}

impl Redis {
    /// Keeps nothing over a restart, unless `args` ask for it; they are `redis-server`'s own: `&["--maxmemory", "100kb"]`.
    pub async fn start(args: &[&str]) -> Self {
        Self::with(args, None, None).await
    }

    /// The same behind a password.
    pub async fn with_password(password: &str) -> Self {
        Self::with(&["--requirepass", password], None, Some(password)).await
    }

    /// With TLS alone and one user, who may do what `rules` say (`"~doorward:* +@all"`); `default` may do nothing.
    pub async fn with_tls_and_user(user: &str, password: &str, rules: &str) -> Self {
        let certificates = Certificates::new();
        let secret = format!(">{password}");
        let mut args = vec!["--user", "default", "off", "--user", user, "on", &secret];
        args.extend(rules.split_whitespace());
        Self::secured(&args, user, password, certificates).await
    }

    async fn secured(args: &[&str], user: &str, password: &str, certificates: Certificates) -> Self {
        Self::launch(args, Some(user), Some(password), Some(certificates)).await
    }

    async fn with(args: &[&str], user: Option<&str>, password: Option<&str>) -> Self {
        Self::launch(args, user, password, None).await
    }

    async fn launch(
        args: &[&str],
        user: Option<&str>,
        password: Option<&str>,
        certificates: Option<Certificates>,
    ) -> Self {
        let own = |text: &str| text.to_owned();
        // Somebody else may take the port in between.
        for _ in 0..5 {
            let mut redis = Self {
                folder: tempfile::tempdir().unwrap(),
                port: free_port(),
                args: args.iter().copied().map(own).collect(),
                process: None,
                is_frozen: false,
                user: user.map(own),
                password: password.map(own),
                certificates: certificates.clone(),
            };
            if redis.try_run().await {
                return redis;
            }
        }
        panic!("redis-server does not start with {args:?}");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// As `session.store` has it, with user and password.
    pub fn url(&self) -> String {
        let (scheme, host) = if self.certificates.is_some() { ("rediss", "localhost") } else { ("redis", "127.0.0.1") };
        let (user, password) = (self.user.as_deref().unwrap_or_default(), self.password.as_deref());
        let credentials = password.map(|password| format!("{user}:{password}@")).unwrap_or_default();
        format!("{scheme}://{credentials}{host}:{}", self.port)
    }

    /// The certificate to trust, in PEM; for TLS only.
    pub fn ca_file(&self) -> PathBuf {
        self.certificates.as_ref().expect("a server with TLS").ca_file()
    }

    /// Ends it without a word to anybody (SIGKILL), as a machine that goes down.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
            self.is_frozen = false;
        }
    }

    /// Ends it if it runs, and starts it at the same port with what it has written down, if anything.
    pub async fn restart(&mut self) {
        self.kill();
        let until = Instant::now() + Duration::from_secs(20);
        while !self.try_run().await {
            assert!(Instant::now() < until, "redis-server does not start again at port {}", self.port);
            pause().await;
        }
    }

    /// Accepts connections, and answers nothing.
    pub fn freeze(&mut self) {
        self.signal("-STOP");
        self.is_frozen = true;
    }

    /// Goes on where it was.
    pub fn thaw(&mut self) {
        self.signal("-CONT");
        self.is_frozen = false;
    }

    /// What `redis-cli` has to say, trimmed: `cli(&["GET", "key"])`.
    pub async fn cli(&self, words: &[&str]) -> String {
        self.try_cli(words).await.unwrap_or_else(|error| panic!("redis-cli {words:?}: {error}"))
    }

    /// Everybody who comes from now on has to know `password`, and everybody has to come again.
    pub async fn rotate_password(&mut self, password: &str) {
        self.cli(&["CONFIG", "SET", "requirepass", password]).await;
        self.password = Some(password.to_owned());
        self.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    }

    /// The keys that match `pattern`, sorted.
    pub async fn keys(&self, pattern: &str) -> Vec<String> {
        let found = self.cli(&["--scan", "--pattern", pattern]).await;
        let mut keys: Vec<_> = found.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        keys.sort();
        keys
    }

    /// How often each command has been called since the start or `CONFIG RESETSTAT`, as `INFO commandstats` has it.
    pub async fn calls(&self, command: &str) -> u64 {
        let text = self.cli(&["INFO", "commandstats"]).await;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    }

    async fn try_run(&mut self) -> bool {
        let port = self.port.to_string();
        let folder = self.folder.path().to_str().unwrap();
        let mut command = Command::new("redis-server");
        if let Some(file) = self.args.first().filter(|arg| !arg.starts_with("--")) {
            command.arg(file);
        }
        match &self.certificates {
            Some(certificates) => command.args(["--port", "0", "--tls-port", &port]).args(certificates.args()),
            None => command.args(["--port", &port]),
        };
        command.args(["--bind", "127.0.0.1", "--dir", folder, "--loglevel", "warning"]);
        command.args(["--logfile", "log", "--save", "", "--appendonly", "no"]);
        command.args(self.args.iter().skip_while(|arg| !arg.starts_with("--")));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(command.spawn().expect("redis-server is installed (apt-get install redis-server)"));
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if self.process.as_mut().is_some_and(|process| process.try_wait().unwrap().is_some()) {
                self.process = None;
                return false;
            }
            let says = self.try_cli(&["PING"]).await.unwrap_or_else(|error| error);
            // Whoever may not ask has been answered too.
            if says == "PONG" || says.starts_with("NOPERM") {
                return true;
            }
            pause().await;
        }
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("redis-server does not answer: {log}");
    }

    /// The same, or what went wrong.
    ///
    /// # Errors
    /// What `redis-cli` or the server says: `NOPERM …`.
    pub async fn try_cli(&self, words: &[&str]) -> Result<String, String> {
        let mut command = tokio::process::Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "--no-auth-warning", "-e"]);
        if let Some(user) = &self.user {
            command.args(["--user", user]);
        }
        if let Some(password) = &self.password {
            command.env("REDISCLI_AUTH", password);
        }
        if let Some(certificates) = &self.certificates {
            command.arg("--tls").arg("--cacert").arg(certificates.ca_file()).args(["--sni", "localhost"]);
        }
        let output = command.args(words).stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let (said, complained) = (text(&output.stdout), text(&output.stderr));
        match output.status.success() && complained.is_empty() {
            true => Ok(said),
            false => Err(format!("{complained}{said}").replace("(error) ", "")),
        }
    }

    fn signal(&self, signal: &str) {
        if let Some(process) = &self.process {
            let told = Command::new("kill").args([signal, &process.id().to_string()]).status().unwrap();
            assert!(told.success(), "kill {signal}");
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if self.is_frozen {
            self.thaw();
        }
        self.kill();
    }
}

/// A port that nobody uses, and nobody is given by the system: what was killed finds it free again, and no connection to a dead port meets
/// itself.
pub fn free_port() -> u16 {
    const FIRST: u16 = 16_384;
    const COUNT: u16 = 16_000;
    // Tests of several binaries may run side by side.
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new((std::process::id() % 400) as u16 * 40));
    loop {
        let port = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until `is_so` says yes.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so().await {
        assert!(Instant::now() < end, "{what}: not within 30 seconds");
        pause().await;
    }
}

/// Another process gives no sign to wait for.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}
