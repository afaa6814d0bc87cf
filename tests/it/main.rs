//! Everything that crosses a socket: the whole gateway between a real provider (our development provider, which can misbehave), an application that
//! records bytes, and callers from a browser to a stranger with a raw socket. Tests carry the numbers of the cases they cover.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    unreachable_pub,
    reason = "a test that cannot go on should stop; and nothing here is anybody else's"
)]

mod admin_sessions;
mod assertion;
mod backchannel;
mod behaviour;
mod choosing;
mod client_certificates;
mod cookies;
mod drain;
mod framing;
mod frontchannel;
mod header_values;
mod headers;
mod http2;
mod id_token;
mod listeners;
mod login_state;
mod logout;
mod logs;
mod personalities;
mod provider_faults;
mod reload;
mod return_to;
mod revalidation;
mod route_headers;
mod route_providers;
mod session;
mod sessions_page;
mod sign_in;
mod support;
mod target;
mod tokens;
