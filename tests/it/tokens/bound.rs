//! Tokens that are bound to a key or a certificate.
