//! Doorward: an authentication gateway for web applications that know nothing about logins.
//!
//! The modules stand in the order in which a request meets them; `main` reads the arguments. [`gateway::Gateway`] has the whole path on one
//! screen. Dependencies point one way (`tests/architecture.rs`).

// built once

pub mod app;
pub mod config;

// sockets in
pub mod server;

// the path of a request, and what it asks on the way
pub mod assertion;
pub mod gateway;
pub mod policy;
pub mod sessions;

// what the gateway answers itself, and whom it asks for that
pub mod endpoints;
pub mod providers;
pub mod tokens;

// beside the path
pub mod admin;
pub mod dev;
pub mod telemetry;

// the shared vocabulary
pub mod body;
pub mod clock;
pub mod grant;
pub mod identity;
pub mod origin;
pub mod outgoing;
mod remembered;
pub mod secret;
