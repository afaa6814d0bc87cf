//! A stranger with a raw socket: says any bytes, understands any HTTP/1.1 answer.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Gate, soon};

/// One connection.
pub struct Caller<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug, Default)]
pub struct Raw {
    /// 0 when the connection ended without an answer.
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// What went wrong while the body was read, if anything: it was cut off.
    pub is_cut: bool,
}

impl Raw {
    pub fn header(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_default()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        values.map(|(_, value)| value.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends `bytes` on a connection of their own; the answer, and whether the gateway has closed the connection behind it is not waited for.
pub async fn send(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Raw {
    let mut caller = Caller::connect(address).await;
    caller.say(bytes).await;
    caller.answer().await
}

/// A request by hand: `line` is method and target, `headers` whole lines.
pub fn request(gate: &Gate, line: &str, headers: &[&str]) -> Vec<u8> {
    let mut text = format!("{line} HTTP/1.1\r\nHost: {}\r\n", gate.address);
    for header in headers.iter().filter(|header| !header.is_empty()) {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

impl Caller {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::on(TcpStream::connect(address).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Caller<S> {
    pub fn on(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        // The gateway may refuse and close before everything has been written.
        let _ = soon(self.stream.write_all(bytes.as_ref())).await;
        let _ = self.stream.flush().await;
    }

    /// Says no more, but listens.
    pub async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Says and hears once.
    pub async fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Raw {
        self.say(bytes).await;
        self.answer().await
    }

    /// The next final answer; informational ones before it are skipped.
    pub async fn answer(&mut self) -> Raw {
        loop {
            let mut answer = self.head().await;
            match answer.status {
                100 | 102..=199 => continue,
                0 | 101 | 204 | 304 => return answer,
                _ => {
                    answer.is_cut = soon(self.body(&mut answer)).await.is_none();
                    return answer;
                }
            }
        }
    }

    /// The next head, informational ones included.
    pub async fn head(&mut self) -> Raw {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            if soon(self.more()).await.is_none() {
                return Raw::default();
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(':').unwrap_or((line, "")));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
        Raw { status, headers, ..Raw::default() }
    }

    /// The next `count` bytes.
    pub async fn hear(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            soon(self.more()).await.unwrap_or_else(|| panic!("the connection ended after {:?}", self.buffer));
        }
        self.buffer.drain(..count).collect()
    }

    /// Waits until the gateway has closed the connection; what it said until then.
    pub async fn left(mut self) -> Vec<u8> {
        while soon(self.more()).await.is_some() {}
        self.buffer
    }

    async fn body(&mut self, answer: &mut Raw) -> Option<()> {
        if !answer.header("transfer-encoding").is_empty() {
            loop {
                let line = self.line().await?;
                let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
                self.fill(size).await?;
                answer.body.extend(self.buffer.drain(..size));
                self.line().await?;
                if size == 0 {
                    return Some(());
                }
            }
        }
        match answer.header("content-length").parse() {
            Ok(length) => {
                self.fill(length).await?;
                answer.body = self.buffer.drain(..length).collect();
            }
            // To the end of the connection.
            Err(_) => {
                while self.more().await.is_some() {}
                answer.body = std::mem::take(&mut self.buffer);
            }
        }
        Some(())
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

    async fn fill(&mut self, length: usize) -> Option<()> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        Some(())
    }

    async fn more(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.buffer).await.ok()?;
        (read > 0).then_some(())
    }
}
