//! Actors: a gateway, a browser, an application that records bytes, a stranger with a raw socket. Everything over real sockets on loopback.

pub mod browser;
pub mod gate;
pub mod log;
pub mod personality;
#[expect(dead_code, reason = "nobody needs everything")]
pub mod redis;
pub mod tap;
pub mod upstream;
pub mod wire;

use std::{future::Future, time::Duration};

pub use browser::Browser;
pub use doorward::dev::provider::Endpoint;
pub use gate::Gate;
pub use log::Log;
pub use upstream::Upstream;
pub use wire::Caller;

/// What has to happen soon: a test that waits for something that never comes should say so.
#[track_caller]
pub fn soon<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let waited = tokio::time::timeout(Duration::from_secs(20), future).await;
        waited.unwrap_or_else(|_| panic!("nothing happened for 20 seconds at {caller}"))
    }
}
