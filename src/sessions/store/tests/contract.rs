//! The same questions to every store.

use std::collections::BTreeSet;

use super::*;
use crate::sessions::{AccountTag, ProviderSessionTag};

#[tokio::test]
async fn memory_keeps_the_contract() {
    let store = Store::new(&Settings::Memory { bytes: 1 << 20 });
    assert!(!store.is_shared());
    Box::pin(keeps_the_contract(&store)).await;
}

#[tokio::test]
async fn one_server_keeps_the_contract() {
    let server = servers::Redis::start(&[]).await;
    let store = store(standalone(&server.address()));
    assert!(store.is_shared());
    Box::pin(keeps_the_contract(&store)).await;
    assert_eq!(server.keys("*").await, ["doorward:log"], "everything else has been forgotten, or is gone in its time");
}

#[tokio::test]
async fn another_database_and_prefix_are_kept_apart() {
    let server = servers::Redis::start(&[]).await;
    let other = RedisSettings {
        prefix: "other".into(),
        location: Location::Standalone { address: server.address().into(), database: 3 },
        ..standalone("")
    };
    let (one, other) = (store(standalone(&server.address())), store(other));
    let id = SessionId::random();
    assert!(one.save(&id, 1, b"one", LONG).await.unwrap());
    assert_eq!(other.load(&id).await.unwrap(), None);
    assert!(other.save(&id, 1, b"other", LONG).await.unwrap());
    assert_eq!(server.cli(&["-n", "3", "--scan"]).await, format!("other:{{{id}}}:r"));
    assert_eq!(one.load(&id).await.unwrap(), Some((1, b"one".to_vec())));
}

#[tokio::test]
async fn tls_and_a_user_of_few_rights_are_enough() {
    let rights = format!("~doorward:* {}", super::super::redis::RIGHTS);
    let server = servers::Redis::with_tls_and_user("gate", "hunter2", &rights).await;
    let settings = RedisSettings {
        tls: Some(RedisTls { ca: Some(std::fs::read(server.ca_file()).unwrap().into()) }),
        username: Some("gate".into()),
        password: secret("hunter2"),
        ..standalone(&format!("localhost:{}", server.port()))
    };
    let store = store(settings);
    Box::pin(keeps_the_contract(&store)).await;
}

#[tokio::test]
async fn a_primary_behind_sentinels_keeps_the_contract() {
    let sentinel = Box::pin(servers::sentinel::Sentinel::start()).await;
    let store = store(at_sentinels(&sentinel));
    Box::pin(keeps_the_contract(&store)).await;
}

#[tokio::test]
async fn a_cluster_keeps_the_contract() {
    let cluster = Box::pin(servers::cluster::Cluster::start(0)).await;
    // One node is enough to find the others.
    let mut settings = at_cluster(&cluster);
    if let Location::Cluster { nodes } = &mut settings.location {
        nodes.truncate(1);
    }
    let store = store(settings);
    Box::pin(keeps_the_contract(&store)).await;
}

async fn keeps_the_contract(store: &Store) {
    store.probe().await.unwrap();
    // In a cluster, the third part of them is at each node.
    for _ in 0..8 {
        records(store).await;
        locks(store).await;
        listings(store).await;
        marks(store).await;
    }
    log(store).await;
}

async fn records(store: &Store) {
    let id = SessionId::random();
    assert_eq!(store.load(&id).await.unwrap(), None);
    let everything: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    // generation, record, whether it is taken, what is there then
    for (generation, record, is_taken, there) in [
        (3, b"three".as_slice(), true, 3),
        (3, b"another", false, 3),
        (3, b"three", true, 3),
        (2, b"two", false, 3),
        (0, b"", false, 3),
        (256, b"two hundred and fifty-six", true, 256),
        (255, b"later in the alphabet", false, 256),
        (u32::MAX, &everything, true, u32::MAX),
    ] {
        assert_eq!(store.save(&id, generation, record, LONG).await.unwrap(), is_taken, "{generation}");
        let (found, bytes) = store.load(&id).await.unwrap().unwrap();
        assert_eq!((found, is_taken.then_some(&*bytes)), (there, is_taken.then_some(record)), "{generation}");
    }
    assert_eq!(store.load(&SessionId::random()).await.unwrap(), None, "another session's");
    store.forget(&id).await.unwrap();
    store.forget(&id).await.unwrap();
    assert_eq!(store.load(&id).await.unwrap(), None);
    assert!(store.save(&id, 1, b"anew", Duration::from_millis(30)).await.unwrap());
    until("a record goes in its time", async || store.load(&id).await.unwrap().is_none()).await;
}

async fn locks(store: &Store) {
    let (id, other_id) = (SessionId::random(), SessionId::random());
    let (one, other) = (random(), random());
    assert!(store.lock(&id, &one, LONG).await.unwrap());
    assert!(!store.lock(&id, &other, LONG).await.unwrap(), "somebody has it");
    assert!(store.lock(&other_id, &other, LONG).await.unwrap(), "another session's is another lock");
    store.unlock(&id, &other).await.unwrap();
    assert!(!store.lock(&id, &other, LONG).await.unwrap(), "who has no lock gives none back");
    // Held on to, for a shorter time.
    assert!(store.lock(&id, &one, Duration::from_millis(30)).await.unwrap());
    until("a lock goes in its time", async || store.lock(&id, &other, LONG).await.unwrap()).await;
    assert!(!store.lock(&id, &one, LONG).await.unwrap(), "it was lost meanwhile");
    store.unlock(&id, &one).await.unwrap();
    store.unlock(&id, &other).await.unwrap();
    assert!(store.lock(&id, &one, LONG).await.unwrap());
    store.unlock(&id, &one).await.unwrap();
    store.unlock(&other_id, &other).await.unwrap();
}

async fn listings(store: &Store) {
    let (account, other) = (AccountTag(random()), AccountTag(random()));
    let [one, two, three] = [(); 3].map(|()| SessionId::random());
    let listed = async |account| {
        let found = store.listed(account).await.unwrap();
        let count = found.len();
        let found: BTreeSet<_> = found.into_iter().map(|(id, entry)| (id.to_string(), entry)).collect();
        assert_eq!(found.len(), count);
        found
    };
    let expected = |entries: &[(SessionId, &[u8])]| {
        entries.iter().map(|(id, entry)| (id.to_string(), entry.to_vec())).collect::<BTreeSet<_>>()
    };
    assert_eq!(listed(account).await, expected(&[]));
    store.unlist(account, &[one]).await.unwrap();
    store.list(account, &one, b"one", LONG).await.unwrap();
    store.list(account, &two, b"two", LONG).await.unwrap();
    store.list(account, &one, b"one, \0later", LONG).await.unwrap();
    assert_eq!(listed(account).await, expected(&[(one, b"one, \0later"), (two, b"two")]));
    assert_eq!(listed(other).await, expected(&[]), "another account's");
    store.unlist(account, &[]).await.unwrap();
    store.unlist(account, &[one, three]).await.unwrap();
    assert_eq!(listed(account).await, expected(&[(two, b"two")]));
    store.unlist(account, &[one, two]).await.unwrap();
    assert_eq!(listed(account).await, expected(&[]));

    // An entry that ends soon takes none with it that stays longer.
    store.list(account, &one, b"one", LONG).await.unwrap();
    store.list(account, &two, b"two", Duration::from_millis(1)).await.unwrap();
    store.list(other, &three, b"three", Duration::from_millis(30)).await.unwrap();
    until("a listing goes in its time", async || listed(other).await.is_empty()).await;
    assert!(listed(account).await.contains(&(one.to_string(), b"one".to_vec())));
    store.unlist(account, &[one, two]).await.unwrap();
}

async fn marks(store: &Store) {
    let [one, other] = [(); 2].map(|()| ProviderSessionTag(random()));
    assert!(!store.is_marked(one).await.unwrap());
    store.mark(one, Duration::from_millis(500)).await.unwrap();
    assert!(store.is_marked(one).await.unwrap());
    assert!(!store.is_marked(other).await.unwrap());
    store.mark(one, Duration::from_millis(30)).await.unwrap();
    until("a mark goes in its time", async || !store.is_marked(one).await.unwrap()).await;
}

async fn log(store: &Store) {
    let start = Position::default();
    let later = UnixTime(NOW.0 + 100);
    assert!(store.still_has(&start).await.unwrap());
    let page = store.read(&start, 10).await.unwrap();
    assert_eq!((page.entries, &page.position), (vec![], &start), "empty, and nowhere to go on from");

    store.append(&[], NOW).await.unwrap();
    let all: Vec<_> = (0..1_203).map(|number| ends(number, later)).collect();
    store.append(&all[..1_200], NOW).await.unwrap();
    let (mut position, mut read) = (start.clone(), Vec::new());
    loop {
        let page = store.read(&position, 500).await.unwrap();
        if page.entries.is_empty() {
            assert_eq!(page.position, position);
            break;
        }
        assert!(page.entries.len() <= 500);
        read.extend(page.entries);
        position = page.position;
        assert!(store.still_has(&position).await.unwrap());
    }
    assert_eq!(read, all[..1_200], "in the order in which they came in, each once");
    store.append(&all[1_200..], NOW).await.unwrap();
    let page = store.read(&position, 2).await.unwrap();
    assert_eq!(page.entries, all[1_200..1_202]);
    assert_eq!(store.read(&page.position, 500).await.unwrap().entries, all[1_202..]);
    assert!(!store.still_has(&Position("5-0".into())).await.unwrap() || !store.is_shared());
}
