//! A place to connect to instead of a server: passes everything on, until told to misbehave.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use super::free_port;

/// Ends with this, and so does every connection through it.
pub struct Shim {
    address: SocketAddr,
    target: SocketAddr,
    faults: watch::Sender<Faults>,
    serving: Option<JoinHandle<()>>,
}

#[derive(Clone, Debug, Default)]
struct Faults {
    delay: Duration,
    cut_after: Option<usize>,
    is_hole: bool,
}

impl Shim {
    /// In front of the server at `port`.
    pub async fn before(port: u16) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut shim = Self {
            address,
            target: SocketAddr::from(([127, 0, 0, 1], port)),
            faults: watch::Sender::new(Faults::default()),
            serving: None,
        };
        shim.listen().await;
        shim
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// As `session.store` has it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Whoever asks waits so much longer.
    pub fn delay(&self, delay: Duration) {
        self.faults.send_modify(|faults| faults.delay = delay);
    }

    /// Every connection ends after so many more bytes of answers.
    pub fn cut_after(&self, bytes: usize) {
        self.faults.send_modify(|faults| faults.cut_after = Some(bytes));
    }

    /// Connections are accepted and stay, but nothing comes through.
    pub fn swallow(&self) {
        self.faults.send_modify(|faults| faults.is_hole = true);
    }

    /// Nobody listens, and whoever was connected no longer is.
    pub async fn refuse(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    /// All is well again. What was swallowed meanwhile arrives now.
    pub async fn heal(&mut self) {
        self.faults.send_replace(Faults::default());
        if self.serving.is_none() {
            self.listen().await;
        }
    }

    async fn listen(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let (target, faults) = (self.target, self.faults.subscribe());
        self.serving = Some(tokio::spawn(async move {
            // Connections end with the listener.
            let mut connections = JoinSet::new();
            while let Ok((caller, _)) = listener.accept().await {
                connections.spawn(pass_on(caller, target, faults.clone()));
                while connections.try_join_next().is_some() {}
            }
        }));
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

async fn pass_on(caller: TcpStream, target: SocketAddr, faults: watch::Receiver<Faults>) {
    let Ok(callee) = TcpStream::connect(target).await else { return };
    let (from_caller, to_caller) = caller.into_split();
    let (from_callee, to_callee) = callee.into_split();
    // Whichever side ends first ends both: nobody here keeps half a connection.
    tokio::select! {
        () = pump(from_caller, to_callee, faults.clone(), false) => {}
        () = pump(from_callee, to_caller, faults, true) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut faults: watch::Receiver<Faults>, is_answer: bool) {
    let mut buffer = vec![0; 64 * 1024];
    let mut passed_since_cut = 0;
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if faults.wait_for(|faults| !faults.is_hole).await.is_err() {
            return;
        }
        let Faults { delay, cut_after, is_hole: _ } = faults.borrow().clone();
        if !delay.is_zero() {
            tokio::time::sleep(delay / 2).await;
        }
        let mut chunk = &buffer[..read];
        let mut is_last = false;
        if let Some(limit) = cut_after.filter(|_| is_answer) {
            is_last = passed_since_cut + read >= limit;
            chunk = &chunk[..read.min(limit - passed_since_cut)];
            passed_since_cut += chunk.len();
        }
        if to.write_all(chunk).await.is_err() || is_last {
            return;
        }
    }
}
