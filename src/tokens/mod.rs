//! Bearer tokens that programs bring.

pub mod dpop;
