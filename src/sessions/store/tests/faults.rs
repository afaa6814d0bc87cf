//! What becomes of a question when Redis is killed, frozen, full, a replica, or does not know us; and that all is well again afterwards.

use super::*;

/// Nobody has to wait to hear that Redis is down.
const AT_ONCE: Duration = Duration::from_millis(200);

async fn timed<T>(question: impl Future<Output = T>) -> (T, Duration) {
    let begun = Instant::now();
    let answer = question.await;
    (answer, begun.elapsed())
}

async fn answers(store: &Store, what: &str) {
    until(what, async || store.load(&SessionId::random()).await.is_ok()).await;
}

#[tokio::test]
async fn a_server_that_was_killed_costs_nothing_and_comes_back() {
    let mut server = servers::Redis::start(&[]).await;
    let store = store(standalone(&server.address()));
    let id = SessionId::random();
    assert!(store.save(&id, 1, b"one", LONG).await.unwrap());
    server.kill();
    for _ in 0..20 {
        let (answer, took) = timed(store.load(&id)).await;
        assert_eq!(told(&answer), "unreachable");
        assert!(took < AT_ONCE, "{took:?}");
    }
    server.restart().await;
    answers(&store, "it is there again").await;
    assert_eq!(store.load(&id).await.unwrap(), None, "what it had is gone with it");
}

#[tokio::test]
async fn a_restart_between_two_questions_is_noticed_by_nobody() {
    let mut server = servers::Redis::start(&[]).await;
    let store = store(standalone(&server.address()));
    assert!(store.save(&SessionId::random(), 1, b"one", LONG).await.unwrap());
    server.restart().await;
    assert!(store.save(&SessionId::random(), 1, b"two", LONG).await.unwrap());
    server.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    assert!(store.save(&SessionId::random(), 1, b"three", LONG).await.unwrap());
}

#[tokio::test]
async fn a_server_that_was_never_there_costs_nothing() {
    let store = store(standalone(&format!("127.0.0.1:{}", servers::free_port())));
    let (answer, took) = timed(store.load(&SessionId::random())).await;
    assert!(told(&answer) == "unreachable" && took < AT_ONCE, "{answer:?} {took:?}");
    let (answer, took) = Box::pin(timed(store.probe())).await;
    assert!(told(&answer) == "unreachable" && took < AT_ONCE, "{answer:?} {took:?}");
}

#[tokio::test]
async fn a_frozen_server_holds_nobody() {
    let mut server = servers::Redis::start(&[]).await;
    let store = Arc::new(store(standalone(&server.address())));
    answers(&store, "it is there").await;
    server.freeze();
    // Those who ask while nobody knows it yet, all at the same time.
    let mut askers = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let store = Arc::clone(&store);
        askers.spawn(async move { timed(store.load(&SessionId::random())).await });
    }
    for (answer, took) in askers.join_all().await {
        assert!(told(&answer) == "unreachable" && took < TIMEOUT + SLACK, "{answer:?} {took:?}");
    }
    // And those who come later.
    for _ in 0..20 {
        let (answer, took) = timed(store.load(&SessionId::random())).await;
        assert!(told(&answer) == "unreachable" && took < AT_ONCE, "{answer:?} {took:?}");
    }
    server.thaw();
    answers(&store, "it goes on").await;
}

#[tokio::test]
async fn a_server_that_is_frozen_from_the_beginning_holds_nobody() {
    let mut server = servers::Redis::with_password("hunter2").await;
    let store = store(RedisSettings { password: secret("hunter2"), ..standalone(&server.address()) });
    server.freeze();
    let (answer, took) = timed(store.load(&SessionId::random())).await;
    assert!(told(&answer) == "unreachable" && took < TIMEOUT + SLACK, "{answer:?} {took:?}");
    let (answer, took) = timed(store.load(&SessionId::random())).await;
    assert!(told(&answer) == "unreachable" && took < AT_ONCE, "{answer:?} {took:?}");
    server.thaw();
    answers(&store, "it goes on").await;
}

#[tokio::test]
async fn a_connection_that_is_dead_at_its_other_end_is_given_up() {
    let server = servers::Redis::start(&[]).await;
    let mut shim = servers::shim::Shim::before(server.port()).await;
    let store = store(standalone(&shim.address()));
    answers(&store, "it is there").await;
    shim.swallow();
    let (answer, took) = timed(store.load(&SessionId::random())).await;
    assert!(told(&answer) == "unreachable" && took < TIMEOUT + SLACK, "{answer:?} {took:?}");
    shim.heal().await;
    answers(&store, "another connection").await;
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_asked_for_again_or_none() {
    let server = servers::Redis::start(&[]).await;
    let mut shim = servers::shim::Shim::before(server.port()).await;
    let store = store(standalone(&shim.address()));
    let id = SessionId::random();
    assert!(store.save(&id, 1, &[7; 5_000], LONG).await.unwrap());
    shim.cut_after(1_000);
    assert_eq!(told(&store.load(&id).await), "unreachable");
    shim.heal().await;
    answers(&store, "whole answers again").await;
    assert_eq!(store.load(&id).await.unwrap(), Some((1, vec![7; 5_000])));
}

#[tokio::test]
async fn a_wrong_password_is_refused_until_it_is_the_right_one() {
    let mut server = servers::Redis::with_password("hunter2").await;
    let wrong = RedisSettings { password: secret("hunter3"), ..standalone(&server.address()) };
    let store = store(wrong.clone());
    for _ in 0..5 {
        assert_eq!(told(&store.load(&SessionId::random()).await), "refused");
    }
    let right = RedisSettings { password: secret("hunter2"), ..wrong.clone() };
    assert!(store.reconfigure(&Settings::Redis(Box::new(right.clone()))));
    assert_eq!(told(&store.load(&SessionId::random()).await), "fine", "at once");

    // Without a password, and with one that nobody asked for.
    let none = RedisSettings { password: None, ..wrong };
    assert_eq!(told(&super::store(none).load(&SessionId::random()).await), "refused");
    let open = servers::Redis::start(&[]).await;
    let needless = RedisSettings { password: secret("hunter2"), ..standalone(&open.address()) };
    assert_eq!(told(&super::store(needless).load(&SessionId::random()).await), "refused");

    // The password changes: first there, then here.
    server.rotate_password("hunter4").await;
    assert_eq!(told(&store.load(&SessionId::random()).await), "refused");
    let new = RedisSettings { password: secret("hunter4"), ..right };
    assert!(store.reconfigure(&Settings::Redis(Box::new(new))));
    assert_eq!(told(&store.load(&SessionId::random()).await), "fine");
    assert!(!store.reconfigure(&Settings::Memory { bytes: 1 }), "another kind of store takes a restart");
}

#[tokio::test]
async fn failed_sign_ins_are_few() {
    let server = servers::Redis::with_password("hunter2").await;
    let store = store(RedisSettings { password: secret("hunter3"), ..standalone(&server.address()) });
    let end = Instant::now() + Duration::from_millis(600);
    while Instant::now() < end {
        assert_eq!(told(&store.load(&SessionId::random()).await), "refused");
    }
    let mine = server.cli(&["INFO", "stats"]).await;
    let rejected = server.cli(&["ACL", "LOG", "100"]).await.matches("hunter3").count();
    let failed = server.cli(&["INFO", "errorstats"]).await;
    assert!(failed.contains("errorstat_WRONGPASS:count=1"), "{failed} {rejected} {mine}");
}

#[tokio::test]
async fn a_full_server_still_tells_what_it_knows() {
    let server = servers::Redis::start(&[]).await;
    let store = store(standalone(&server.address()));
    let id = SessionId::random();
    let entry = ends(1, NOW);
    assert!(store.save(&id, 1, b"one", LONG).await.unwrap());
    store.append(&[entry], NOW).await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]).await;
    for (what, answer) in [
        ("save", told(&store.save(&id, 2, b"two", LONG).await)),
        ("lock", told(&store.lock(&id, &[1; 16], LONG).await)),
        ("append", told(&store.append(&[entry], NOW).await)),
        ("probe", told(&store.probe().await)),
    ] {
        assert_eq!(answer, "read-only", "{what}");
    }
    assert_eq!(store.load(&id).await.unwrap(), Some((1, b"one".to_vec())));
    let page = store.read(&Position::default(), 10).await.unwrap();
    assert_eq!(page.entries, [entry]);
    assert!(store.still_has(&page.position).await.unwrap());
    store.forget(&id).await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert!(store.save(&id, 2, b"two", LONG).await.unwrap());
}

#[tokio::test]
async fn a_replica_takes_no_writes() {
    let primary = servers::Redis::start(&[]).await;
    let replica = servers::Redis::start(&["--replicaof", "127.0.0.1", &primary.port().to_string()]).await;
    let store = store(standalone(&replica.address()));
    until("it follows", async || told(&store.save(&SessionId::random(), 1, b"", LONG).await) == "read-only").await;
    assert_eq!(told(&store.load(&SessionId::random()).await), "fine");
}

#[tokio::test]
async fn rights_that_are_missing_show_when_it_is_asked() {
    for (rights, expected) in [
        ("~doorward:* +@all", "fine"),
        ("~doorward:* +@all -eval", "the user may not use the command `eval`"),
        ("~doorward:* +@all -xadd", "the user may not use a command in our scripts"),
        ("~doorward:* +@all -xtrim", "the user may not use the command `xtrim`"),
        ("~doorward:* +@all -hgetall", "the user may not use the command `hgetall`"),
        ("~other:* +@all", "the user may not use our keys"),
        ("~doorward:{* +@all", "the user may not use our keys"),
    ] {
        let server = servers::Redis::with_tls_and_user("gate", "hunter2", rights).await;
        let store = store(RedisSettings {
            tls: Some(RedisTls { ca: Some(std::fs::read(server.ca_file()).unwrap().into()) }),
            username: Some("gate".into()),
            password: secret("hunter2"),
            ..standalone(&format!("localhost:{}", server.port()))
        });
        match store.probe().await {
            Ok(()) => assert_eq!(expected, "fine", "{rights}"),
            Err(error) => assert_eq!(error.to_string(), format!("the session store refuses this gateway: {expected}")),
        }
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let server = servers::Redis::with_tls_and_user("gate", "hunter2", "~* +@all").await;
    let other = servers::tls::Certificates::new();
    let right: Arc<[u8]> = std::fs::read(server.ca_file()).unwrap().into();
    let (other, port) = (std::fs::read(other.ca_file()).unwrap(), server.port());
    let plain_port = servers::Redis::start(&[]).await;
    for (what, address, ca, expected) in [
        ("right", format!("localhost:{port}"), Some(Arc::clone(&right)), "fine"),
        ("by its address", format!("127.0.0.1:{port}"), Some(Arc::clone(&right)), "fine"),
        ("another authority", format!("localhost:{port}"), Some(other.into()), "unreachable"),
        ("the system's authorities", format!("localhost:{port}"), None, "unreachable"),
        ("no certificate in the file", format!("localhost:{port}"), Some(b"none".as_slice().into()), "unreachable"),
        ("another name", format!("[::ffff:127.0.0.1]:{port}"), Some(Arc::clone(&right)), "unreachable"),
        ("no TLS there", plain_port.address(), Some(right), "unreachable"),
    ] {
        let store = store(RedisSettings {
            tls: Some(RedisTls { ca }),
            username: Some("gate".into()),
            password: secret("hunter2"),
            ..standalone(&address)
        });
        let answer = store.load(&SessionId::random()).await;
        assert_eq!(told(&answer), expected, "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn sentinels_lead_to_the_next_primary() {
    let mut sentinel = Box::pin(servers::sentinel::Sentinel::start()).await;
    let store = store(at_sentinels(&sentinel));
    let id = SessionId::random();
    assert!(store.save(&id, 1, b"one", LONG).await.unwrap());
    let old = sentinel.kill_primary().await;
    let (answer, took) = timed(store.load(&id)).await;
    assert!(told(&answer) == "unreachable" && took < TIMEOUT + SLACK, "{answer:?} {took:?}");
    sentinel.await_new_primary(old).await;
    until("it takes writes", async || store.save(&id, 2, b"two", LONG).await.is_ok()).await;
    assert_eq!(store.load(&id).await.unwrap(), Some((2, b"two".to_vec())));

    let mut unknown = at_sentinels(&sentinel);
    if let Location::Sentinel { primary, .. } = &mut unknown.location {
        *primary = "another".into();
    }
    let answer = super::store(unknown).load(&id).await;
    assert_eq!(told(&answer), "answer", "{answer:?}");
}

#[tokio::test]
async fn a_node_that_is_down_costs_only_what_it_had() {
    let mut cluster = Box::pin(servers::cluster::Cluster::start(0)).await;
    let store = store(at_cluster(&cluster));
    let ids: Vec<_> = (0..30).map(|_| SessionId::random()).collect();
    for id in &ids {
        assert!(store.save(id, 1, b"one", LONG).await.unwrap());
    }
    cluster.kill_node(1);
    let (mut fine, mut lost) = (0, 0);
    for id in &ids {
        let (answer, took) = timed(store.load(id)).await;
        assert!(took < AT_ONCE, "{took:?}");
        match answer {
            Ok(found) => (fine, _) = (fine + 1, found.unwrap()),
            Err(_) => lost += 1,
        }
    }
    assert!(fine > 5 && lost > 1, "{fine} {lost}");
    cluster.restart_node(1).await;
    cluster.await_whole().await;
    for id in &ids {
        until("all is there again", async || store.load(id).await.is_ok()).await;
    }
}

#[tokio::test]
async fn a_key_that_moves_is_followed() {
    let cluster = Box::pin(servers::cluster::Cluster::start(0)).await;
    let store = store(at_cluster(&cluster));
    let ids: Vec<_> = (0..60).map(|_| SessionId::random()).collect();
    for id in &ids {
        assert!(store.save(id, 1, b"one", LONG).await.unwrap());
    }
    let read = async || {
        for id in &ids {
            assert_eq!(store.load(id).await.unwrap(), Some((1, b"one".to_vec())), "while they move, too");
        }
    };
    let moving = cluster.move_slots(0, 1, 1_500);
    tokio::pin!(moving);
    loop {
        tokio::select! {
            () = &mut moving => break,
            () = read() => {}
        }
    }
    read().await;
}

#[tokio::test]
async fn a_replica_takes_the_place_of_a_node() {
    let mut cluster = Box::pin(servers::cluster::Cluster::start(1)).await;
    let store = store(at_cluster(&cluster));
    let ids: Vec<_> = (0..30).map(|_| SessionId::random()).collect();
    for id in &ids {
        assert!(store.save(id, 1, b"one", LONG).await.unwrap());
    }
    cluster.kill_node(0);
    cluster.await_whole().await;
    for id in &ids {
        until("writes go on", async || store.save(id, 2, b"two", LONG).await.is_ok()).await;
    }
}
