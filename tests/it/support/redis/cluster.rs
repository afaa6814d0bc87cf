//! A cluster of three masters, with or without replicas.

use std::time::{Duration, Instant};

use super::{Redis, free_port, pause};

pub struct Cluster {
    nodes: Vec<Redis>,
}

impl Cluster {
    /// Three masters with `replicas` each. A node that says nothing for a second is down; without a replica, its slots are too.
    pub async fn start(replicas: usize) -> Self {
        let mut nodes = Vec::new();
        for _ in 0..3 * (1 + replicas) {
            let bus = free_port().to_string();
            // What is down takes only its own slots down.
            let args = [
                ["--cluster-enabled", "yes"],
                ["--cluster-node-timeout", "1000"],
                ["--cluster-port", &bus],
                ["--cluster-require-full-coverage", "no"],
                ["--repl-diskless-sync-delay", "0"],
            ];
            nodes.push(Redis::start(args.as_flattened()).await);
        }
        let cluster = Self { nodes };
        let addresses: Vec<_> = cluster.nodes.iter().map(Redis::address).collect();
        let mut words = vec!["--cluster", "create"];
        words.extend(addresses.iter().map(String::as_str));
        let replicas = replicas.to_string();
        words.extend(["--cluster-replicas", &replicas, "--cluster-yes"]);
        cluster.nodes[0].cli(&words).await;
        cluster.await_whole().await;
        cluster
    }

    /// As `session.store` has it.
    pub fn url(&self) -> String {
        let addresses: Vec<_> = self.nodes.iter().map(Redis::address).collect();
        format!("redis+cluster://{}", addresses.join(","))
    }

    /// Every node; the first three were the masters in the beginning.
    pub fn nodes(&mut self) -> &mut [Redis] {
        &mut self.nodes
    }

    /// Ends a node without a word.
    pub fn kill_node(&mut self, at: usize) {
        self.nodes[at].kill();
    }

    /// Starts a node again, with the place in the cluster that it had.
    pub async fn restart_node(&mut self, at: usize) {
        self.nodes[at].restart().await;
    }

    /// Until every node that runs sees every slot served by one that runs, and every replica that runs has what its master has.
    pub async fn await_whole(&self) {
        let mut last = String::new();
        let end = Instant::now() + Duration::from_secs(60);
        while !self.is_whole(&mut last).await {
            assert!(Instant::now() < end, "some slots are served by nobody for a minute: {last}");
            pause().await;
        }
    }

    /// `seen` becomes what the node that disagrees sees.
    async fn is_whole(&self, seen: &mut String) -> bool {
        for node in self.running() {
            let is_ok = node.cli(&["CLUSTER", "INFO"]).await.contains("cluster_state:ok");
            let known = node.cli(&["CLUSTER", "NODES"]).await;
            let follows = !node.cli(&["INFO", "replication"]).await.contains("master_link_status:down");
            let served: u32 = known.lines().filter(|line| self.is_by_a_running_master(line)).map(slots).sum();
            if !is_ok || !follows || known.lines().count() < self.nodes.len() || served < 16_384 {
                *seen = format!("{} is well: {is_ok}, follows: {follows}, sees\n{known}", node.address());
                return false;
            }
        }
        true
    }

    /// Moves `count` slots, with the keys in them, from one master to another.
    pub async fn move_slots(&self, from: usize, to: usize, count: usize) {
        let (from, to) = (self.id(from).await, self.id(to).await);
        let runs = self.running().next().unwrap();
        let (address, count) = (runs.address(), count.to_string());
        let words = ["--cluster", "reshard", &address, "--cluster-from", &from, "--cluster-to", &to];
        runs.cli(&[&words[..], &["--cluster-slots", &count, "--cluster-yes"]].concat()).await;
    }

    /// Asks every node that runs: `FLUSHALL`, for instance.
    pub async fn cli_all(&self, words: &[&str]) {
        for node in self.running() {
            // Replicas refuse what writes; that comes to them from their master.
            let _ = node.try_cli(words).await;
        }
    }

    fn running(&self) -> impl Iterator<Item = &Redis> {
        self.nodes.iter().filter(|node| node.process.is_some())
    }

    /// Of a line of `CLUSTER NODES`: `id 127.0.0.1:port@bus flags …`.
    fn is_by_a_running_master(&self, line: &str) -> bool {
        let mut words = line.split(' ').skip(1);
        let (address, flags) = (words.next().unwrap(), words.next().unwrap());
        let runs = self.running().any(|node| address.starts_with(&format!("{}@", node.address())));
        runs && flags.contains("master") && !flags.contains("fail")
    }

    async fn id(&self, at: usize) -> String {
        self.nodes[at].cli(&["CLUSTER", "MYID"]).await
    }
}

/// How many slots a line of `CLUSTER NODES` ends with: `0-5460 7000`, and `[7001-<-id]` for one that is moving.
fn slots(line: &str) -> u32 {
    let ranges = line.split(' ').skip(8).filter(|word| !word.starts_with('['));
    let ends = ranges.map(|range| range.split_once('-').unwrap_or((range, range)));
    ends.map(|(first, last)| last.parse::<u32>().unwrap() + 1 - first.parse::<u32>().unwrap()).sum()
}
