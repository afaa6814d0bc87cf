//! Doorward: an authentication gateway for web applications that know nothing about logins.
//!
//! The modules below stand in the order in which a request meets them. `main` reads the arguments, `app` builds every part once.

pub mod server;

pub mod gateway;

pub mod endpoints;

pub mod policy;
pub mod providers;
pub mod sessions;
pub mod telemetry;

pub mod admin;
pub mod dev;

// the shared vocabulary
pub mod body;
pub mod clock;
pub mod identity;
pub mod origin;
pub mod secret;
