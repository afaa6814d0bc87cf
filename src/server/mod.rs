//! Sockets in: accepts connections, speaks TLS and HTTP on them, hands each request to any handler, and drains.

use std::{path::PathBuf, time::Duration};

/// Where to listen and how much a peer may ask of us.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where callers connect.
    pub listen: Listen,
    /// Certificate and key, when we end TLS ourselves.
    pub tls: Option<TlsFiles>,
    /// What one peer, and all together, may use.
    pub limits: Limits,
    /// How long requests in flight may go on after SIGTERM.
    pub shutdown_grace: Duration,
}

/// A place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `host:port`; the host may be a name. Port 0 takes any free one.
    Tcp(String),
    /// `unix:/path`.
    Unix(PathBuf),
    /// `systemd`: the socket that the service manager passes.
    Systemd,
}

/// PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, our own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// What one connection may use, and how many there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's line and header section.
    pub header_bytes: usize,
    /// Header fields of a request.
    pub header_count: usize,
    /// From a connection's first byte (or the first of its next request) to the end of the header section.
    pub header_timeout: Duration,
    /// How long a connection may wait for its next request.
    pub idle_timeout: Duration,
    /// Connections open at the same time; further ones wait in the listen queue.
    pub connections: usize,
}
