//! Telling clients that somebody is logged out: behind the browser's back (Back-Channel Logout 1.0), or in frames of a page (Front-Channel
//! Logout 1.0).
//!
//! A browser that logs out here tells the other clients of its session by itself. Everything else is done by the program that embeds the provider:
//! who ends a session there, as an administrator would, decides what is said to whom, and when.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use url::Url;

use super::{
    Provider, State,
    authorization::with_query,
    faults::IdToken,
    grants::{Session, random_name},
    keys::compact,
    lock,
};
use crate::origin::is_loopback;

/// How long a logout token is good (Back-Channel Logout §2.4).
const LIFETIME: Duration = Duration::from_secs(120);
/// How long a client may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What refresh tokens came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refreshes {
    /// Became new tokens.
    pub granted: usize,
    /// Had been used before: what they belonged to was ended.
    pub reused: usize,
    /// Were unknown, expired, ended or another client's.
    pub refused: usize,
}

/// A word to one client that somebody is logged out.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The client.
    pub client: String,
    /// Where it is told, if it has such a place.
    pub uri: Option<String>,
    /// The signed logout token.
    pub logout_token: String,
}

impl Provider {
    /// What has come of refresh tokens so far.
    #[must_use]
    pub fn refreshes(&self) -> Refreshes {
        lock(&self.0.grants).refreshes
    }

    /// The sessions of `sub` here, as `sid` has them, in no order.
    #[must_use]
    pub fn sessions(&self, sub: &str) -> Vec<String> {
        let grants = lock(&self.0.grants);
        let own = grants.sessions.values().filter(|session| session.person.sub == sub);
        own.map(|session| session.sid.clone()).collect()
    }

    /// Ends everything of `sub`, as for somebody who is no longer here, and tells nobody: refresh tokens are refused from now on.
    pub fn revoke(&self, sub: &str) {
        lock(&self.0.grants).end_all(|grant| grant.person.sub == sub, |session| session.person.sub == sub);
    }

    /// Ends everything of `sub`: a word for each client where they were signed in, about all of their sessions (without `sid`).
    pub fn log_out(&self, sub: &str) -> Vec<Notice> {
        let mut clients: Vec<String> = {
            let grants = lock(&self.0.grants);
            let own = grants.sessions.values().filter(|session| session.person.sub == sub);
            own.flat_map(|session| session.clients.clone()).collect()
        };
        clients.sort_unstable();
        clients.dedup();
        self.revoke(sub);
        clients.iter().map(|client| self.0.notice(client, Some(sub), None)).collect()
    }

    /// Ends the session `sid`: a word for each client that it was signed in to.
    pub fn log_out_session(&self, sid: &str) -> Vec<Notice> {
        let session = lock(&self.0.grants).end(sid);
        session.map_or_else(Vec::new, |session| self.0.notices(&session))
    }

    /// A logout token for `client`, signed by the key that signs now, whatever is true of anybody.
    #[must_use]
    pub fn logout_token(&self, client: &str, sub: Option<&str>, sid: Option<&str>) -> String {
        self.0.logout_token(client, sub, sid)
    }

    /// Where the browser's frame tells `client` that the session `sid` is over (Front-Channel Logout §2, §3).
    #[must_use]
    pub fn frontchannel_logout(&self, client: &str, sid: &str) -> Option<String> {
        self.0.frontchannel_logout(client, sid)
    }
}

impl Notice {
    /// Tells the client; its answer's status.
    ///
    /// # Errors
    /// It has no place to be told at, this is not on loopback, or it does not answer within ten seconds.
    pub async fn send(&self) -> io::Result<StatusCode> {
        let uri = self.uri.as_deref().ok_or_else(|| io::Error::other("the client has no place to be told at"))?;
        tokio::time::timeout(PATIENCE, post(uri, &self.logout_token)).await?
    }
}

/// Back-Channel Logout §2.5.
async fn post(uri: &str, logout_token: &str) -> io::Result<StatusCode> {
    let url = Url::parse(uri).map_err(io::Error::other)?;
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(io::Error::other("the client's place is no URL to post to"));
    };
    if url.scheme() != "http" || !is_loopback(&url) {
        return Err(io::Error::other("the client's place is not on this machine"));
    }
    let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", logout_token).finish();
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let request = Request::post(target)
        .header("host", format!("{host}:{port}"))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(form)))
        .map_err(io::Error::other)?;
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(io::Error::other);
    connection.abort();
    Ok(answer?.status())
}

impl State {
    /// A word for each client of `session`.
    pub(super) fn notices(&self, session: &Session) -> Vec<Notice> {
        let (sub, sid) = (Some(session.person.sub.as_str()), Some(session.sid.as_str()));
        session.clients.iter().map(|client| self.notice(client, sub, sid)).collect()
    }

    fn notice(&self, client: &str, sub: Option<&str>, sid: Option<&str>) -> Notice {
        Notice {
            client: client.to_owned(),
            uri: self.client(client).and_then(|client| client.backchannel_logout_uri.clone()),
            logout_token: self.logout_token(client, sub, sid),
        }
    }

    pub(super) fn frontchannel_logout(&self, client: &str, sid: &str) -> Option<String> {
        let uri = self.client(client)?.frontchannel_logout_uri.as_ref()?;
        Some(with_query(uri, &[("iss", &self.name()), ("sid", sid)]))
    }

    /// Back-Channel Logout §2.4.
    fn logout_token(&self, client: &str, sub: Option<&str>, sid: Option<&str>) -> String {
        let now = self.clock.now();
        let mut claims = Map::from_iter([
            ("iss".to_owned(), json!(self.name())),
            ("aud".to_owned(), json!(client)),
            ("iat".to_owned(), json!(now.0)),
            ("exp".to_owned(), json!(now.plus(LIFETIME).0)),
            ("jti".to_owned(), json!(random_name())),
            ("events".to_owned(), json!({"http://schemas.openid.net/event/backchannel-logout": {}})),
        ]);
        claims.extend(sub.map(|sub| ("sub".to_owned(), json!(sub))));
        claims.extend(sid.map(|sid| ("sid".to_owned(), json!(sid))));
        let keys = lock(&self.keys).clone();
        let header = Map::from_iter([
            ("alg".to_owned(), json!("ES256")),
            ("typ".to_owned(), json!("logout+jwt")),
            ("kid".to_owned(), json!(keys.current().kid())),
        ]);
        let mut token = IdToken { header, claims };
        self.faults.change_logout_token(&mut token);
        let (header, claims) = (Value::Object(token.header).to_string(), Value::Object(token.claims).to_string());
        compact(header.as_bytes(), claims.as_bytes(), |input| keys.current().sign(input))
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::dangerous::insecure_decode;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::dev::provider::{
        Endpoint, Quirk,
        testing::{Running, request},
    };

    fn refresh(token: &Value) -> Vec<(&'static str, String)> {
        vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", token.as_str().unwrap().to_owned())]
    }

    async fn refreshed(op: &Running, tokens: &Value) -> Value {
        let form = refresh(&tokens["refresh_token"]);
        let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        op.token(&form).await.json()
    }

    #[tokio::test]
    async fn whoever_is_logged_out_has_nothing_left() {
        let op = Running::start().await;
        let (first, second) = (op.tokens().await, op.tokens().await);
        let sid = |tokens: &Value| {
            let token = insecure_decode::<Value>(tokens["id_token"].as_str().unwrap()).unwrap();
            token.claims["sid"].as_str().unwrap().to_owned()
        };
        assert_eq!(op.provider.sessions("ada").len(), 2);
        let notices = op.provider.log_out_session(&sid(&first));
        let [notice] = notices.as_slice() else { panic!("{notices:?}") };
        let token = insecure_decode::<Value>(&notice.logout_token).unwrap();
        let claims = &token.claims;
        assert_eq!(
            (&claims["aud"], &claims["sub"], &claims["sid"]),
            (&json!("app"), &json!("ada"), &json!(sid(&first)))
        );
        assert_eq!((token.header.typ.as_deref(), claims.get("nonce")), (Some("logout+jwt"), None));
        assert!(claims["events"]["http://schemas.openid.net/event/backchannel-logout"].is_object());
        assert_eq!(refreshed(&op, &first).await["error"], "invalid_grant");
        assert!(!op.is_active(first["access_token"].as_str().unwrap()).await);
        assert!(op.provider.log_out_session(&sid(&first)).is_empty(), "that was all");

        let second = refreshed(&op, &second).await;
        assert!(second["refresh_token"].is_string(), "{second}");
        let notices = op.provider.log_out("ada");
        let claims = insecure_decode::<Value>(&notices[0].logout_token).unwrap().claims;
        assert_eq!((notices.len(), &claims["sub"], claims.get("sid")), (1, &json!("ada"), None));
        assert_eq!(refreshed(&op, &second).await["error"], "invalid_grant");
        assert_eq!(op.provider.refreshes(), Refreshes { granted: 1, reused: 0, refused: 2 });
        assert!(op.provider.sessions("ada").is_empty());
    }

    #[tokio::test]
    async fn somebody_who_is_no_longer_here_gets_no_new_tokens() {
        let op = Running::start().await;
        let tokens = op.tokens().await;
        op.provider.revoke("grace");
        let tokens = refreshed(&op, &tokens).await;
        op.provider.revoke("ada");
        assert_eq!(refreshed(&op, &tokens).await["error"], "invalid_grant");
    }

    /// What providers differ in: whether a refresh token is replaced, what brings one, what else comes of it.
    #[tokio::test]
    async fn refresh_tokens_come_and_stay_in_other_ways_too() {
        let op = Running::start().await;
        let quirks = op.provider.quirks();
        quirks.add(Quirk::KeepsRefreshTokens);
        quirks.add(Quirk::BareRefreshes);
        let tokens = op.tokens().await;
        for _ in 0..2 {
            let again = refreshed(&op, &tokens).await;
            assert!(again["access_token"].is_string());
            assert_eq!((again.get("refresh_token"), again.get("id_token")), (None, None));
        }
        assert_eq!(op.provider.refreshes(), Refreshes { granted: 2, reused: 0, refused: 0 });

        quirks.add(Quirk::RefreshTokens(Some(("access_type".to_owned(), "offline".to_owned()))));
        let has = |changes: Vec<(&'static str, &'static str)>| {
            let op = &op;
            async move {
                let code = op.code(&request(&changes)).await;
                op.redeem(&code).await.json().get("refresh_token").is_some()
            }
        };
        assert!(!has(vec![]).await);
        assert!(has(vec![("access_type", "offline")]).await);
        quirks.add(Quirk::RefreshTokens(None));
        assert!(has(vec![("scope", "openid")]).await);
    }

    #[tokio::test]
    async fn a_client_is_told_where_it_wants_to_be() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = format!("http://{}/told?by=op", listener.local_addr().unwrap());
        let notice = |uri: Option<&str>| Notice {
            client: "app".to_owned(),
            uri: uri.map(str::to_owned),
            logout_token: "a.b.c".to_owned(),
        };
        for uri in [None, Some("http://app.example.com/told"), Some("https://127.0.0.1:1/told"), Some("not a URL")] {
            assert!(notice(uri).send().await.is_err(), "{uri:?}");
        }
        let client = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut got = String::new();
            while !got.ends_with("logout_token=a.b.c") {
                let mut bytes = [0; 1_024];
                let read = stream.read(&mut bytes).await.unwrap();
                assert!(read > 0, "{got}");
                got.push_str(str::from_utf8(&bytes[..read]).unwrap());
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            got
        });
        assert_eq!(notice(Some(&place)).send().await.unwrap(), StatusCode::NO_CONTENT);
        assert!(client.await.unwrap().starts_with("POST /told?by=op HTTP/1.1\r\n"));
    }

    #[tokio::test]
    async fn a_logout_token_can_be_anything() {
        let op = Running::start().await;
        op.provider.faults().next_logout_token(|header, claims| {
            header.remove("typ");
            claims.insert("nonce".to_owned(), json!("n"));
        });
        let token = insecure_decode::<Value>(&op.provider.logout_token("app", None, Some("s"))).unwrap();
        assert_eq!((token.header.typ, &token.claims["nonce"]), (None, &json!("n")));
        let metadata = op.get(Endpoint::Discovery).await.json();
        for member in ["backchannel_logout_supported", "backchannel_logout_session_supported"] {
            assert_eq!(metadata[member], true, "{member}");
        }
    }
}
