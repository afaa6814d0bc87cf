//! A primary, its replicas, and three sentinels that make one of them the next primary.

use std::fs;

use super::{Redis, until};

/// What the sentinels call it.
const NAME: &str = "doorward";

pub struct Sentinel {
    servers: Vec<Redis>,
    sentinels: Vec<Redis>,
    _folder: tempfile::TempDir,
}

impl Sentinel {
    /// One primary, two replicas that follow it, three sentinels that know each other. A primary that says nothing for half a second is down.
    pub async fn start() -> Self {
        let primary = Redis::start(&["--repl-diskless-sync-delay", "0"]).await;
        let port = primary.port().to_string();
        let mut servers = vec![primary];
        for _ in 0..2 {
            let args = ["--repl-diskless-sync-delay", "0", "--replicaof", "127.0.0.1", &port];
            let replica = Redis::start(&args).await;
            until("the replica follows", async || {
                replica.cli(&["INFO", "replication"]).await.contains("master_link_status:up")
            })
            .await;
            servers.push(replica);
        }
        let folder = tempfile::tempdir().unwrap();
        let mut sentinels = Vec::new();
        for number in 0..3 {
            let told = format!(
                "sentinel monitor {NAME} 127.0.0.1 {port} 2\nsentinel down-after-milliseconds {NAME} 500\n\
                 sentinel failover-timeout {NAME} 2000\nsentinel parallel-syncs {NAME} 2\n"
            );
            // A sentinel writes into its file.
            let file = folder.path().join(format!("{number}.conf"));
            fs::write(&file, told).unwrap();
            sentinels.push(Redis::start(&[file.to_str().unwrap(), "--sentinel"]).await);
        }
        let this = Self { servers, sentinels, _folder: folder };
        for sentinel in &this.sentinels {
            until("the sentinels know each other and the replicas", async || {
                let known = sentinel.cli(&["SENTINEL", "master", NAME]).await;
                let value = |field| known.lines().skip_while(|line| *line != field).nth(1).unwrap_or_default();
                (value("num-other-sentinels"), value("num-slaves")) == ("2", "2")
            })
            .await;
        }
        this
    }

    /// As `session.store` has it.
    pub fn url(&self) -> String {
        let addresses: Vec<_> = self.sentinels.iter().map(Redis::address).collect();
        format!("redis+sentinel://{}/{NAME}", addresses.join(","))
    }

    /// The server that the sentinels say is the primary.
    pub async fn primary(&mut self) -> &mut Redis {
        let port = self.primary_port().await;
        self.servers.iter_mut().find(|server| server.port() == port).unwrap()
    }

    /// Ends the primary without a word; its port. The sentinels notice half a second later.
    pub async fn kill_primary(&mut self) -> u16 {
        let primary = self.primary().await;
        primary.kill();
        primary.port()
    }

    /// Until the sentinels agree on another primary than the one at `old`, and it takes writes.
    pub async fn await_new_primary(&mut self, old: u16) {
        until("another primary", async || {
            for sentinel in &self.sentinels {
                let port = port_of(&sentinel.cli(&["SENTINEL", "get-master-addr-by-name", NAME]).await);
                if port == Some(old) || port.is_none() {
                    return false;
                }
            }
            let primary = self.primary().await;
            primary.cli(&["ROLE"]).await.starts_with("master")
        })
        .await;
    }

    /// Starts whatever was killed.
    pub async fn restart_killed(&mut self) {
        for server in &mut self.servers {
            if server.process.is_none() {
                server.restart().await;
            }
        }
    }

    async fn primary_port(&self) -> u16 {
        port_of(&self.sentinels[0].cli(&["SENTINEL", "get-master-addr-by-name", NAME]).await).unwrap()
    }
}

fn port_of(address: &str) -> Option<u16> {
    address.lines().nth(1)?.trim().parse().ok()
}
