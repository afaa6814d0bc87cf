//! The built-in application of `doorward dev`: whatever is asked, it shows who the gateway said is asking and every
//! header that arrived. It keeps nothing and knows no paths.

use std::{io, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header::ACCEPT};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Serialize;
use tokio::net::TcpListener;

use super::{
    answer::{self, Answer},
    loopback::{self, HangUp},
    page::{Pages, Template},
};

/// The header that names the user.
const USER: &str = "x-user";
/// How long a request's body may pause. It is counted, not kept.
const BODY_PAUSE: Duration = Duration::from_secs(60);

/// Serves the page on `listener` until `stop` is ready. `sign_out_path` is where its link leads: `/_auth/logout`.
///
/// # Errors
/// [`NotLoopback`](super::NotLoopback) inside an [`io::Error`], and what asking the listener for its address may fail with.
pub async fn serve_headers_page(
    listener: TcpListener,
    sign_out_path: String,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let application = Arc::new(Application { pages: Pages::new(), sign_out_path });
    let handler = move |request| {
        let application = application.clone();
        async move { application.handle(request).await }
    };
    loopback::serve(listener, handler, stop).await
}

struct Application {
    pages: Pages,
    sign_out_path: String,
}

/// What is shown, as a page or as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    /// The first `X-User`.
    user: Option<String>,
    /// How many there were.
    users: usize,
    method: &'a str,
    target: String,
    /// `X-User` first, because it is what one looks for; the others as they came. Names in lower case.
    headers: Vec<Shows>,
    body_bytes: u64,
    sign_out: &'a str,
}

#[derive(Serialize)]
struct Shows {
    name: String,
    value: String,
}

impl Application {
    async fn handle(&self, request: Request<Incoming>) -> Result<Answer, HangUp> {
        let (head, body) = request.into_parts();
        // An answer before the end of an upload would have the peer's connection reset.
        let body_bytes = count(body).await?;
        let show = |(name, value): (&HeaderName, &HeaderValue)| Shows {
            name: name.to_string(),
            value: text(value.as_bytes()),
        };
        let mut headers: Vec<Shows> = head.headers.iter().map(show).collect();
        headers.sort_by_key(|header| header.name != USER);
        let shown = Shown {
            user: head.headers.get(USER).map(|value| text(value.as_bytes())),
            users: head.headers.get_all(USER).iter().count(),
            method: head.method.as_str(),
            target: head.uri.to_string(),
            headers,
            body_bytes,
            sign_out: &self.sign_out_path,
        };
        Ok(if wants_json(&head.headers) {
            answer::json(StatusCode::OK, &shown)
        } else {
            self.pages.show(StatusCode::OK, Template::Headers, &shown)
        })
    }
}

/// UTF-8 as it is, anything else marked as such.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn count(mut body: Incoming) -> Result<u64, HangUp> {
    let mut bytes = 0;
    loop {
        match tokio::time::timeout(BODY_PAUSE, body.frame()).await {
            Ok(Some(Ok(frame))) => bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Ok(None) => return Ok(bytes),
            Ok(Some(Err(_))) | Err(_) => return Err(HangUp),
        }
    }
}

/// JSON is for programs that ask for it; whoever accepts a page as well gets the page.
fn wants_json(headers: &HeaderMap) -> bool {
    let accepts = |wanted: &str| {
        let ranges = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
        let mut types = ranges.map(|range| range.split(';').next().unwrap_or_default().trim());
        types.any(|kind| kind.eq_ignore_ascii_case(wanted))
    };
    accepts("application/json") && !accepts("text/html")
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_SECURITY_POLICY;
    use serde_json::{Value, json};

    use super::*;
    use crate::dev::testing::{Caller, Stop};

    async fn started() -> (Caller, Stop) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let caller = Caller::new(listener.local_addr().unwrap());
        let stop = Stop::when(|stop| serve_headers_page(listener, "/_auth/logout".to_owned(), stop));
        (caller, stop)
    }

    #[tokio::test]
    async fn a_listener_for_everyone_is_refused() {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let error = serve_headers_page(listener, String::new(), std::future::ready(())).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[tokio::test]
    async fn the_page_says_who_you_are_and_escapes_it() {
        let (caller, _stop) = started().await;
        let request = caller.get("/any/path?x=%2F").header("x-user", "<b>ada</b>").header("x-groups", "a\"&'");
        let page = caller.send(request).await;
        assert_eq!(page.status, StatusCode::OK);
        for shown in ["&lt;b&gt;ada&lt;&#x2f;b&gt;", "a&quot;&amp;&#x27;", "x=%2F", "&#x2f;_auth&#x2f;logout"] {
            assert!(page.text().contains(shown), "{shown} in {}", page.text());
        }
        assert!(!page.text().contains("<b>"));
        let policy = page.header(CONTENT_SECURITY_POLICY.as_str());
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    }

    #[tokio::test]
    async fn nobody_is_called_nobody() {
        let (caller, _stop) = started().await;
        let page = caller.send(caller.get("/")).await;
        assert!(page.text().contains("Nobody said who you are"));
        assert!(!page.text().contains("Sign out"));
    }

    #[tokio::test]
    async fn programs_get_json_with_every_value() {
        let (caller, _stop) = started().await;
        let request = caller.post("/a?b", "text/plain", "12345").header("accept", "application/json");
        let answer = caller.send(request.header("x-user", "ada").header("x-user", "\u{d3}lafur")).await;
        let shown: Value = answer.json();
        assert_eq!(shown["user"], json!("ada"));
        assert_eq!(shown["users"], json!(2));
        assert_eq!(shown["method"], json!("POST"));
        assert_eq!(shown["target"], json!("/a?b"));
        assert_eq!(shown["body_bytes"], json!(5));
        let headers = shown["headers"].as_array().unwrap();
        assert_eq!(headers[0], json!({"name": "x-user", "value": "ada"}));
        assert_eq!(headers[1], json!({"name": "x-user", "value": "\u{d3}lafur"}));
    }

    #[test]
    fn json_is_for_those_who_ask_for_nothing_else() {
        for (accept, json) in [
            ("application/json", true),
            ("APPLICATION/JSON; q=0.9, */*", true),
            ("text/html, application/json", false),
            ("*/*", false),
            ("application/jsonp", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            assert_eq!(wants_json(&headers), json, "{accept}");
        }
    }
}
