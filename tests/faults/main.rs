//! What fails around the session store, and who notices: real redis-servers that are killed, frozen, full or cut off, in front of whole gateways.
//! Nobody who is signed in should.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test that cannot go on should stop; and nothing here is anybody else's"
)]

mod application;
mod costs;
mod crowd;
mod fleet;
mod outage;
mod refreshing;
mod replicated;
mod rolling;
mod servers;
mod spreading;
mod standalone;
#[expect(dead_code, unused_imports, reason = "what the other suite needs beside")]
#[path = "../it/support/mod.rs"]
mod support;
