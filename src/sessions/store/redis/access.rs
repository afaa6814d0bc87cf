//! What is needed to get into Redis: settings that a reload may replace, and one connection made with them.

use std::{sync::Arc, time::Duration};

use redis::{Cmd, RedisConnectionInfo, Value, aio::MultiplexedConnection};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::AbortHandle,
    time::Instant,
};
use tokio_rustls::TlsConnector;

use super::{Location, Settings, failure::Failure};
use crate::{outgoing, secret::Secret, sessions::store::StoreError};

/// Settings, and what follows from them.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) settings: Settings,
    /// `None` for plain TCP.
    tls: Option<Result<Arc<ClientConfig>, Box<str>>>,
}

/// Who we are to a server.
pub(super) struct Credentials<'a> {
    username: Option<&'a str>,
    password: Option<&'a Secret<String>>,
    database: u16,
}

impl Access {
    pub(super) fn new(settings: &Settings) -> Self {
        let tls = settings.tls.as_ref().map(|tls| {
            let roots = match &tls.ca {
                Some(pem) => outgoing::roots_from(pem).ok_or("the CA file holds no certificate")?,
                None => outgoing::system_roots(),
            };
            outgoing::tls(roots).map(Arc::new).map_err(|error| error.to_string().into())
        });
        Self { settings: settings.clone(), tls }
    }

    /// From a question to its answer.
    pub(super) fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// As whom we speak to servers.
    pub(super) fn of_server(&self) -> Credentials<'_> {
        let database = match &self.settings.location {
            Location::Standalone { database, .. } | Location::Sentinel { database, .. } => *database,
            Location::Cluster { .. } => 0,
        };
        let username = self.settings.username.as_deref();
        Credentials { username, password: self.settings.password.as_ref(), database }
    }

    /// As whom we speak to sentinels.
    pub(super) fn of_sentinel(&self) -> Credentials<'_> {
        Credentials { username: None, password: self.settings.sentinel_password.as_ref(), database: 0 }
    }

    /// A connection to `address`, ready to be asked. Sets itself no limit of time.
    pub(super) async fn connect(&self, address: &str, credentials: Credentials<'_>) -> Result<Live, StoreError> {
        // Large because of TLS, and rare.
        Box::pin(self.open(address, credentials)).await
    }

    async fn open(&self, address: &str, credentials: Credentials<'_>) -> Result<Live, StoreError> {
        let at = |what: String| StoreError::Unreachable(format!("{address}: {what}").into());
        let stream = TcpStream::connect(address).await.map_err(|error| at(error.to_string()))?;
        // Small questions must not wait for the peer's delayed ACK.
        stream.set_nodelay(true).map_err(|error| at(error.to_string()))?;
        let mut live = match &self.tls {
            None => Box::pin(Live::on(stream)).await?,
            Some(tls) => {
                let tls = tls.as_ref().map_err(|what| at(what.to_string()))?;
                let name = ServerName::try_from(host_of(address).to_owned()).map_err(|error| at(error.to_string()))?;
                let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
                Box::pin(Live::on(stream.map_err(|error| at(error.to_string()))?)).await?
            }
        };
        live.introduce(&credentials).await.map_err(Failure::into_error)?;
        Ok(live)
    }
}

/// The host of `host:port`, without brackets.
pub(super) fn host_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']'])
}

/// One connection. Many may ask at the same time; the answers come in the order of the questions.
#[derive(Debug)]
pub(super) struct Live {
    connection: MultiplexedConnection,
    driver: AbortHandle,
    since: Instant,
    is_replica: bool,
}

impl Live {
    async fn on(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Self, StoreError> {
        // It says nothing by itself: a user's rights may be small.
        let info = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
        let made = MultiplexedConnection::new_with_config(&info, stream, config).await;
        let (connection, driver) = made.map_err(|error| Failure::from(error).into_error())?;
        let driver = tokio::spawn(driver).abort_handle();
        Ok(Self { connection, driver, since: Instant::now(), is_replica: false })
    }

    /// Says who we are, and waits for an answer: a server that hangs takes connections, too.
    async fn introduce(&mut self, credentials: &Credentials<'_>) -> Result<(), Failure> {
        if let Some(password) = credentials.password {
            let mut auth = redis::cmd("AUTH");
            if let Some(username) = credentials.username {
                auth.arg(username);
            }
            self.ask(auth.arg(password.expose()), false).await?;
        }
        // Whoever may sign in may say this, whatever else they may.
        let hello = self.ask(&redis::cmd("HELLO"), false).await?;
        self.is_replica = says_replica(&hello);
        if credentials.database != 0 {
            self.ask(redis::cmd("SELECT").arg(credentials.database), false).await?;
        }
        Ok(())
    }

    /// Whether it said at the beginning that it follows another server.
    pub(super) fn is_replica(&self) -> bool {
        self.is_replica
    }

    /// Whether it has ended, so that nothing can be asked with it.
    pub(super) fn has_ended(&self) -> bool {
        self.driver.is_finished()
    }

    /// How long it has been there.
    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// What the server answers. `is_asking`: the key is on its way to it (`ASK`). Sets itself no limit of time.
    pub(super) async fn ask(&self, command: &Cmd, is_asking: bool) -> Result<Value, Failure> {
        let mut connection = self.connection.clone();
        if !is_asking {
            return Ok(command.query_async(&mut connection).await?);
        }
        let mut both = redis::pipe();
        both.cmd("ASKING").ignore().add_command(command.clone());
        let [value]: [Value; 1] = both.query_async(&mut connection).await?;
        Ok(value)
    }
}

/// Of a map that is written as a list: keys and values in turn.
fn says_replica(hello: &Value) -> bool {
    let Value::Array(parts) = hello else { return false };
    let (pairs, _) = parts.as_chunks::<2>();
    let is = |value: &Value, text: &str| matches!(value, Value::BulkString(bytes) if bytes == text.as_bytes());
    pairs.iter().any(|[key, value]| is(key, "role") && is(value, "replica"))
}

impl Drop for Live {
    /// Whoever still waits for an answer learns that there is none.
    fn drop(&mut self) {
        self.driver.abort();
    }
}
