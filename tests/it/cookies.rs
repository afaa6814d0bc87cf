//! Cookies in both directions (C.1, C.9): ours stay with us, all others stay as they are.

use crate::support::Gate;

/// T-017: our cookies are ours to set.
#[tokio::test]
async fn the_application_cannot_set_our_cookies() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    gate.upstream.answers(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: doorward=evil\r\nset-cookie: doorward-login=evil; Path=/\r\n\
         Set-Cookie: DOORWARD=evil\r\nSet-Cookie: doorward =evil\r\nSet-Cookie: =doorward=evil\r\nSet-Cookie: doorward; Max-Age=0\r\n\
         Set-Cookie: doorwards=2\r\nSet-Cookie: b=doorward=3\r\n\r\nok",
    );
    let answer = gate.ask("GET /", &[&cookie]).await;
    assert_eq!(answer.all("set-cookie"), ["a=1; Path=/", "doorwards=2", "b=doorward=3"]);
}

/// Every cookie that is not ours is the application's business, down to the last odd byte.
#[tokio::test]
async fn cookies_of_others_stay_byte_for_byte() {
    let gate = Gate::start().await;
    let session = gate.cookie_of("ada").await.replace("Cookie: ", "");
    for (sent, received) in [
        ("SESSION", None),
        ("SESSION; doorward-login=x", None),
        ("a=1; SESSION", Some("a=1")),
        ("SESSION; a=1", Some("a=1")),
        ("a=1; SESSION; b=2", Some("a=1; b=2")),
        ("a=1;SESSION;b=2", Some("a=1;b=2")),
        ("a=1;;  b = 2 ; =; c; d=\"x;y\"; SESSION", Some("a=1;;  b = 2 ; =; c; d=\"x;y\"")),
        ("doorwards=1; SESSION; xdoorward=2; Doorward=3", Some("doorwards=1; xdoorward=2; Doorward=3")),
        ("a=1; a=1; SESSION; a=2", Some("a=1; a=1; a=2")),
        ("doorward=other; SESSION; a=1", Some("a=1")),
    ] {
        let sent = sent.replace("SESSION", &session);
        assert_eq!(gate.ask("GET /", &[&format!("Cookie: {sent}")]).await.status, 200, "{sent}");
        assert_eq!(gate.upstream.take_one().one("cookie").as_deref(), received, "{sent}");
    }
}

/// T-103: nothing a cookie header may hold is more than no session.
#[tokio::test]
async fn a_cookie_header_of_rubbish_is_no_session() {
    let gate = Gate::with(&[("limits.header_bytes", "128KiB")]).await;
    let many = (0..5_000).map(|n| format!("c{n}=1")).collect::<Vec<_>>().join("; ");
    for cookies in
        [";;;", "=", ";=;", "   ", "doorward", "doorward;doorward", "\u{e9}=\u{e9}", &many, &"x".repeat(65_536)]
    {
        let answer = gate.ask("GET /", &[&format!("Cookie: {cookies}")]).await;
        assert_eq!(answer.status, 401, "{:.40}", cookies);
    }
    gate.upstream.nothing();
}
