//! An administrator sees and ends sessions, at the operator's own listener.

use http::Method;
use serde_json::json;

use crate::support::{Browser, Gate, browser::Answer, wire};

const ADMIN: &[(&str, &str)] = &[("admin.listen", "127.0.0.1:0")];

/// As `curl -X METHOD http://127.0.0.1:PORT/PATH` asks.
async fn ask(gate: &Gate, method: Method, path: &str) -> Answer {
    let answer = Browser::new().send(method, &format!("http://{}{path}", gate.admin.unwrap()), &[], "").await;
    assert_eq!((answer.header("content-type"), answer.header("cache-control")), ("application/json", "no-store"));
    answer
}

#[tokio::test]
async fn pages_are_kept_away() {
    let gate = Gate::with(ADMIN).await;
    let mut browser = gate.signed_in("ada").await;
    let admin = gate.admin.unwrap();
    for headers in [
        "Host: evil.example",
        "Host: localhost.evil.example",
        "Host: 127.0.0.1\r\nOrigin: http://evil.example",
        "Host: 127.0.0.1\r\nOrigin: null",
        "Host: 127.0.0.1\r\nSec-Fetch-Site: cross-site",
        "Host: localhost\r\nSec-Fetch-Site: same-site",
        "Host: localhost\r\nSec-Fetch-Site: same-origin",
    ] {
        for line in ["GET /sessions?user=ada", "DELETE /sessions?user=ada", "DELETE /sessions?provider=dev"] {
            let answer = wire::send(admin, format!("{line} HTTP/1.1\r\n{headers}\r\n\r\n")).await;
            assert_eq!(answer.status, 403, "{line} {headers}: {}", answer.text());
        }
    }
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"));
    for headers in ["Host: localhost", "Host: 127.0.0.1:1\r\nSec-Fetch-Site: none", "Host: [::1]"] {
        let answer = wire::send(admin, format!("GET /sessions?user=ada HTTP/1.1\r\n{headers}\r\n\r\n")).await;
        assert_eq!(answer.status, 200, "{headers}: {}", answer.text());
    }
    // Probes may call it by any name, and learn nothing about anybody.
    assert_eq!(wire::send(admin, "GET /readyz HTTP/1.1\r\nHost: doorward.svc\r\n\r\n").await.text(), "ready\n");
}

#[tokio::test]
async fn what_is_not_asked_for_in_full_is_not_done() {
    let gate = Gate::with(ADMIN).await;
    let mut browser = gate.signed_in("ada").await;
    for (method, path, status, says) in [
        (Method::GET, "/sessions", 400, "`user`"),
        (Method::GET, "/sessions?user=", 400, "`user`"),
        (Method::DELETE, "/sessions", 400, "`user` or `provider`"),
        (Method::DELETE, "/sessions?user=ada&provider=dev", 400, "only one of them"),
        (Method::DELETE, "/sessions?user=ada&user=grace", 400, "more than once"),
        (Method::DELETE, "/sessions?provider=nobody", 404, "no provider of this name"),
        (Method::DELETE, "/sessions/00112233445566778899aabbccddeeff", 400, "`user`"),
        (Method::DELETE, "/sessions/00112233445566778899aabbccddeeff?user=ada", 404, "no such session"),
        (Method::DELETE, "/sessions/*?user=ada", 404, "no such session"),
        (Method::POST, "/sessions?user=ada", 405, "method"),
        (Method::GET, "/sessions/00112233445566778899aabbccddeeff?user=ada", 405, "method"),
    ] {
        let answer = ask(&gate, method.clone(), path).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert!(answer.json()["error"].as_str().unwrap().contains(says), "{method} {path}: {answer:?}");
    }
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"));
    let public = gate.ask("GET /sessions?user=ada", &[]).await;
    assert_eq!(public.status, 401, "not on the public listener");
}

#[tokio::test]
async fn one_session_of_a_user_ends() {
    let gate = Gate::with(ADMIN).await;
    let mut browser = gate.signed_in("ada").await;
    let mut phone = gate.signed_in("ada").await;
    let mut grace = gate.signed_in("grace").await;
    let list = ask(&gate, Method::GET, "/sessions?user=ada").await.json();
    assert_eq!((&list["user"], list["sessions"].as_array().unwrap().len()), (&json!("ada"), 2), "{list}");
    for name in ["id", "agent", "address", "provider", "signed_in", "seen"] {
        assert!(list["sessions"][0].get(name).is_some(), "{name}: {list}");
    }
    let whoami = |browser: &Browser| {
        let (mut browser, url) = (browser.clone(), gate.url("/_auth/sessions"));
        async move {
            let list = browser.send(Method::GET, &url, &[("accept", "application/json")], "").await.json();
            let own = list["sessions"].as_array().unwrap().iter().find(|one| one["current"] == json!(true)).unwrap();
            own["id"].as_str().unwrap().to_owned()
        }
    };
    let id = whoami(&phone).await;
    assert_eq!(ask(&gate, Method::DELETE, &format!("/sessions/{id}?user=grace")).await.status, 404, "another's");
    let answer = ask(&gate, Method::DELETE, &format!("/sessions/{id}?user=ada")).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"ended": "session", "spread": "everywhere"})));
    assert_eq!(phone.user(&gate).await, None);
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"));
    assert_eq!(grace.user(&gate).await.as_deref(), Some("grace"));
    assert_eq!(ask(&gate, Method::DELETE, &format!("/sessions/{id}?user=ada")).await.status, 404, "it has ended");
}

#[tokio::test]
async fn a_user_or_a_provider_ends_altogether() {
    let more = [ADMIN, &[("providers.other.issuer", "ISSUER"), ("providers.other.client_id", "x")]].concat();
    let gate = Gate::with(&more).await;
    let mut browser = gate.signed_in_at("ada", "dev").await;
    let mut grace = gate.signed_in_at("grace", "dev").await;
    let answer = ask(&gate, Method::DELETE, "/sessions?user=ada").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"ended": "user", "spread": "everywhere"})));
    assert_eq!(browser.user(&gate).await, None);
    assert_eq!(grace.user(&gate).await.as_deref(), Some("grace"));
    assert_eq!(ask(&gate, Method::GET, "/sessions?user=ada").await.json()["sessions"], json!([]));

    assert_eq!(ask(&gate, Method::DELETE, "/sessions?provider=other").await.json()["ended"], json!("provider"));
    assert_eq!(grace.user(&gate).await.as_deref(), Some("grace"), "signed in elsewhere");
    let answer = ask(&gate, Method::DELETE, "/sessions?provider=dev").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"ended": "provider", "spread": "everywhere"})));
    assert_eq!(grace.user(&gate).await, None);
    let mut again = gate.signed_in_at("grace", "dev").await;
    assert_eq!(again.user(&gate).await.as_deref(), Some("grace"), "a new sign-in counts");
}

/// A reload changes what the listener knows, not what has ended.
#[tokio::test]
async fn a_reload_is_seen() {
    let gate = Gate::with(ADMIN).await;
    let mut browser = gate.signed_in("ada").await;
    assert_eq!(ask(&gate, Method::DELETE, "/sessions?provider=other").await.status, 404);
    let other = [("providers.other.issuer", "ISSUER"), ("providers.other.client_id", "x")];
    gate.reload(gate.settings(&other)).await;
    assert_eq!(ask(&gate, Method::DELETE, "/sessions?provider=other").await.status, 200);
    assert_eq!(ask(&gate, Method::DELETE, "/sessions?user=ada").await.status, 200);
    assert_eq!(browser.user(&gate).await, None);
}

#[tokio::test]
async fn without_the_store_a_user_ends_here() {
    let gate = Gate::without_store(ADMIN).await;
    let mut browser = gate.signed_in("ada").await;
    assert_eq!(ask(&gate, Method::GET, "/sessions?user=ada").await.status, 503);
    let one = ask(&gate, Method::DELETE, "/sessions/00112233445566778899aabbccddeeff?user=ada").await;
    assert_eq!((one.status.as_u16(), one.header("retry-after")), (503, "1"));
    let answer = ask(&gate, Method::DELETE, "/sessions?user=ada").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"ended": "user", "spread": "here"})));
    assert_eq!(browser.user(&gate).await, None);
}
