//! The path of a request.

pub mod settings;
