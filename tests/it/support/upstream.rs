//! An application that records every byte it receives and answers as it is told, or by the test's own hand.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::soon;

/// One request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// `GET /path HTTP/1.1`
    pub line: String,
    /// Names as they were spelled, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// Fields behind a chunked body.
    pub trailers: Vec<(String, Vec<u8>)>,
}

impl Received {
    /// All values of `name`, whatever its case.
    pub fn all(&self, name: &str) -> Vec<String> {
        let values = self.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        values.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    pub fn one(&self, name: &str) -> Option<String> {
        let mut all = self.all(name);
        assert!(all.len() <= 1, "{name} came {} times", all.len());
        all.pop()
    }

    /// All values of every header that some server takes for `name`: any case, any sign for `-`, in the trailers too.
    pub fn alike(&self, name: &str) -> Vec<String> {
        let plain = |name: &str| name.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let all = self.headers.iter().chain(&self.trailers).filter(|(found, _)| plain(found) == plain(name));
        all.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    pub fn method(&self) -> &str {
        self.line.split(' ').next().unwrap()
    }

    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }

    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap()
    }

    /// A parameter of the query, or of the form in the body.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let query = self.target().split_once('?').map_or("", |(_, query)| query);
        let form = url::form_urlencoded::parse(&self.body);
        let found = url::form_urlencoded::parse(query.as_bytes()).chain(form).find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned())
    }
}

#[derive(Clone)]
pub struct Upstream {
    address: SocketAddr,
    state: Arc<State>,
}

/// What is answered to a request, when that depends on it: an answer as raw bytes.
type Reply = Arc<dyn Fn(&Received) -> Vec<u8> + Send + Sync>;

struct State {
    received: Mutex<Vec<Received>>,
    bytes: Mutex<Vec<u8>>,
    answer: Mutex<Arc<[u8]>>,
    reply: Mutex<Option<Reply>>,
    by_hand: Mutex<Option<mpsc::UnboundedSender<Conversation>>>,
    connections: Mutex<usize>,
}

impl Upstream {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answer = &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello"[..];
        let state = State {
            received: Mutex::default(),
            bytes: Mutex::default(),
            answer: Mutex::new(answer.into()),
            reply: Mutex::default(),
            by_hand: Mutex::default(),
            connections: Mutex::default(),
        };
        let upstream = Self { address: listener.local_addr().unwrap(), state: Arc::new(state) };
        let serving = upstream.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *serving.state.connections.lock().unwrap() += 1;
                let conversation = Conversation {
                    request: Received::default(),
                    stream,
                    buffer: Vec::new(),
                    state: Arc::clone(&serving.state),
                };
                tokio::spawn(conversation.serve());
            }
        });
        upstream
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it answers from now on: raw bytes.
    pub fn answers(&self, bytes: impl AsRef<[u8]>) {
        *self.state.answer.lock().unwrap() = bytes.as_ref().into();
    }

    /// What it answers from now on, request by request: status, headers, body.
    pub fn replies(
        &self,
        reply: impl Fn(&Received) -> (u16, Vec<(&'static str, String)>, String) + Send + Sync + 'static,
    ) {
        let bytes = move |request: &Received| {
            let (status, headers, body) = reply(request);
            let mut answer = format!("HTTP/1.1 {status} .\r\nContent-Length: {}\r\n", body.len());
            for (name, value) in headers {
                answer.push_str(&format!("{name}: {value}\r\n"));
            }
            format!("{answer}\r\n{body}").into_bytes()
        };
        *self.state.reply.lock().unwrap() = Some(Arc::new(bytes));
    }

    /// From now on each request's head is handed over, and the test answers.
    pub fn by_hand(&self) -> mpsc::UnboundedReceiver<Conversation> {
        let (sender, conversations) = mpsc::unbounded_channel();
        *self.state.by_hand.lock().unwrap() = Some(sender);
        conversations
    }

    /// Everything received since the last call.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.state.received.lock().unwrap())
    }

    /// The only request received since the last call.
    #[track_caller]
    pub fn take_one(&self) -> Received {
        let mut all = self.take();
        assert_eq!(all.len(), 1, "requests received: {all:#?}");
        all.remove(0)
    }

    /// Not a byte has been received, ever (U0).
    #[track_caller]
    pub fn nothing(&self) {
        let bytes = self.bytes();
        assert!(bytes.is_empty(), "received: {:?}", String::from_utf8_lossy(&bytes));
    }

    /// Every byte that ever came, on whatever connection.
    pub fn bytes(&self) -> Vec<u8> {
        self.state.bytes.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        *self.state.connections.lock().unwrap()
    }
}

/// A connection from the gateway, `request` being the head of the request under way.
pub struct Conversation {
    pub request: Received,
    stream: TcpStream,
    buffer: Vec<u8>,
    state: Arc<State>,
}

impl Conversation {
    async fn serve(mut self) {
        while self.read_head().await.is_some() {
            let by_hand = self.state.by_hand.lock().unwrap().clone();
            if let Some(by_hand) = by_hand {
                let _ = by_hand.send(self);
                return;
            }
            if self.read_body().await.is_none() {
                return;
            }
            self.state.received.lock().unwrap().push(self.request.clone());
            let reply = self.state.reply.lock().unwrap().clone();
            let answer = match reply {
                Some(reply) => reply(&self.request).into(),
                None => Arc::clone(&self.state.answer.lock().unwrap()),
            };
            if self.stream.write_all(&answer).await.is_err() {
                return;
            }
            // An answer that says so ends with its connection.
            if answer.to_ascii_lowercase().windows(17).any(|window| window == b"connection: close") {
                return;
            }
        }
    }

    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        soon(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// The next `count` bytes behind the head.
    pub async fn hear(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            soon(self.more()).await.unwrap_or_else(|| panic!("the connection ended after {:?}", self.buffer));
        }
        self.buffer.drain(..count).collect()
    }

    /// What is behind the head already.
    pub fn pending(&self) -> &[u8] {
        &self.buffer
    }

    /// Waits until the gateway has closed the connection; what it said until then.
    pub async fn left(mut self) -> Vec<u8> {
        while soon(self.more()).await.is_some() {}
        self.buffer
    }

    async fn more(&mut self) -> Option<()> {
        let before = self.buffer.len();
        let read = self.stream.read_buf(&mut self.buffer).await.ok()?;
        self.state.bytes.lock().unwrap().extend_from_slice(&self.buffer[before..]);
        (read > 0).then_some(())
    }

    async fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Some(line[..at].to_vec());
            }
            self.more().await?;
        }
    }

    async fn fields(&mut self) -> Option<Vec<(String, Vec<u8>)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Some(fields);
            }
            // A line that is no field is recorded as a name: a test that looks for it finds it.
            let colon = line.iter().position(|&b| b == b':').unwrap_or(line.len());
            let value = line.get(colon + 1..).unwrap_or_default().trim_ascii().to_vec();
            fields.push((String::from_utf8_lossy(&line[..colon]).into_owned(), value));
        }
    }

    async fn read_head(&mut self) -> Option<()> {
        let line = String::from_utf8_lossy(&self.line().await?).into_owned();
        let headers = self.fields().await?;
        self.request = Received { line, headers, ..Received::default() };
        Some(())
    }

    async fn read_body(&mut self) -> Option<()> {
        if self.request.one("transfer-encoding").is_some() {
            assert!(self.request.all("content-length").is_empty(), "two lengths: {:?}", self.request);
            loop {
                let size = String::from_utf8(self.line().await?).unwrap();
                let size = usize::from_str_radix(size.trim(), 16).unwrap();
                if size == 0 {
                    self.request.trailers = self.fields().await?;
                    return Some(());
                }
                while self.buffer.len() < size + 2 {
                    self.more().await?;
                }
                self.request.body.extend(self.buffer.drain(..size));
                self.buffer.drain(..2);
            }
        }
        let length = self.request.one("content-length").map_or(0, |length| length.parse().unwrap());
        while self.buffer.len() < length {
            self.more().await?;
        }
        self.request.body = self.buffer.drain(..length).collect();
        Some(())
    }
}
