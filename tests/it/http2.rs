//! The same outcomes over HTTP/2 (T-034): prior knowledge, in the clear.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::support::{Gate, soon};

type Body = BoxBody<Bytes, std::convert::Infallible>;

async fn connect(gate: &Gate) -> SendRequest<Body> {
    let stream = TcpStream::connect(gate.address).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(gate: &Gate, method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(gate.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

fn empty() -> Body {
    Empty::new().boxed()
}

/// A body without a length.
fn chunks(parts: &'static [&'static str], trailers: Option<HeaderMap>) -> Body {
    let frames =
        parts.iter().map(|part| Frame::data(Bytes::from_static(part.as_bytes()))).chain(trailers.map(Frame::trailers));
    let frames: Vec<_> = frames.map(Ok::<_, std::convert::Infallible>).collect();
    Frames(frames.into()).boxed()
}

struct Frames(std::collections::VecDeque<Result<Frame<Bytes>, std::convert::Infallible>>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(self.0.pop_front())
    }
}

async fn ask(sender: &mut SendRequest<Body>, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let response: Response<Incoming> = soon(sender.send_request(request)).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = soon(body.collect()).await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn a_request_is_decided_as_over_http_1() {
    let gate = Gate::start().await;
    let mut sender = connect(&gate).await;
    let cookie = gate.cookie_of("ada").await.replace("Cookie: ", "");
    let navigate = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    let (status, headers, _) = ask(&mut sender, request(&gate, "GET", "/x?y", &navigate, empty())).await;
    assert_eq!((status.as_u16(), headers["location"].to_str().unwrap()), (302, "/_auth/login?rd=%2Fx%3Fy"));
    let (status, headers, _) = ask(&mut sender, request(&gate, "GET", "/x", &[], empty())).await;
    assert_eq!((status.as_u16(), headers["www-authenticate"].to_str().unwrap()), (401, "Bearer"));
    for (path, expected) in [("/a%zz", 400), ("//_auth/login", 400), ("/_auth/whoami", 401)] {
        let (status, ..) = ask(&mut sender, request(&gate, "GET", path, &[], empty())).await;
        assert_eq!(status, expected, "{path}");
    }
    let (status, ..) = ask(&mut sender, request(&gate, "TRACE", "/", &[("cookie", &cookie)], empty())).await;
    assert_eq!(status, 405);
    gate.upstream.nothing();

    let forged = [
        ("cookie", &*cookie),
        ("x-user", "admin"),
        ("x_user", "admin"),
        ("x-forwarded-for", "192.0.2.1"),
        ("te", "trailers"),
    ];
    let (status, _, body) = ask(&mut sender, request(&gate, "GET", "/a%2Fb//;c?", &forged, empty())).await;
    assert_eq!((status.as_u16(), &*body), (200, "hello"));
    let received = gate.upstream.take_one();
    assert_eq!((&*received.line, received.alike("x-user")), ("GET /a%2Fb//;c? HTTP/1.1", vec!["ada".to_owned()]));
    assert_eq!(received.one("host"), Some(gate.address.to_string()), "from :authority");
    assert_eq!(received.one("x-forwarded-host"), Some(gate.address.to_string()));
    assert_eq!(received.one("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!((received.one("te"), received.one("cookie")), (None, None));
}

/// RFC 9113 §8.2.3: cookie crumbs become one field, ours among them gone.
#[tokio::test]
async fn cookie_crumbs_are_put_together() {
    let gate = Gate::start().await;
    let mut sender = connect(&gate).await;
    let cookie = gate.cookie_of("ada").await.replace("Cookie: ", "");
    let crumbs = [
        ("cookie", "a=1"),
        ("cookie", &*cookie),
        ("cookie", "b=2; c=3"),
        ("cookie", "doorward-login=x"),
        ("cookie", "d=4"),
    ];
    let (status, ..) = ask(&mut sender, request(&gate, "GET", "/", &crumbs, empty())).await;
    assert_eq!(status, 200);
    assert_eq!(gate.upstream.take_one().one("cookie").as_deref(), Some("a=1; b=2; c=3; d=4"));
}

/// T-034, T-011: bodies of any form arrive, their trailers do not.
#[tokio::test]
async fn a_body_arrives_with_and_without_a_length() {
    let gate = Gate::start().await;
    let mut sender = connect(&gate).await;
    let cookie = gate.cookie_of("ada").await.replace("Cookie: ", "");
    let forged = HeaderMap::from_iter([(http::HeaderName::from_static("x-user"), HeaderValue::from_static("admin"))]);
    for method in ["POST", "GET", "DELETE"] {
        for (what, body) in [
            ("a length", Full::new(Bytes::from_static(b"hello")).boxed()),
            ("no length", chunks(&["he", "", "llo"], None)),
            ("trailers", chunks(&["hel", "lo"], Some(forged.clone()))),
        ] {
            let (status, ..) = ask(&mut sender, request(&gate, method, "/", &[("cookie", &cookie)], body)).await;
            assert_eq!(status, 200, "{method} {what}");
            let received = gate.upstream.take_one();
            assert_eq!((received.method(), &*received.body), (method, &b"hello"[..]), "{method} {what}");
            assert_eq!(
                (received.alike("x-user"), received.trailers.len()),
                (vec!["ada".to_owned()], 0),
                "{method} {what}"
            );
            assert_eq!(
                received.all("transfer-encoding").len() + received.all("content-length").len(),
                1,
                "{received:?}"
            );
        }
        let (status, ..) = ask(&mut sender, request(&gate, method, "/", &[], chunks(&["hello"], None))).await;
        assert_eq!((status.as_u16(), gate.upstream.take().len()), (401, 0), "{method}");
    }
}

/// T-040: a host in two places is one host or none.
#[tokio::test]
async fn two_hosts_are_none() {
    let gate = Gate::start().await;
    let mut sender = connect(&gate).await;
    let cookie = gate.cookie_of("ada").await.replace("Cookie: ", "");
    let two = [("cookie", &*cookie), ("host", "evil.com")];
    let (status, ..) = ask(&mut sender, request(&gate, "GET", "/", &two, empty())).await;
    assert_eq!(status, 400);
    let elsewhere = Request::builder().uri("http://evil.com/").header("cookie", &cookie).body(empty()).unwrap();
    assert_eq!(ask(&mut sender, elsewhere).await.0, 421);
    gate.upstream.nothing();
}

/// Many at once on one connection: everybody's own answer.
#[tokio::test]
async fn streams_do_not_mix() {
    let gate = Gate::start().await;
    let sender = connect(&gate).await;
    let (ada, grace) = (gate.cookie_of("ada").await, gate.cookie_of("grace").await);
    let mut streams = tokio::task::JoinSet::new();
    for n in 0..200 {
        let (who, cookie) = [("ada", &*ada), ("grace", &*grace), ("", "")][n % 3];
        let cookie = cookie.replace("Cookie: ", "");
        let (mut sender, request) =
            (sender.clone(), request(&gate, "GET", "/_auth/whoami", &[("cookie", &cookie)], empty()));
        streams.spawn(async move {
            let (status, _, body) = ask(&mut sender, request).await;
            match who {
                "" => assert_eq!(status, 401),
                who => assert!(body.contains(&format!("\"user\":\"{who}\"")), "{who}: {body}"),
            }
        });
    }
    while let Some(stream) = streams.join_next().await {
        stream.unwrap();
    }
}
