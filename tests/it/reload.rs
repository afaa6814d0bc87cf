//! A new configuration without a restart (T-121): as a whole, or not at all.

use crate::support::{Caller, Gate, gate, soon, wire};

#[tokio::test]
async fn a_reload_changes_routes_and_keeps_sessions() {
    let gate = Gate::start().await;
    let mut browser = gate.signed_in("ada").await;
    let copy = browser.clone();
    assert_eq!(gate.ask("GET /public/x", &[]).await.status, 401);
    // Under way across the reload: what it began with is what it ends with.
    let mut conversations = gate.upstream.by_hand();
    let cookie = format!("Cookie: doorward={}", browser.cookie(&gate, "doorward").unwrap());
    let mut slow = Caller::connect(gate.address).await;
    slow.say(wire::request(&gate, "GET /slow", &[&cookie])).await;
    let mut upstream = soon(conversations.recv()).await.unwrap();

    gate.reload(gate.settings(&[("upstream", "-"), ("file", gate::ROUTES), ("headers.claims.x_email", "email")])).await;
    let mut stranger = Caller::connect(gate.address).await;
    stranger.say(wire::request(&gate, "GET /public/x", &["X-Email: admin"])).await;
    let mut anonymous = soon(conversations.recv()).await.unwrap();
    assert!(anonymous.request.alike("x-email").is_empty(), "the new header is guarded at once");
    for conversation in [&mut anonymous, &mut upstream] {
        conversation.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    }
    assert_eq!((stranger.answer().await.status, slow.answer().await.status), (200, 200));

    // Whoever was signed in still is; whoever is signed out now stays out after the next one.
    assert_eq!(browser.get(&gate.url("/_auth/whoami")).await.status, 200);
    browser.get(&gate.url("/_auth/logout")).await;
    gate.reload(gate.settings(&[])).await;
    let cookie = format!("Cookie: doorward={}", copy.cookie(&gate, "doorward").unwrap());
    assert_eq!(gate.ask("GET /_auth/whoami", &[&cookie]).await.status, 401);
    assert_eq!(gate.ask("GET /public/x", &[]).await.status, 401, "and the routes are the old ones again");
}

#[tokio::test]
async fn a_reload_that_cannot_be_applied_changes_nothing() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    let mut settings = gate.settings(&[("upstream", "-"), ("file", gate::ROUTES)]);
    settings.providers[0].ca = Some(b"no certificate".as_slice().into());
    gate.reload(settings).await;
    assert_eq!(gate.ask("GET /public/x", &[]).await.status, 401);
    assert_eq!(gate.ask("GET /public/x", &[&cookie]).await.status, 200);
}

/// T-077, without a restart and without anybody noticing: the new key first, then the old one away. What was sealed with it and not renewed since is over,
/// and so is its place in the listing; what was renewed goes on.
#[tokio::test]
async fn keys_rotate_by_a_reload() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let write = |key: &str| std::fs::write(&path, key).unwrap();
    let key_file = [("session.key", "-"), ("session.key_file", &*path), ("session.revalidate", "0s")];
    write(OLD_KEY);
    let gate = Gate::with(&key_file).await;
    let (mut used, mut unused) = (gate.signed_in("ada").await, gate.signed_in("grace").await);
    let first = used.cookie(&gate, "doorward").unwrap().to_owned();

    write(NEW_KEY);
    gate.reload(gate.settings(&[&key_file[..], &[("session.previous_keys", OLD_KEY)]].concat())).await;
    assert_eq!(used.user(&gate).await.as_deref(), Some("ada"));
    assert_eq!(used.cookie(&gate, "doorward"), Some(&*first), "an old key is no reason to seal anew");
    gate.advance(std::time::Duration::from_secs(600));
    assert_eq!(used.user(&gate).await.as_deref(), Some("ada"));
    assert_ne!(used.cookie(&gate, "doorward"), Some(&*first), "but with the next renewal it is");

    gate.reload(gate.settings(&key_file)).await;
    assert_eq!(used.user(&gate).await.as_deref(), Some("ada"));
    assert_eq!(unused.user(&gate).await, None);
    let page = used.get(&gate.url("/_auth/sessions")).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("this session"), "{page:?}");
}

const OLD_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";
const NEW_KEY: &str = "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb28";
