//! Certificates of callers (RFC 8705 §3), over real TLS: only the key counts, and somebody else's certificate gets no connection.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ::aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use doorward::{
    body::Body,
    server::{self, Connection, Handler, Limits, Listen, Listener, Settings, Tls, tls::Acceptor},
};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, SignatureScheme, SupportedProtocolVersion,
    client::ResolvesClientCert,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::support::soon;

const NAME: &str = "app.example.com";

/// Answers with what it is told about the caller's certificate.
struct Told;

impl Handler for Told {
    async fn handle(&self, _: Request<Incoming>, on: &Connection) -> Response<Body> {
        Response::new(Body::from(said(on.client_certificate.as_ref().map(|hash| &hash[..]))))
    }
}

fn said(hash: Option<&[u8]>) -> String {
    format!("{hash:?}")
}

/// A certificate and a key, which need not belong together.
struct Shown {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Shown {
    fn new(chain: &[&CertificateDer<'static>], key: KeyPair) -> Self {
        Self { chain: chain.iter().map(|certificate| (*certificate).clone()).collect(), key }
    }

    fn self_signed(key: KeyPair) -> Self {
        let certificate = CertificateParams::new([]).unwrap().self_signed(&key).unwrap();
        Self::new(&[certificate.der()], key)
    }

    /// What the gateway should find out.
    fn hash(&self) -> String {
        said(Some(digest(&SHA256, &self.chain[0]).as_ref()))
    }
}

/// Shows what it has, and counts how often it was asked.
#[derive(Debug)]
struct Caller {
    shown: Option<Arc<CertifiedKey>>,
    asked: AtomicUsize,
}

impl Caller {
    fn new(shown: Option<&Shown>) -> Arc<Self> {
        let shown = shown.map(|Shown { chain, key }| {
            let der = PrivateKeyDer::Pkcs8(key.serialize_der().into());
            let key = aws_lc_rs::sign::any_supported_type(&der).unwrap();
            Arc::new(CertifiedKey::new(chain.clone(), key))
        });
        Arc::new(Self { shown, asked: AtomicUsize::new(0) })
    }

    fn was_asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Caller {
    fn resolve(&self, authorities: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        assert!(authorities.is_empty(), "callers choose by themselves");
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.shown.clone()
    }

    fn has_certs(&self) -> bool {
        self.shown.is_some()
    }
}

/// A listener that ends TLS.
struct Server {
    address: SocketAddr,
    acceptor: Acceptor,
    settings: Tls,
    roots: Arc<RootCertStore>,
    _folder: tempfile::TempDir,
    stop: CancellationToken,
}

impl Server {
    async fn start(client_certificates: bool) -> Self {
        let own = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            let path = Path::join(folder.path(), name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (cert, key) = (write("cert.pem", own.cert.pem()), write("key.pem", own.signing_key.serialize_pem()));
        let settings = Tls { cert, key, client_certificates };
        let mut roots = RootCertStore::empty();
        roots.add(own.cert.der().clone()).unwrap();

        let acceptor = Acceptor::load(&settings).unwrap();
        let listener = Listener::bind(&Listen::Tcp("127.0.0.1:0".to_owned())).unwrap();
        let address = listener.tcp_address().unwrap();
        let stop = CancellationToken::new();
        let serving = Settings {
            listen: Listen::Tcp(address.to_string()),
            tls: Some(settings.clone()),
            limits: Limits {
                header_bytes: 32 * 1024,
                header_count: 100,
                header_timeout: Duration::from_secs(10),
                idle_timeout: Duration::from_secs(75),
                connections: 100,
            },
            shutdown_grace: Duration::ZERO,
        };
        let (accepting, stopped) = (acceptor.clone(), stop.clone());
        tokio::spawn(async move {
            server::serve(listener, Arc::new(Told), &serving, Some(accepting), stopped).await;
        });
        Self { address, acceptor, settings, roots: Arc::new(roots), _folder: folder, stop }
    }

    fn reload(&mut self, client_certificates: bool) {
        self.settings.client_certificates = client_certificates;
        self.acceptor.reload(&self.settings).unwrap();
    }

    /// How `caller` connects; what it remembers of sessions goes with it.
    fn config(&self, caller: &Arc<Caller>, version: &'static SupportedProtocolVersion, is_http2: bool) -> ClientConfig {
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(Arc::clone(&self.roots))
            .with_client_cert_resolver(Arc::<Caller>::clone(caller));
        config.alpn_protocols = vec![if is_http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        config
    }

    /// What the handler was told, and how the connection began; `None` when there was no connection.
    async fn ask(&self, config: &ClientConfig) -> Option<(String, HandshakeKind)> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from(NAME).unwrap();
        let stream = soon(TlsConnector::from(Arc::new(config.clone())).connect(name, stream)).await.ok()?;
        let how = stream.get_ref().1.handshake_kind().unwrap();
        // With TLS 1.3 it is only now that the caller learns whether its certificate was accepted.
        Some((soon(exchange(stream)).await.ok()?, how))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn exchange(stream: TlsStream<TcpStream>) -> hyper::Result<String> {
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let request = Request::get(format!("https://{NAME}/")).body(Empty::<Bytes>::new()).unwrap();
    let stream = TokioIo::new(stream);
    let answer = if is_http2 {
        let (mut sender, connection) = conn::http2::handshake(TokioExecutor::new(), stream).await?;
        tokio::spawn(connection);
        sender.send_request(request).await?
    } else {
        let (mut sender, connection) = conn::http1::handshake(stream).await?;
        tokio::spawn(connection);
        sender.send_request(request).await?
    };
    let body = answer.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

const WAYS: [(&SupportedProtocolVersion, bool); 4] = [(&TLS12, false), (&TLS12, true), (&TLS13, false), (&TLS13, true)];

#[tokio::test]
async fn only_a_certificate_whose_key_the_caller_holds_counts() {
    let server = Server::start(true).await;
    let fresh = || KeyPair::generate().unwrap();
    let mine = Shown::self_signed(fresh());
    let theirs = Shown::new(&[&mine.chain[0]], fresh());
    let of_another_kind = Shown::new(&[&mine.chain[0]], KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap());
    let beside_mine = Shown::new(&[&mine.chain[0], &Shown::self_signed(fresh()).chain[0]], fresh());
    let mut cut = mine.chain[0].to_vec();
    cut.truncate(cut.len() - 1);
    let broken = Shown::new(&[&CertificateDer::from(cut)], fresh());
    let empty = Shown::new(&[&CertificateDer::from(Vec::new())], fresh());
    for (case, shown) in [
        ("somebody else's", theirs),
        ("somebody else's, of another kind", of_another_kind),
        ("somebody else's before one's own", beside_mine),
        ("one that cannot be read", broken),
        ("none at all", empty),
    ] {
        for (version, is_http2) in WAYS {
            let caller = Caller::new(Some(&shown));
            let answer = server.ask(&server.config(&caller, version, is_http2)).await;
            assert_eq!(answer, None, "{case}, {version:?}, HTTP/2: {is_http2}");
            assert_eq!(caller.was_asked(), 1, "{case}");
        }
    }

    let mut expired = CertificateParams::new([]).unwrap();
    (expired.not_before, expired.not_after) = (rcgen::date_time_ymd(2001, 1, 1), rcgen::date_time_ymd(2001, 2, 1));
    let key = fresh();
    let expired = expired.self_signed(&key).unwrap();
    let expired = Shown::new(&[expired.der()], key);
    let authority = CertifiedIssuer::self_signed(CertificateParams::new([]).unwrap(), fresh()).unwrap();
    let key = fresh();
    let issued = CertificateParams::new(["caller".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let alone = Shown::new(&[issued.der()], KeyPair::try_from(key.serialize_der()).unwrap());
    let issued = Shown::new(&[issued.der(), authority.der()], key);
    let beside_rubbish = Shown::new(&[&mine.chain[0], &CertificateDer::from(vec![0])], {
        KeyPair::try_from(mine.key.serialize_der()).unwrap()
    });
    for (case, shown) in [
        ("no certificate", None),
        ("self-signed", Some(mine)),
        ("expired", Some(expired)),
        ("by an authority that nobody knows", Some(alone)),
        ("with that authority", Some(issued)),
        ("with a chain that nobody reads", Some(beside_rubbish)),
        ("RSA", Some(Shown::self_signed(KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap()))),
        ("Ed25519", Some(Shown::self_signed(KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap()))),
        ("P-384", Some(Shown::self_signed(KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap()))),
    ] {
        let expected = shown.as_ref().map_or_else(|| said(None), Shown::hash);
        for (version, is_http2) in WAYS {
            let caller = Caller::new(shown.as_ref());
            let answer = server.ask(&server.config(&caller, version, is_http2)).await;
            let answer = answer.map(|(answer, _)| answer);
            assert_eq!(answer.as_ref(), Some(&expected), "{case}, {version:?}, HTTP/2: {is_http2}");
        }
    }
}

/// A caller that resumes a session does not show its certificate again, and still is who it was.
#[tokio::test]
async fn a_resumed_session_keeps_its_certificate() {
    let server = Server::start(true).await;
    let shown = Shown::self_signed(KeyPair::generate().unwrap());
    for (version, is_http2) in WAYS {
        for (shown, expected) in [(Some(&shown), shown.hash()), (None, said(None))] {
            let caller = Caller::new(shown);
            let config = server.config(&caller, version, is_http2);
            for (how, asked) in [(HandshakeKind::Full, 1), (HandshakeKind::Resumed, 0), (HandshakeKind::Resumed, 0)] {
                let (answer, began) = server.ask(&config).await.unwrap();
                // A first handshake may also have taken two rounds to agree on a group.
                assert_eq!(began == HandshakeKind::Resumed, how == HandshakeKind::Resumed, "{version:?}: {began:?}");
                assert_eq!((&answer, caller.was_asked()), (&expected, asked), "{version:?}, HTTP/2: {is_http2}");
            }
        }
    }
}

/// Who is not asked says nothing; and a session from before a reload is not resumed after it.
#[tokio::test]
async fn a_reload_decides_about_new_connections() {
    let mut server = Server::start(false).await;
    let shown = Shown::self_signed(KeyPair::generate().unwrap());
    for (version, is_http2) in WAYS {
        let caller = Caller::new(Some(&shown));
        let config = server.config(&caller, version, is_http2);
        for is_on in [false, true, false, true] {
            server.reload(is_on);
            let (answer, how) = server.ask(&config).await.unwrap();
            let expected = if is_on { shown.hash() } else { said(None) };
            assert_eq!(answer, expected, "{version:?}, HTTP/2: {is_http2}");
            assert_eq!(caller.was_asked(), usize::from(is_on));
            assert_ne!(how, HandshakeKind::Resumed);
        }
    }
}
