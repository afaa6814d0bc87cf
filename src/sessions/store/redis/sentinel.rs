//! Which server is the primary, as sentinels say. All are asked at once, since one that hangs must not hold up the others; what they answer is
//! tried in the order in which it comes, since one may not have heard of a failover yet.

use std::sync::Arc;

use redis::Value;
use tokio::{task::JoinSet, time::timeout};

use super::{
    access::{Access, Live},
    failure::Failure,
};
use crate::sessions::store::StoreError;

/// Sentinels, and the primary they watch.
#[derive(Clone, Debug)]
pub(super) struct Sentinels {
    /// Their addresses, `host:port`.
    pub(super) addresses: Box<[Box<str>]>,
    /// What they call the primary.
    pub(super) primary: Box<str>,
}

impl Sentinels {
    /// A connection to the primary.
    pub(super) async fn connect(&self, access: &Arc<Access>) -> Result<Live, StoreError> {
        let mut asked = JoinSet::new();
        for sentinel in &self.addresses {
            let (access, sentinel, primary) = (Arc::clone(access), sentinel.clone(), self.primary.clone());
            asked.spawn(async move {
                let answer = timeout(access.timeout(), ask(&access, &sentinel, &primary)).await;
                answer.unwrap_or_else(|_| Err(StoreError::Unreachable(format!("{sentinel}: no answer in time").into())))
            });
        }
        let mut tried = Vec::new();
        let mut error = StoreError::Unreachable("no sentinel answers".into());
        while let Some(answer) = asked.join_next().await {
            let found = match answer {
                Ok(Ok(address)) if tried.contains(&address) => continue,
                Ok(Ok(address)) => {
                    let opened = timeout(access.timeout(), open(access, &address)).await;
                    let late = || StoreError::Unreachable(format!("{address}: no connection in time").into());
                    let opened = opened.unwrap_or_else(|_| Err(late()));
                    tried.push(address);
                    opened
                }
                Ok(Err(error)) => Err(error),
                Err(_) => continue,
            };
            match found {
                Ok(live) => return Ok(live),
                // What somebody said tells more than that others said nothing.
                Err(StoreError::Unreachable(_)) if !matches!(error, StoreError::Unreachable(_)) => {}
                Err(found) => error = found,
            }
        }
        Err(error)
    }
}

/// Where one sentinel says that the primary is.
async fn ask(access: &Access, sentinel: &str, primary: &str) -> Result<Box<str>, StoreError> {
    let live = access.connect(sentinel, access.of_sentinel()).await?;
    let mut question = redis::cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(primary);
    let answer = live.ask(&question, false).await.map_err(Failure::into_error)?;
    if answer == Value::Nil {
        return Err(StoreError::Answer(format!("{sentinel} knows no primary called `{primary}`").into()));
    }
    let named = || {
        let Value::Array(parts) = &answer else { return None };
        let [Value::BulkString(host), Value::BulkString(port)] = parts.as_slice() else { return None };
        address(host, port)
    };
    named().ok_or_else(|| StoreError::Answer(format!("{sentinel} names no address").into()))
}

/// `host:port` of what a server says.
pub(super) fn address(host: &[u8], port: &[u8]) -> Option<Box<str>> {
    let (host, port) = (std::str::from_utf8(host).ok()?, std::str::from_utf8(port).ok()?);
    let port: u16 = port.parse().ok()?;
    if host.is_empty() {
        return None;
    }
    Some(if host.contains(':') { format!("[{host}]:{port}").into() } else { format!("{host}:{port}").into() })
}

/// A connection to the server at `address`, if it is the primary.
async fn open(access: &Access, address: &str) -> Result<Live, StoreError> {
    let live = access.connect(address, access.of_server()).await?;
    if live.is_replica() {
        return Err(StoreError::Unreachable(format!("{address}: it is not the primary").into()));
    }
    Ok(live)
}
