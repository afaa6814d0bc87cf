//! Headers of a route's own: where the user is named, and by what the application knows the gateway.

use std::io::Write as _;

use crate::support::{Gate, Log};

const SECRET: &str = "hush: this is between us";

fn routes(secret_file: &str) -> String {
    format!(
        r#"
        [[routes]]
        path = "/"
        upstream = "UPSTREAM"
        [[routes]]
        path = "/named"
        upstream = "UPSTREAM"
        user_header = "X-Remote-Name"
        secret_headers.X-Proxy-Secret.value_file = "{secret_file}"
        secret_headers.X-Other.value = "second secret"
        [[routes]]
        path = "/open"
        upstream = "UPSTREAM"
        anonymous = true
        secret_headers.X-Proxy-Secret.value_file = "{secret_file}"
        "#
    )
}

async fn gate() -> Gate {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{SECRET}").unwrap();
    Gate::routing(&routes(file.path().to_str().unwrap()), &[]).await
}

/// T-001, T-002: what one route's application believes, nobody sends to any.
#[tokio::test]
async fn a_routes_own_headers_are_stripped_everywhere() {
    let gate = gate().await;
    let cookie = gate.cookie_of("ada").await;
    for forged in [
        "X-Remote-Name: admin",
        "x_remote_name: admin",
        "X.Remote.Name: admin",
        "X-Proxy-Secret: admin",
        "x_proxy_secret: admin\r\nX-PROXY-SECRET: admin",
        "X+Proxy+Secret: admin",
        "X-Other: admin",
        "X-User: admin",
        "Connection: X-Proxy-Secret, X-Remote-Name, X-Other, X-User",
    ] {
        for (target, user, name, secret, other) in [
            ("/", Some("ada"), None, None, None),
            ("/named/x", None, Some("ada"), Some(SECRET), Some("second secret")),
            ("/open/x", None, None, Some(SECRET), None),
        ] {
            assert_eq!(gate.ask(&format!("GET {target}"), &[&cookie, forged]).await.status, 200, "{forged}");
            let received = gate.upstream.take_one();
            for (header, value) in
                [("x-user", user), ("x-remote-name", name), ("x-proxy-secret", secret), ("x-other", other)]
            {
                assert_eq!(received.alike(header), Vec::from_iter(value), "{target} {header} {forged}");
            }
        }
    }
}

/// An application believes a header beside the secret only, so the secret comes with an upgrade and without a session, too.
#[tokio::test]
async fn the_secret_comes_with_every_request_of_its_route() {
    let gate = gate().await;
    let cookie = gate.cookie_of("ada").await;
    gate.upstream.answers("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    let websocket = ["Connection: Upgrade, X-Proxy-Secret", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
    for (target, headers) in [("/open", vec![]), ("/open", vec!["X-Proxy-Secret:"]), ("/named", vec![&*cookie])] {
        gate.ask(&format!("GET {target}"), &[&headers[..], &websocket].concat()).await;
        assert_eq!(gate.upstream.take_one().alike("x-proxy-secret"), [SECRET], "{target} {headers:?}");
    }
    let without = gate.ask("GET /named", &[]).await;
    assert_eq!((without.status, gate.upstream.take().len()), (401, 0));
}

/// Nothing secret in logs, at any level.
#[tokio::test]
async fn the_secret_is_in_no_log() {
    let log = Log::capture();
    let gate = gate().await;
    let cookie = gate.cookie_of("ada").await;
    for target in ["/named", "/open", "/"] {
        gate.ask(&format!("GET {target}"), &[&cookie, "X-Proxy-Secret: x"]).await;
    }
    assert_eq!(gate.upstream.take().len(), 3);
    let written = log.text();
    assert!(written.contains("/open"), "{written}");
    for secret in [SECRET, "hush", "second secret"] {
        assert!(!written.contains(secret), "{written}");
    }
}
