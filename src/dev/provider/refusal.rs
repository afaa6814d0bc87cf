//! Why the provider says no, in OAuth's words.

use http::{StatusCode, header::WWW_AUTHENTICATE};
use serde_json::json;

use crate::dev::answer::{self, Answer};

/// A refusal: the code programs read, and a sentence for whoever reads the log.
#[derive(Debug, thiserror::Error)]
#[error("{}: {description}", code.as_str())]
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) description: String,
}

/// The registered codes we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorCode {
    // RFC 6749 §4.1.2.1, §5.2
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    UnsupportedGrantType,
    UnsupportedResponseType,
    InvalidScope,
    AccessDenied,
    // RFC 6750 §3.1
    InvalidToken,
    // OpenID Connect Core §3.1.2.6
    LoginRequired,
    RequestNotSupported,
    RequestUriNotSupported,
}

impl ErrorCode {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::AccessDenied => "access_denied",
            Self::InvalidToken => "invalid_token",
            Self::LoginRequired => "login_required",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::InvalidClient | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::InvalidRequest
            | Self::InvalidGrant
            | Self::UnsupportedGrantType
            | Self::UnsupportedResponseType
            | Self::InvalidScope
            | Self::AccessDenied
            | Self::LoginRequired
            | Self::RequestNotSupported
            | Self::RequestUriNotSupported => StatusCode::BAD_REQUEST,
        }
    }
}

impl Refusal {
    /// `description` holds nothing a caller sent: it goes into headers and addresses.
    pub(super) fn new(code: ErrorCode, description: impl Into<String>) -> Self {
        Self { code, description: description.into() }
    }

    /// The answer to a program (RFC 6749 §5.2).
    pub(super) fn answer(&self) -> Answer {
        let error = json!({ "error": self.code.as_str(), "error_description": self.description });
        let mut answer = answer::json(self.code.status(), &error);
        if self.code == ErrorCode::InvalidClient {
            // RFC 6749 §5.2: a client that tried Basic is told so; the others may know it too.
            answer::set(&mut answer, WWW_AUTHENTICATE, "Basic realm=\"development provider\"");
        }
        answer
    }

    /// The answer to whoever showed an access token (RFC 6750 §3).
    pub(super) fn bearer_answer(&self) -> Answer {
        let mut answer = self.answer();
        let challenge = format!("Bearer error=\"{}\", error_description=\"{}\"", self.code.as_str(), self.description);
        answer::set(&mut answer, WWW_AUTHENTICATE, &challenge);
        answer
    }
}
