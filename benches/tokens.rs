//! What tokens cost, in this process and without a gateway around them: `cargo bench --bench tokens [-- PART...]`, half a minute.
//!
//! Figures are medians of alternating rounds, to be read beside each other: nothing here fails because something was slow. It fails when a
//! token was judged wrongly. Let nothing else run meanwhile. Parts: `memory`, `first`, `again`, `flood`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement that cannot go on should stop, and it speaks to a terminal"
)]

mod figures;

use std::{
    fs,
    hint::black_box,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use doorward::{
    clock::{Clock, UnixTime},
    identity::{Identity, ProviderName, ProviderTag, UserId},
    origin::Origin,
    outgoing,
    providers::{Bearer, BearerMethod, Limits, Providers, Settings},
    secret::{Secret, random},
    sessions::{self, Session, SessionId, Sessions, SubjectTag},
    tokens::{Realm, Tokens, presented::presented},
};
use figures::{heading, mib, quantile, table};
use http::{HeaderMap, header};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto, jwk::Jwk};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

const NOW: UnixTime = UnixTime(1_800_000_000);
/// The default of `tokens.answers`.
const ANSWERS: usize = 10_000;
/// Between two fetches of the keys.
const MIN_INTERVAL: Duration = Duration::from_secs(30);

type Part = fn(&World);
const PARTS: [(&str, Part); 4] = [("memory", memory), ("first", first), ("again", again), ("flood", flood)];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --all-targets` comes by without it, and means no half a minute.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let asked: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    if let Some(unknown) = asked.iter().find(|asked| PARTS.iter().all(|(name, _)| name != *asked)) {
        panic!("no part is called `{unknown}`");
    }
    let world = World::new();
    for (name, measure) in PARTS {
        if asked.is_empty() || asked.iter().any(|asked| *asked == name) {
            measure(&world);
        }
    }
}

// --- parts -----------------------------------------------------------------------------------------------------------------------

/// First, so that nothing that others gave back hides what this takes.
fn memory(world: &World) {
    const TOKENS: usize = 100_000;
    heading(&format!("Memory: {TOKENS} distinct good tokens (ES256), `answers` = {ANSWERS}"));
    let one_thread = one_thread();
    let realm = world.realm(&one_thread, &Clock::stopped(NOW));
    let signer = world.signer(Algorithm::ES256);
    let mut names = 0..;
    let mut look_up = |tokens: &Tokens, count| {
        for name in names.by_ref().take(count) {
            good(&one_thread, tokens, &realm, &signer.sign(&world.claims(name)));
        }
    };
    // What the first tokens set up belongs to nobody's answer.
    look_up(&Tokens::new(100, Clock::stopped(NOW)), 1_000);

    let before = resident();
    let tokens = Tokens::new(ANSWERS, Clock::stopped(NOW));
    let mut rows = Vec::new();
    let mut seen = 0;
    for count in [ANSWERS, TOKENS / 2, TOKENS] {
        look_up(&tokens, count - seen);
        seen = count;
        let (kept, grown) = (kept(&tokens), resident().saturating_sub(before));
        let each = grown as f64 / kept as f64;
        rows.push(vec![count.to_string(), mib(before), mib(before + grown), kept.to_string(), format!("{each:.0}")]);
    }
    table(&["tokens seen", "MiB before", "MiB after", "answers kept", "bytes each"], &rows);
}

fn first(world: &World) {
    const TOKENS: usize = 100;
    const ROUNDS: usize = 100;
    heading(&format!(
        "Tokens seen for the first time: {ROUNDS} rounds × {TOKENS} tokens, one thread, µs of each (aim for the difference: at most 10)"
    ));
    let one_thread = one_thread();
    let realm = world.realm(&one_thread, &Clock::stopped(NOW));
    let row = |signer: &Signer| {
        // One round more: the first does not count.
        let signed: Vec<String> = (0..(ROUNDS + 1) * TOKENS).map(|name| signer.sign(&world.claims(name))).collect();
        let bytes = signed.iter().map(String::len).sum::<usize>() / signed.len();
        let key = signer.decoding_key();
        let mut rounds = signed.chunks(TOKENS);
        let mut check = || {
            for token in rounds.next().unwrap() {
                let (message, signature) = black_box(token).rsplit_once('.').unwrap();
                assert!(crypto::verify(signature, message.as_bytes(), &key, signer.algorithm).unwrap());
            }
        };
        let mut rounds = signed.chunks(TOKENS);
        let tokens = Tokens::new(ANSWERS, Clock::stopped(NOW));
        let mut look_up = || {
            one_thread.block_on(async {
                for token in rounds.next().unwrap() {
                    assert!(tokens.look_up(&realm, black_box(token)).await.outcome.is_ok());
                }
            });
        };
        let [check, look_up] = alternating(ROUNDS, TOKENS, [&mut check, &mut look_up]);
        let more: Vec<f64> = look_up.iter().zip(&check).map(|(look_up, check)| look_up - check).collect();
        let us = |seconds: &[f64]| format!("{:.1}", median(seconds) * 1e6);
        vec![format!("{:?}", signer.algorithm), bytes.to_string(), us(&check), us(&look_up), us(&more)]
    };
    // Memory that this process has never used costs time once, and a gateway has used it: the first row is for that.
    drop(world.signers.first().map(row));
    let rows: Vec<_> = world.signers.iter().map(row).collect();
    table(&["algorithm", "bytes", "signature check alone", "look-up", "difference"], &rows);
}

fn again(world: &World) {
    const TIMES: usize = 10_000;
    const ROUNDS: usize = 50;
    heading(&format!(
        "A token seen before, beside a session cookie: {ROUNDS} rounds × {TIMES}, one thread, ns of each"
    ));
    let clock = Clock::stopped(NOW);
    let one_thread = one_thread();
    let realm = world.realm(&one_thread, &clock);
    let tokens = Tokens::new(ANSWERS, clock.clone());
    let token = world.signer(Algorithm::ES256).sign(&world.claims(0));
    good(&one_thread, &tokens, &realm, &token);
    let with_token = HeaderMap::from_iter([(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap())]);
    let (sessions, with_cookie) = session();

    let mut find = || {
        for _ in 0..TIMES {
            assert!(sessions.find(black_box(&with_cookie), clock.now()).is_some());
        }
    };
    let mut look_up = || {
        one_thread.block_on(async {
            for _ in 0..TIMES {
                assert!(tokens.look_up(&realm, black_box(&token)).await.outcome.is_ok());
            }
        });
    };
    let mut read_and_look_up = || {
        one_thread.block_on(async {
            for _ in 0..TIMES {
                let presented = presented(black_box(&with_token)).unwrap().unwrap();
                assert!(tokens.look_up(&realm, presented.token).await.outcome.is_ok());
            }
        });
    };
    let names =
        ["cookie: `Sessions::find`", "token: `Tokens::look_up`", "token: its header read, and `Tokens::look_up`"];
    let figures =
        alternating(ROUNDS, TIMES, [&mut find, &mut look_up, &mut read_and_look_up]).map(|round| median(&round));
    let [cookie, ..] = figures;
    let row = |(name, seconds): (&str, f64)| {
        vec![name.to_owned(), format!("{:.0}", seconds * 1e9), format!("{:.2}", seconds / cookie)]
    };
    table(&["what", "ns", "ratio"], &names.into_iter().zip(figures).map(row).collect::<Vec<_>>());
}

fn flood(world: &World) {
    const TOKENS: usize = 10_000;
    const INTERVALS: usize = 4;
    const FLOODING: usize = 16;
    heading(&format!(
        "{TOKENS} tokens with a made-up `kid` from {FLOODING} tasks while another looks up a good one again and again, two threads (aim: one fetch of the keys per interval at most)"
    ));
    let two_threads = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let clock = Clock::stopped(NOW);
    let realm = Arc::new(world.realm(&two_threads, &clock));
    let tokens = Arc::new(Tokens::new(ANSWERS, clock.clone()));
    let token = world.signer(Algorithm::ES256).sign(&world.claims(0));
    let made_up: Vec<String> = (0..TOKENS).map(|name| made_up(&world.claims(name), name)).collect();
    let made_up = Arc::new(made_up);
    // Both are there: nothing below waits for the provider because nothing is known yet.
    good(&two_threads, &tokens, &realm, &token);

    // The good one, until somebody says stop: seconds of each look-up.
    let watched = || {
        let stop = Arc::new(AtomicBool::new(false));
        let (realm, tokens, token) = (Arc::clone(&realm), Arc::clone(&tokens), token.clone());
        let stopped = Arc::clone(&stop);
        let task = two_threads.spawn(async move {
            let mut took = Vec::with_capacity(1 << 20);
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                let answer = tokens.look_up(&realm, &token).await;
                took.push(began.elapsed().as_secs_f64());
                assert!(answer.outcome.is_ok());
                tokio::task::yield_now().await;
            }
            took
        });
        let ended = move |runtime: &Runtime| {
            stop.store(true, Ordering::Relaxed);
            runtime.block_on(task).unwrap()
        };
        (Instant::now(), ended)
    };
    let row = |name: &str, mut took: Vec<f64>, lasted: Duration, fetches: String| {
        took.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| format!("{:.2}", quantile(&took, share) * 1e6);
        let milliseconds = format!("{:.0}", lasted.as_secs_f64() * 1e3);
        vec![name.to_owned(), milliseconds, took.len().to_string(), at(0.5), at(0.99), fetches]
    };

    let fetched = world.fetched.load(Ordering::Relaxed);
    let (began, ended) = watched();
    let flooding: Vec<_> = (0..FLOODING)
        .map(|task| {
            let (realm, tokens, made_up, clock) =
                (Arc::clone(&realm), Arc::clone(&tokens), Arc::clone(&made_up), clock.clone());
            two_threads.spawn(async move {
                for (number, token) in made_up.iter().enumerate().skip(task).step_by(FLOODING) {
                    // Each quarter of the flood finds the provider as it may be asked once more.
                    if number % (TOKENS / INTERVALS) == 0 {
                        clock.advance(MIN_INTERVAL);
                    }
                    assert!(tokens.look_up(&realm, token).await.outcome.is_err());
                }
            })
        })
        .collect();
    for task in flooding {
        two_threads.block_on(task).unwrap();
    }
    let lasted = began.elapsed();
    let took = ended(&two_threads);
    let fetches = world.fetched.load(Ordering::Relaxed) - fetched;
    let with = row("with the flood", took, lasted, format!("{fetches} in {INTERVALS} intervals"));

    let (began, ended) = watched();
    thread::park_timeout(lasted);
    let without = row("without", ended(&two_threads), began.elapsed(), "0".to_owned());
    table(&["", "ms in all", "good look-ups", "µs p50", "µs p99", "fetches of the keys"], &[without, with]);
}

// --- the provider ----------------------------------------------------------------------------------------------------------------

/// A provider on a socket of this machine: its metadata, its keys, and what signs for it.
struct World {
    issuer: String,
    signers: Vec<Signer>,
    /// How often its keys have been asked for.
    fetched: Arc<AtomicUsize>,
}

impl World {
    fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let signers = vec![Signer::es256(), Signer::rs256(), Signer::eddsa()];
        let metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
        });
        let keys = json!({ "keys": signers.iter().map(Signer::jwk).collect::<Vec<_>>() });
        let fetched = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&fetched);
        // It ends with the process.
        let _serving = thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that gives up is not the provider's trouble.
                let _over = answer(stream, &metadata, &keys, &counted);
            }
        });
        Self { issuer, signers, fetched }
    }

    fn signer(&self, algorithm: Algorithm) -> &Signer {
        self.signers.iter().find(|signer| signer.algorithm == algorithm).unwrap()
    }

    /// A realm of this provider alone, whose keys are there. Its own, so that no part finds what another one left.
    fn realm(&self, runtime: &Runtime, clock: &Clock) -> Realm {
        let name = ProviderName::parse("op").unwrap();
        let limits = Limits {
            timeout: Duration::from_secs(10),
            answer_bytes: 256 * 1024,
            renew_after: Duration::from_secs(3_600),
            min_interval: MIN_INTERVAL,
            concurrency: 8,
        };
        let bearer = Bearer {
            method: BearerMethod::Jwt,
            introspection: None,
            audiences: [].into(),
            audience_claim: "aud".into(),
            clients: [].into(),
            issuers: Vec::new(),
            plain_jwt: false,
            id_tokens: false,
            userinfo_fallback: false,
            recheck: Duration::from_secs(60),
            insecure_any_audience: false,
        };
        let settings = Settings { bearer: Some(bearer), ..Settings::standard(name, &self.issuer, "us", limits) };
        let uri = |_: &ProviderName| "http://127.0.0.1/cb".to_owned();
        let providers = Providers::new(vec![settings], uri, &outgoing::system_roots(), clock).unwrap();
        let realm = Realm::new(providers.all());
        let token = self.signer(Algorithm::ES256).sign(&self.claims(0));
        good(runtime, &Tokens::new(1, clock.clone()), &realm, &token);
        realm
    }

    /// The claims of an access token (RFC 9068 §2.2), as long as they are in the wild.
    fn claims(&self, name: usize) -> Value {
        json!({
            "iss": self.issuer, "sub": format!("9c1e6e2a-7d3b-4f0e-8a55-{name:012}"), "aud": "https://gateway.example/api",
            "exp": NOW.0 + 3_600, "iat": NOW.0, "auth_time": NOW.0 - 60, "jti": format!("2f9d0c4b-51a6-4c8e-b7e0-{name:012}"),
            "client_id": "6f1d2c3e-0b7a-4e59-9d84-1a2b3c4d5e6f", "scope": "openid profile email orders:read orders:write invoices:read reports:nightly",
        })
    }
}

/// One request and its answer. `Connection: close`, so that no thread has to wait for a second one.
fn answer(stream: io::Result<TcpStream>, metadata: &Value, keys: &Value, fetched: &AtomicUsize) -> io::Result<()> {
    let mut stream = stream?;
    let mut head = Vec::new();
    let mut bytes = [0; 1_024];
    while !head.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut bytes)?;
        if count == 0 {
            return Ok(());
        }
        head.extend(bytes.iter().take(count));
    }
    let (status, body) = if head.starts_with(b"GET /jwks ") {
        fetched.fetch_add(1, Ordering::Relaxed);
        ("200 OK", keys.to_string())
    } else if head.starts_with(b"GET /.well-known/openid-configuration ") {
        ("200 OK", metadata.to_string())
    } else {
        ("404 Not Found", String::new())
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// A signing key of the provider.
struct Signer {
    kid: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Signer {
    fn es256() -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        Self { kid: "es-2027", algorithm: Algorithm::ES256, key: EncodingKey::from_ec_der(pkcs8.as_ref()) }
    }

    fn rs256() -> Self {
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> =
            RsaKeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
        // jsonwebtoken's DER is PKCS#1; its PEM reader also takes the PKCS#8 that aws-lc gives.
        let pem =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
        Self { kid: "rs-2027", algorithm: Algorithm::RS256, key: EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap() }
    }

    fn eddsa() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
        Self { kid: "ed-2027", algorithm: Algorithm::EdDSA, key: EncodingKey::from_ed_der(pkcs8.as_ref()) }
    }

    fn jwk(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap();
        jwk.as_object_mut().unwrap().insert("kid".to_owned(), json!(self.kid));
        jwk
    }

    fn decoding_key(&self) -> DecodingKey {
        DecodingKey::from_jwk(&serde_json::from_value(self.jwk()).unwrap()).unwrap()
    }

    fn sign(&self, claims: &Value) -> String {
        let message = message(&json!({ "typ": "at+jwt", "alg": self.algorithm, "kid": self.kid }), claims);
        let signature = crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

fn message(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// A token that names a key nobody has: nobody will ever look at its signature.
fn made_up(claims: &Value, name: usize) -> String {
    let header = json!({ "typ": "at+jwt", "alg": "ES256", "kid": format!("made-up-{name}") });
    format!("{}.{}", message(&header, claims), URL_SAFE_NO_PAD.encode([7; 64]))
}

// --- what is measured ------------------------------------------------------------------------------------------------------------

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn good(runtime: &Runtime, tokens: &Tokens, realm: &Realm, token: &str) {
    let answer = runtime.block_on(tokens.look_up(realm, token));
    if let Err(error) = &answer.outcome {
        panic!("a good token is refused: {error:?}");
    }
}

/// Sessions, and the headers of a request that brings one.
fn session() -> (Sessions, HeaderMap) {
    let sessions = Sessions::new(
        &sessions::Settings {
            keys: vec![Secret::new(random())],
            max_age: Duration::from_secs(36_000),
            idle_timeout: Duration::from_secs(3_600),
            login_timeout: Duration::from_secs(600),
            origin: Origin::parse("https://gateway.example").unwrap(),
            revocations: 1_000,
            revalidate: Duration::ZERO,
            outage_grace: Duration::ZERO,
            cut_off_grace: Duration::ZERO,
            per_user: 0,
            keeps_access_tokens: false,
            store: sessions::store::Settings::Memory { bytes: 0 },
        },
        Clock::stopped(NOW),
    );
    let issuer = "https://op.example";
    let cookie = sessions.seal(&Session {
        id: SessionId::random(),
        identity: Identity { user: UserId::parse("alice@example.com").unwrap(), claims: [].into() },
        provider: ProviderTag::of(&ProviderName::parse("op").unwrap(), issuer),
        subject: SubjectTag::of(issuer, "alice"),
        provider_session: None,
        signed_in: NOW,
        seen: NOW,
        due: None,
        record: None,
        refreshes: false,
        has_stored_claims: false,
    });
    let cookie = cookie.unwrap();
    let (pair, _) = cookie.to_str().unwrap().split_once(';').unwrap();
    let headers = HeaderMap::from_iter([(header::COOKIE, pair.parse().unwrap())]);
    (sessions, headers)
}

/// Bytes of memory of this process that are in RAM now: the second field of `/proc/self/statm`, in pages of 4 KiB.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

/// How many answers are remembered, as `Debug` says.
fn kept(tokens: &Tokens) -> usize {
    format!("{tokens:?}").chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// Seconds for each of the `count` things that each of `what` does, round after round; one round before, for the caches of the machine.
fn alternating<const N: usize>(rounds: usize, count: usize, mut what: [&mut dyn FnMut(); N]) -> [Vec<f64>; N] {
    what.iter_mut().for_each(|what| what());
    let mut figures = [const { Vec::new() }; N];
    for round in 0..rounds {
        let mut places: Vec<_> = figures.iter_mut().zip(&mut what).collect();
        // Everybody has every place in the order.
        places.rotate_left(round % N);
        for (figures, what) in places {
            let began = Instant::now();
            what();
            figures.push(began.elapsed().as_secs_f64() / count as f64);
        }
    }
    figures
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}
