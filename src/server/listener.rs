//! Listening sockets: TCP, unix, or passed in by systemd.

use std::{
    fmt, fs, io,
    net::{SocketAddr, ToSocketAddrs as _},
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

use super::{Listen, Peer};

/// Connections that wait to be accepted, at most.
const BACKLOG: i32 = 1_024;

/// A bound socket. A unix socket's file goes when this goes.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    /// The file to remove at the end.
    path: Option<PathBuf>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Why a place could not be listened at.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is taken, not ours, not permitted, or not an address.
    #[error("cannot listen at {place}: {source}")]
    Io {
        /// As configured.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// `listen = "systemd"` without a socket from the service manager.
    #[error("`systemd` is configured, but the service manager passed {0} sockets; exactly one is needed")]
    NotPassed(usize),
}

impl Listener {
    /// Binds `listen`.
    ///
    /// # Errors
    /// [`BindError`] names the place.
    pub fn bind(listen: &Listen) -> Result<Self, BindError> {
        let failed = |place: &str| {
            let place = place.to_owned();
            move |source| BindError::Io { place, source }
        };
        match listen {
            Listen::Tcp(address) => bind_tcp(address).map_err(failed(address)),
            Listen::Unix(path) => bind_unix(path).map_err(failed(&format!("unix:{}", path.display()))),
            Listen::Systemd => passed(),
        }
    }

    /// The address, when it is a TCP socket.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    pub(super) async fn accept(&mut self) -> io::Result<(Stream, Peer)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Small answers must not wait for the peer's delayed ACK.
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Peer::Tcp(address)))
            }
            Socket::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Peer::Unix))
            }
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().map_err(|_| fmt::Error)?.fmt(f),
            Socket::Unix(listener) => {
                let address = listener.local_addr().map_err(|_| fmt::Error)?;
                write!(f, "unix:{}", address.as_pathname().unwrap_or(Path::new("(passed)")).display())
            }
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self { socket: Socket::Tcp(listener), path: None }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Gone already is as good.
            let _ = fs::remove_file(path);
        }
    }
}

fn bind_tcp(address: &str) -> io::Result<Listener> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "no such address");
    for address in address.to_socket_addrs()? {
        match listen_at(address) {
            Ok(listener) => return Ok(Listener { socket: Socket::Tcp(listener), path: None }),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    // A restart must not wait for connections in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn bind_unix(path: &Path) -> io::Result<Listener> {
    // A socket file that nobody answers at was left by a process that was killed. Anything else is not ours to remove.
    if let Ok(found) = fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is not a socket stands there"));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there"));
        }
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    // Owner and group: who else may connect is decided by the folder's permissions.
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(Listener { socket: Socket::Unix(listener), path: Some(path.to_owned()) })
}

fn passed() -> Result<Listener, BindError> {
    let failed = |source| BindError::Io { place: "systemd".to_owned(), source };
    let mut sockets = listenfd::ListenFd::from_env();
    if sockets.len() != 1 {
        return Err(BindError::NotPassed(sockets.len()));
    }
    // Whether it is a TCP or a unix socket is found out by asking for the one, then for the other.
    if let Ok(Some(tcp)) = sockets.take_tcp_listener(0) {
        tcp.set_nonblocking(true).map_err(failed)?;
        return Ok(Listener { socket: Socket::Tcp(TcpListener::from_std(tcp).map_err(failed)?), path: None });
    }
    let unix = sockets.take_unix_listener(0).map_err(failed)?.ok_or(BindError::NotPassed(0))?;
    unix.set_nonblocking(true).map_err(failed)?;
    Ok(Listener { socket: Socket::Unix(UnixListener::from_std(unix).map_err(failed)?), path: None })
}

/// An accepted connection.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_read(cx, buf),
            Self::Unix(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_write(cx, buf),
            Self::Unix(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_flush(cx),
            Self::Unix(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_shutdown(cx),
            Self::Unix(s) => Pin::new(s).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Self::Unix(s) => Pin::new(s).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
