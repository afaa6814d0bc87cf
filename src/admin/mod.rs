//! The operator's own listener: liveness and readiness, never on the public one.

use crate::server::Listen;

/// Where operators connect.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `None` when `admin.listen` is empty: no listener.
    pub listen: Option<Listen>,
}
