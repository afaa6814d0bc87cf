//! What went wrong, for programs (RFC 9457).

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::{name, sentence};

#[derive(Serialize)]
struct Problem<'a> {
    // RFC 9457 §4.2.1: the status is all a program may rely on; what it may act on beyond that is a member of its own. We deviate from
    // that section in that `title` is the heading of the page, not the phrase of the status: it is what people find in their console.
    r#type: &'static str,
    title: String,
    status: u16,
    detail: String,
    request_id: String,
    #[serde(flatten)]
    extra: BTreeMap<&'a str, &'a str>,
}

/// The body of an `application/problem+json` answer. `request_id` is the id that the log has too; `extra` are further members
/// (RFC 9457 §3.2), which never replace one of the five.
#[must_use]
pub fn problem(status: StatusCode, title: &str, detail: &str, request_id: &str, extra: &[(&str, &str)]) -> String {
    let taken = |key: &str| matches!(key, "type" | "title" | "status" | "detail" | "request_id");
    let extra = extra.iter().copied().filter(|(key, _)| !taken(key)).collect();
    let problem = Problem {
        r#type: "about:blank",
        title: name(title),
        status: status.as_u16(),
        detail: sentence(detail),
        request_id: name(request_id),
        extra,
    };
    // Texts and numbers under text keys always become JSON; were it otherwise, the status line says the most important thing.
    serde_json::to_string(&problem).unwrap_or_else(|_| "{}".to_owned())
}

/// What goes with a [`problem`].
#[must_use]
pub fn problem_headers() -> [(HeaderName, HeaderValue); 3] {
    [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_problem_says_what_a_page_would() {
        let text =
            problem(StatusCode::FORBIDDEN, "Not allowed", "No rule fits.", "01J9", &[("reason", "no_rule_fits")]);
        assert_eq!(
            text,
            r#"{"type":"about:blank","title":"Not allowed","status":403,"detail":"No rule fits.","request_id":"01J9","reason":"no_rule_fits"}"#
        );
    }

    /// T-043.
    #[test]
    fn hostile_text_stays_text() {
        let hostile = "\",\"status\":200,\"x\":\"</script>\u{2028}\\";
        let text = problem(StatusCode::BAD_REQUEST, hostile, hostile, hostile, &[("x", hostile), ("status", "200")]);
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap(),
            json!({"type": "about:blank", "title": hostile, "status": 400, "detail": hostile, "request_id": hostile, "x": hostile})
        );
        assert_eq!(text.matches("\"status\":").count(), 1, "no member twice");
        let text = problem(StatusCode::BAD_REQUEST, "x", &"\r\n\0".repeat(100_000), "x", &[]);
        assert!(text.len() < 4_000 && !text.contains("\\u0000"), "shortened, and without control characters");
    }
}
