//! `doorward dev`: what stands around the gateway when nothing is configured, a provider where anyone can be anyone and
//! an application that shows the headers it received.
//!
//! Both are served on loopback and refuse every other address. Both are ordinary HTTP services on sockets, so that the
//! gateway between them runs exactly as it does in production; the integration tests start the same provider and switch
//! [faults](provider::Faults) on.

mod answer;
mod loopback;
mod page;

pub mod provider;

mod headers_page;

pub use headers_page::serve_headers_page;
pub use loopback::NotLoopback;

#[cfg(test)]
mod testing;
