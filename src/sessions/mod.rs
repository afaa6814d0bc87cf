//! Sessions that live in a sealed cookie, and logins under way that live in a sealed `state`.

use std::time::Duration;

use crate::{origin::Origin, secret::Secret};

/// How sessions are sealed and how long they live.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Never empty. The first seals, all open.
    pub keys: Vec<Secret<[u8; 32]>>,
    /// A session ends this long after its sign-in, whatever happens.
    pub max_age: Duration,
    /// A session ends when nothing was asked with it for this long.
    pub idle_timeout: Duration,
    /// From the start of a login to its callback.
    pub login_timeout: Duration,
    /// Cookies are bound to it, and named by whether it is https.
    pub origin: Origin,
    /// Ended sessions that are remembered at most.
    pub revocations: usize,
}
