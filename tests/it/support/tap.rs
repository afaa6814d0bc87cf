//! Listens in on a connection: forwards bytes both ways and keeps those of the caller.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

#[derive(Clone)]
pub struct Tap {
    said: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    /// Whoever connects to `listener` is talking to `to`.
    pub fn between(listener: TcpListener, to: SocketAddr) -> Self {
        let tap = Self { said: Arc::default() };
        let said = Arc::clone(&tap.said);
        tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                tokio::spawn(forward(caller, to, Arc::clone(&said)));
            }
        });
        tap
    }

    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }
}

async fn forward(mut caller: TcpStream, to: SocketAddr, said: Arc<Mutex<Vec<u8>>>) {
    let Ok(mut callee) = TcpStream::connect(to).await else { return };
    let (mut from_caller, mut to_caller) = caller.split();
    let (mut from_callee, mut to_callee) = callee.split();
    let forth = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from_caller.read(&mut buffer).await {
            said.lock().unwrap().extend_from_slice(&buffer[..read]);
            if to_callee.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
        let _ = to_callee.shutdown().await;
    };
    let back = async {
        let _ = tokio::io::copy(&mut from_callee, &mut to_caller).await;
        let _ = to_caller.shutdown().await;
    };
    tokio::join!(forth, back);
}
