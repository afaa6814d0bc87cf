//! `doorward dev`: what stands around the gateway when nothing is configured, a provider where anyone can be anyone.
//!
//! It is served on loopback and refuses every other address. It is an ordinary HTTP service on a socket, so that the
//! gateway runs exactly as it does in production; the integration tests start the same provider and switch
//! [faults](provider::Faults) on.

mod answer;
mod loopback;
mod page;

pub mod provider;

pub use loopback::NotLoopback;

#[cfg(test)]
mod testing;
