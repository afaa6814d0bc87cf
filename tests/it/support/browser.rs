//! A browser as far as HTTP goes: it keeps cookies, says what it navigates to, and never follows a redirect by itself.

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

use super::{Gate, soon};

/// Cookies by host and port (so that two gateways on loopback do not share any).
#[derive(Clone, Default)]
pub struct Browser {
    pub cookies: BTreeMap<(String, String), String>,
    /// Those that go along with whatever another site sends here (`SameSite=None`).
    cross_site: BTreeSet<(String, String)>,
    /// Hosts that are reached elsewhere than their name says: another replica has taken over.
    moved: BTreeMap<String, String>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
    pub url: Url,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The only form on the page: where it goes, and its hidden fields.
    pub fn form(&self) -> (String, Vec<(String, String)>) {
        let attribute = |text: &str, name: &str| {
            let value = text.split(&format!("{name}=\"")).nth(1).unwrap_or_default();
            unescaped(value.split('"').next().unwrap_or_default())
        };
        let form = self.body.split("<form").nth(1).unwrap_or_else(|| panic!("no form: {self:?}"));
        let hidden = form.split("<input type=\"hidden\"").skip(1).map(|input| input.split('>').next().unwrap());
        let fields = hidden.map(|input| (attribute(input, "name"), attribute(input, "value"))).collect();
        (self.url.join(&attribute(form, "action")).unwrap().into(), fields)
    }

    /// Where it leads, absolute.
    pub fn location(&self) -> String {
        self.url.join(self.header("location")).unwrap().into()
    }

    pub fn set_cookies(&self) -> Vec<&str> {
        self.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// The page as a person reads it: without the escapes of HTML.
    pub fn text(&self) -> String {
        let escapes =
            [("&#x2f;", "/"), ("&#x27;", "'"), ("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
        escapes.iter().fold(self.body.clone(), |text, (escape, sign)| text.replace(escape, sign))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Browser {
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on `gate` is reached at `replica`.
    pub fn moves(&mut self, gate: &Gate, replica: &Gate) {
        self.reaches(&gate.address.to_string(), replica);
    }

    /// From now on `authority` is reached at `gate`.
    pub fn reaches(&mut self, authority: &str, gate: &Gate) {
        self.reaches_at(authority, &gate.address.to_string());
    }

    /// From now on `authority` is reached at `address`.
    pub fn reaches_at(&mut self, authority: &str, address: &str) {
        self.moved.insert(authority.to_owned(), address.to_owned());
    }

    /// Takes the place of a cookie.
    pub fn set_cookie(&mut self, gate: &Gate, name: &str, value: &str) {
        self.cookies.insert((gate.address.to_string(), name.to_owned()), value.to_owned());
    }

    /// What the application learns when this browser asks for `/`: its user, or nothing at all.
    pub async fn user(&mut self, gate: &Gate) -> Option<String> {
        gate.upstream.take();
        let answer = self.get(&gate.url("/")).await;
        match answer.status.as_u16() {
            200 => Some(gate.upstream.take_one().one("x-user").expect("an X-User")),
            302 => {
                assert!(gate.upstream.take().is_empty());
                None
            }
            _ => panic!("{answer:?}"),
        }
    }

    /// A top-level navigation.
    pub async fn get(&mut self, url: &str) -> Answer {
        self.navigate(Method::GET, url, None, &[]).await
    }

    /// A posted form.
    pub async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Answer {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.navigate(Method::POST, url, Some(form), &[]).await
    }

    /// A form that another site's page posts here: most cookies stay at home.
    pub async fn post_across(&mut self, url: &str, form: &[(String, String)]) -> Answer {
        let all = self.cookies.clone();
        self.cookies.retain(|key, _| self.cross_site.contains(key));
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let answer = self.navigate(Method::POST, url, Some(form), &[("sec-fetch-site", "cross-site")]).await;
        for (key, value) in all.into_iter().filter(|(key, _)| !self.cross_site.contains(key)) {
            self.cookies.entry(key).or_insert(value);
        }
        answer
    }

    /// A navigation with more headers; a header given here replaces the browser's own, an empty value takes it away.
    pub async fn navigate(&mut self, method: Method, url: &str, form: Option<String>, more: &[(&str, &str)]) -> Answer {
        let mut headers = vec![
            ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
            ("sec-fetch-site", "none"),
        ];
        if form.is_some() {
            headers.push(("content-type", "application/x-www-form-urlencoded"));
            headers.push(("sec-fetch-site", "same-origin"));
        }
        headers.retain(|(name, _)| !more.iter().any(|(replaced, _)| replaced == name));
        headers.extend(more.iter().filter(|(_, value)| !value.is_empty()));
        let mut last = BTreeMap::new();
        for (name, value) in headers {
            last.insert(name, value);
        }
        let headers: Vec<_> = last.into_iter().collect();
        self.send(method, url, &headers, form.unwrap_or_default()).await
    }

    /// Any request, with the cookies this browser has for its host.
    pub async fn send(
        &mut self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let url = Url::parse(url).unwrap();
        let authority = format!("{}:{}", url.host_str().unwrap(), url.port_or_known_default().unwrap());
        let target = url[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
        let mut request = Request::builder().method(method).uri(target);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", &authority);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let cookies = self.cookies_for(&authority);
        if !cookies.is_empty() {
            request = request.header("cookie", cookies);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let exchange = async {
            let stream = TcpStream::connect(self.moved.get(&authority).unwrap_or(&authority)).await.unwrap();
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
            (parts, body.collect().await.unwrap().to_bytes())
        };
        let (parts, body) = soon(exchange).await;
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            self.keep(&authority, cookie.to_str().unwrap());
        }
        Answer { status: parts.status, headers: parts.headers, body: String::from_utf8_lossy(&body).into_owned(), url }
    }

    /// Begins at `url` of `gate` and signs in as `person` at its provider; the answer is the callback's.
    pub async fn sign_in_at(&mut self, url: &str, person: &str) -> Answer {
        let callback = self.begin(url, person).await;
        self.get(&callback).await
    }

    /// As [`Browser::sign_in_at`], from the root.
    pub async fn sign_in(&mut self, gate: &Gate, person: &str) -> Answer {
        self.sign_in_at(&gate.url("/"), person).await
    }

    /// Up to the callback's URL, which is not visited.
    pub async fn begin(&mut self, url: &str, person: &str) -> String {
        let page = self.reach_provider(url).await;
        self.choose(&page, &[("person", person)]).await
    }

    /// Up to the provider's page of people.
    pub async fn reach_provider(&mut self, url: &str) -> Answer {
        let mut answer = self.get(url).await;
        for _ in 0..3 {
            if answer.status.is_redirection() {
                answer = self.get(&answer.location()).await;
            }
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.contains("Who do you want to be?"), "{answer:?}");
        answer
    }

    /// Chooses on the provider's page; the answer is where it sends the browser.
    pub async fn choose(&mut self, page: &Answer, form: &[(&str, &str)]) -> String {
        let answer = self.decide(page, form).await;
        assert!(answer.status.is_redirection(), "{answer:?}");
        answer.location()
    }

    /// Chooses on the provider's page.
    pub async fn decide(&mut self, page: &Answer, form: &[(&str, &str)]) -> Answer {
        let attribute = |before: &str| unescaped(page.body.split(before).nth(1).unwrap().split('"').next().unwrap());
        let request = attribute("name=\"request\" value=\"");
        let action = page.url.join(&attribute("<form method=\"post\" action=\"")).unwrap();
        let mut fields = vec![("request", &*request)];
        fields.extend(form);
        self.post(action.as_str(), &fields).await
    }

    /// As someone else, with these claims.
    pub async fn sign_in_with(&mut self, gate: &Gate, sub: &str, claims: &serde_json::Value) -> Answer {
        let page = self.reach_provider(&gate.url("/")).await;
        let callback = self.choose(&page, &someone(sub, &claims.to_string())).await;
        self.get(&callback).await
    }

    /// The value of a cookie it keeps for `gate`.
    pub fn cookie(&self, gate: &Gate, name: &str) -> Option<&str> {
        self.cookies.get(&(gate.address.to_string(), name.to_owned())).map(String::as_str)
    }

    pub fn cookies_for(&self, authority: &str) -> String {
        let own = self.cookies.iter().filter(|((host, _), _)| host == authority);
        own.map(|((_, name), value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep(&mut self, authority: &str, cookie: &str) {
        let mut parts = cookie.split(';').map(str::trim);
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        let key = (authority.to_owned(), name.to_owned());
        let attributes: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
        let has = |attribute: &str| attributes.iter().any(|found| found == attribute);
        if has("samesite=none") && has("secure") {
            self.cross_site.insert(key.clone());
        }
        if has("max-age=0") {
            self.cookies.remove(&key);
        } else {
            self.cookies.insert(key, value.to_owned());
        }
    }
}

/// What the provider's page is told about somebody.
pub fn someone<'a>(sub: &'a str, claims: &'a str) -> [(&'a str, &'a str); 6] {
    [("person", "other"), ("sub", sub), ("email", ""), ("name", ""), ("groups", ""), ("claims", claims)]
}

fn unescaped(html: &str) -> String {
    let escapes = [("&#x2f;", "/"), ("&#x27;", "'"), ("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    escapes.iter().fold(html.to_owned(), |text, (escape, sign)| text.replace(escape, sign))
}
