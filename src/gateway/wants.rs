//! What kind of answer a caller can use: only a top-level navigation can be sent to a sign-in and come back.

use http::{HeaderMap, HeaderName, Method, header};

/// What kind of answer a caller can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    /// A navigation that can be sent elsewhere: GET or HEAD of a top-level page.
    Navigation,
    /// A page, but no redirect: a form was posted, and would be lost.
    Page,
    /// Anything else: a status and a problem document.
    Answer,
}

impl Wants {
    /// What `method` and `headers` tell (Fetch Metadata, or what browsers without it send).
    #[must_use]
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Self {
        let is = |name: HeaderName, value: &str| headers.get(name).is_some_and(|found| found == value);
        let is_safe = matches!(*method, Method::GET | Method::HEAD);
        let is_navigation = if headers.contains_key(SEC_FETCH_MODE) {
            is(SEC_FETCH_MODE, "navigate") && is(SEC_FETCH_DEST, "document")
        } else {
            is_safe && !headers.contains_key(X_REQUESTED_WITH) && accepts_html(headers)
        };
        match (is_navigation, is_safe) {
            (true, true) => Self::Navigation,
            (true, false) => Self::Page,
            (false, _) => Self::Answer,
        }
    }
}

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

fn accepts_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let mut parts = range.split(';');
            let is_html = parts.next().is_some_and(|media| media.trim().eq_ignore_ascii_case("text/html"));
            let is_refused = parts.any(|parameter| matches!(parameter.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
            is_html && !is_refused
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-109, T-110.
    #[test]
    fn only_a_top_level_navigation_is_sent_to_the_login() {
        const NAVIGATE: &[(&str, &str)] = &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        for (method, headers, wants) in [
            ("GET", NAVIGATE.to_vec(), Wants::Navigation),
            ("HEAD", NAVIGATE.to_vec(), Wants::Navigation),
            ("POST", NAVIGATE.to_vec(), Wants::Page),
            ("GET", vec![("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe"), HTML], Wants::Answer),
            ("GET", vec![("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), HTML], Wants::Answer),
            ("GET", vec![("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")], Wants::Answer),
            ("GET", vec![HTML], Wants::Navigation),
            ("GET", vec![("accept", "Text/HTML")], Wants::Navigation),
            ("GET", vec![("accept", "text/html;q=0, */*")], Wants::Answer),
            ("GET", vec![HTML, ("x-requested-with", "XMLHttpRequest")], Wants::Answer),
            ("POST", vec![HTML], Wants::Answer),
            ("PUT", vec![], Wants::Answer),
            ("GET", vec![("accept", "application/json")], Wants::Answer),
            ("GET", vec![("accept", "text/event-stream")], Wants::Answer),
            ("GET", vec![("accept", "*/*")], Wants::Answer),
            ("GET", vec![], Wants::Answer),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in &headers {
                map.append(*name, http::HeaderValue::from_static(value));
            }
            assert_eq!(Wants::of(&method.parse().unwrap(), &map), wants, "{method} {headers:?}");
        }
    }
}
