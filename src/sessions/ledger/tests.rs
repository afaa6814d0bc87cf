use std::{
    future::pending,
    sync::{Mutex, MutexGuard},
};

use tokio::{task::JoinHandle, time::sleep};

use super::*;
use crate::sessions::{
    AccountTag, Revoked, SessionId,
    store::{Page, Position, StoreError},
    tests::session,
};

const NOW: UnixTime = UnixTime(1_800_000_000);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// A log that is kept here, and can be hurt. Its ids only grow, as those of a Redis stream.
#[derive(Debug, Default)]
pub(in crate::sessions) struct FakeLog(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<(u64, Revocation)>,
    last: u64,
    appended: usize,
    is_down: bool,
    is_frozen: bool,
    is_full: bool,
    /// Says that it has taken what it then loses, as a primary that fails before its replica has heard of it.
    forgets: bool,
    /// Entries up to this id are of a kind that nobody here understands.
    foreign: u64,
}

impl FakeLog {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    async fn ask(&self) -> Result<(), StoreError> {
        if self.inner().is_frozen {
            pending::<()>().await;
        }
        if self.inner().is_down { Err(StoreError::Unreachable("connection refused".into())) } else { Ok(()) }
    }

    pub(super) async fn append(&self, entries: &[Revocation]) -> Result<(), StoreError> {
        self.ask().await?;
        let mut inner = self.inner();
        if inner.is_full {
            return Err(StoreError::ReadOnly("OOM".into()));
        }
        inner.appended += entries.len();
        if !inner.forgets {
            for entry in entries {
                inner.last += 1;
                let id = inner.last;
                inner.entries.push((id, *entry));
            }
        }
        Ok(())
    }

    pub(super) async fn read(&self, position: &Position, limit: usize) -> Result<Page, StoreError> {
        self.ask().await?;
        let seen: u64 = position.0.parse().unwrap_or(0);
        let inner = self.inner();
        let page: Vec<_> = inner.entries.iter().filter(|(id, _)| *id > seen).take(limit).collect();
        let position = page.last().map_or(position.clone(), |(id, _)| Position(id.to_string().into()));
        let understood = page.into_iter().filter(|(id, _)| *id > inner.foreign);
        Ok(Page { entries: understood.map(|(_, entry)| *entry).collect(), position })
    }

    pub(super) async fn still_has(&self, position: &Position) -> Result<bool, StoreError> {
        self.ask().await?;
        let at: u64 = position.0.parse().unwrap();
        Ok(self.inner().entries.iter().any(|(id, _)| *id == at))
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.inner());
    }

    fn entries(&self) -> Vec<Revocation> {
        self.inner().entries.iter().map(|(_, entry)| *entry).collect()
    }

    /// How often something was written.
    fn appended(&self) -> usize {
        self.inner().appended
    }
}

/// A replica, whose task stops with it.
struct Replica {
    ledger: Arc<Ledger>,
    task: JoinHandle<()>,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn replica(log: &Arc<FakeLog>, clock: &Clock) -> Replica {
    let ledger = Arc::new(Ledger::over(Log::Fake(Arc::clone(log)), 100_000, clock.clone()));
    let task = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move { ledger.keep_in_step().await }
    });
    Replica { ledger, task }
}

fn ends(what: Revoked, until: UnixTime) -> Revocation {
    Revocation { what, until, ends: until.plus(HOUR) }
}

/// `count` sessions, and what ends them.
fn ended(count: usize) -> (Vec<Session>, Vec<Revocation>) {
    let sessions: Vec<Session> = (0..count).map(|_| Session { signed_in: NOW, ..session("alice") }).collect();
    let entries = sessions.iter().map(|session| ends(Revoked::Session(session.id), NOW)).collect();
    (sessions, entries)
}

fn knows_all(replica: &Replica, sessions: &[Session]) -> bool {
    sessions.iter().all(|session| replica.ledger.has_ended(session))
}

/// All of them are in the log.
fn holds_all(log: &FakeLog, entries: &[Revocation]) -> bool {
    let held = log.entries();
    entries.iter().all(|entry| held.contains(entry))
}

#[tokio::test]
async fn a_gateway_alone_is_in_step_and_writes_no_log() {
    let store = Arc::new(Store::new(&crate::sessions::store::Settings::Memory { bytes: 1 << 20 }));
    let ledger = Ledger::new(100, Arc::clone(&store), Clock::stopped(NOW));
    let (sessions, entries) = ended(2);
    assert_eq!(ledger.standing(), Standing::InStep);
    assert_eq!(ledger.end(&entries[..1]).await, Spread::Everywhere);
    assert!(ledger.has_ended(&sessions[0]));
    assert!(!ledger.has_ended(&sessions[1]));
    assert!(store.read(&Position::default(), 10).await.unwrap().entries.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_is_swept_without_other_replicas_too() {
    let store = Arc::new(Store::new(&crate::sessions::store::Settings::Memory { bytes: 1 << 20 }));
    let clock = Clock::stopped(NOW);
    let ledger = Ledger::new(1_000, store, clock.clone());
    let _told = ledger.end(&ended(500).1).await;
    clock.advance(HOUR);
    tokio::select! {
        () = ledger.keep_in_step() => panic!("it goes on"),
        () = sleep(10 * SECOND) => {}
    }
    assert_eq!(ledger.map.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_replica_is_told_within_a_second() {
    let (log, clock) = (Arc::default(), Clock::stopped(NOW));
    let [here, there] = [(); 2].map(|()| replica(&log, &clock));
    sleep(SECOND).await;
    for (number, what) in [
        Revoked::Session(SessionId::random()),
        Revoked::ProviderSession(session("alice").provider_session.unwrap()),
        Revoked::Subject(session("alice").subject),
        Revoked::Account(AccountTag::of(&session("alice").identity.user)),
        Revoked::Provider(session("alice").provider),
    ]
    .into_iter()
    .enumerate()
    {
        let id = if let Revoked::Session(id) = what { id } else { SessionId::random() };
        let time = NOW.plus(SECOND * number as u32);
        let caller = Session { id, signed_in: time, ..session("alice") };
        assert!(!there.ledger.has_ended(&caller), "{what:?}");
        assert_eq!(here.ledger.end(&[ends(what, time)]).await, Spread::Everywhere, "{what:?}");
        assert!(here.ledger.has_ended(&caller), "{what:?}: here at once");
        sleep(Duration::from_millis(201)).await;
        assert!(there.ledger.has_ended(&caller), "{what:?}");
        let later = Session { id: SessionId::random(), signed_in: time.plus(SECOND), ..caller };
        assert!(!there.ledger.has_ended(&later), "{what:?}: whoever signs in afterwards");
    }
    sleep(10 * SECOND).await;
    assert_eq!(log.appended(), 5, "nothing is written twice");
}

#[tokio::test(start_paused = true)]
async fn a_session_ended_twice_is_written_once() {
    let (log, clock) = (Arc::default(), Clock::stopped(NOW));
    let [here, there] = [(); 2].map(|()| replica(&log, &clock));
    let (_, entries) = ended(3);
    for _ in 0..3 {
        assert_eq!(here.ledger.end(&entries).await, Spread::Everywhere);
        sleep(SECOND).await;
        assert_eq!(there.ledger.end(&entries).await, Spread::Everywhere);
    }
    assert_eq!(log.appended(), 3);
    assert_eq!(here.ledger.end(&[Revocation { ends: NOW, ..entries[0] }]).await, Spread::Everywhere);
    assert_eq!(log.appended(), 3, "what has ended for good is nobody's news");
}

#[tokio::test(start_paused = true)]
async fn a_replica_reads_the_whole_log_before_it_is_in_step() {
    let (log, clock): (Arc<FakeLog>, _) = (Arc::default(), Clock::stopped(NOW));
    let (sessions, entries) = ended(2_500);
    log.append(&entries).await.unwrap();
    log.change(|log| log.is_down = true);
    let here = replica(&log, &clock);
    assert_eq!(here.ledger.standing(), Standing::Unread { since: NOW });
    clock.advance(10 * SECOND);
    sleep(10 * SECOND).await;
    assert_eq!(here.ledger.standing(), Standing::Unread { since: NOW });
    assert!(!here.ledger.has_ended(&sessions[0]));
    log.change(|log| log.is_down = false);
    sleep(SECOND).await;
    assert_eq!(here.ledger.standing(), Standing::InStep);
    assert!(knows_all(&here, &sessions));
    assert_eq!(log.appended(), 2_500, "nothing that was read is written");
}

#[tokio::test(start_paused = true)]
async fn entries_that_nobody_understands_do_not_pass_for_the_end_of_the_log() {
    for foreign in [0, 500, 1_000, 1_500, 2_500] {
        let (log, clock): (Arc<FakeLog>, _) = (Arc::default(), Clock::stopped(NOW));
        let (sessions, entries) = ended(2_500);
        log.append(&entries).await.unwrap();
        log.change(|log| log.foreign = foreign);
        let here = replica(&log, &clock);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(here.ledger.standing(), Standing::InStep, "{foreign}");
        assert!(knows_all(&here, &sessions[foreign as usize..]), "{foreign}");
        sleep(5 * SECOND).await;
        assert_eq!(log.appended(), 2_500, "{foreign}: nor for a log that was lost");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_was_cut_off_says_so_and_catches_up() {
    let (log, clock): (Arc<FakeLog>, _) = (Arc::default(), Clock::stopped(NOW));
    let here = replica(&log, &clock);
    let (sessions, entries) = ended(3_000);
    sleep(SECOND).await;
    log.change(|log| log.is_down = true);
    for (seconds, standing) in [(0, Standing::InStep), (2, Standing::InStep), (2, Standing::CutOff { since: NOW })] {
        clock.advance(SECOND * seconds);
        sleep(SECOND * seconds).await;
        assert_eq!(here.ledger.standing(), standing);
    }
    // Another replica can still reach it.
    log.change(|log| log.is_down = false);
    log.append(&entries).await.unwrap();
    log.change(|log| log.is_down = true);
    clock.advance(60 * SECOND);
    sleep(60 * SECOND).await;
    assert_eq!(here.ledger.standing(), Standing::CutOff { since: NOW });
    assert!(!here.ledger.has_ended(&sessions[0]));
    log.change(|log| log.is_down = false);
    sleep(SECOND).await;
    assert_eq!(here.ledger.standing(), Standing::InStep);
    assert!(knows_all(&here, &sessions));
}

/// A clock that is set back must not make an old look young.
#[tokio::test(start_paused = true)]
async fn nobody_sets_the_clock_that_ages_are_told_by() {
    let (log, clock): (Arc<FakeLog>, _) = (Arc::default(), Clock::stopped(NOW));
    let here = replica(&log, &clock);
    sleep(SECOND).await;
    clock.advance(HOUR);
    assert_eq!(here.ledger.standing(), Standing::InStep, "an hour ahead by the clock alone");
    log.change(|log| log.is_frozen = true);
    sleep(4 * SECOND).await;
    assert_eq!(here.ledger.standing(), Standing::CutOff { since: NOW }, "four seconds, and none by the clock");
}

#[tokio::test(start_paused = true)]
async fn what_is_ended_in_an_outage_is_told_afterwards() {
    type Switch = fn(&mut Inner, bool);
    let faults: [(&str, Switch, u64); 4] = [
        ("down", |log, is_on| log.is_down = is_on, 0),
        ("frozen", |log, is_on| log.is_frozen = is_on, 1_000),
        ("full", |log, is_on| log.is_full = is_on, 0),
        ("forgets", |log, is_on| log.forgets = is_on, 0),
    ];
    for (name, fault, waited_ms) in faults {
        let (log, clock): (Arc<FakeLog>, _) = (Arc::default(), Clock::stopped(NOW));
        let [here, there] = [(); 2].map(|()| replica(&log, &clock));
        sleep(SECOND).await;
        let (sessions, entries) = ended(50);
        log.change(|log| fault(log, true));
        for entry in &entries {
            let began = Instant::now();
            let spread = here.ledger.end(&[*entry]).await;
            assert_eq!(spread, if name == "forgets" { Spread::Everywhere } else { Spread::Here }, "{name}");
            assert_eq!(began.elapsed().as_millis() as u64, waited_ms, "{name}: nobody waits longer");
        }
        assert!(knows_all(&here, &sessions), "{name}: here it holds at once");
        sleep(5 * SECOND).await;
        assert!(!there.ledger.has_ended(&sessions[0]), "{name}");
        log.change(|log| fault(log, false));
        if name == "frozen" {
            // A question that is never answered is the store's to give up; it is asked again by another task here.
            here.task.abort();
            there.task.abort();
            let again = [&here, &there].map(|replica| {
                let ledger = Arc::clone(&replica.ledger);
                tokio::spawn(async move { ledger.keep_in_step().await })
            });
            sleep(3 * SECOND).await;
            again.iter().for_each(JoinHandle::abort);
        }
        sleep(3 * SECOND).await;
        assert!(knows_all(&there, &sessions), "{name}");
        let held = log.entries();
        assert!(
            entries.iter().all(|entry| held.iter().filter(|held| *held == entry).count() == 1),
            "{name}: once each"
        );
        let written = log.appended();
        sleep(10 * SECOND).await;
        assert_eq!(log.appended(), written, "{name}: and then no more");
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_the_outbox_names_is_told_too() {
    let (log, clock): (Arc<FakeLog>, _) = (Arc::default(), Clock::stopped(NOW));
    let [here, there] = [(); 2].map(|()| replica(&log, &clock));
    sleep(SECOND).await;
    let (sessions, entries) = ended(25_000);
    log.change(|log| log.is_down = true);
    for entries in entries.chunks(500) {
        assert_eq!(here.ledger.end(entries).await, Spread::Here);
    }
    assert!(here.ledger.outbox.named().len() <= 10_000);
    log.change(|log| log.is_down = false);
    sleep(3 * SECOND).await;
    assert!(knows_all(&there, &sessions));
    sleep(10 * SECOND).await;
    assert_eq!(log.appended(), 25_000);
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_before_the_answer_has_ended_the_session_all_the_same() {
    let (log, clock): (Arc<FakeLog>, _) = (Arc::default(), Clock::stopped(NOW));
    let [here, there] = [(); 2].map(|()| replica(&log, &clock));
    sleep(SECOND).await;
    let (sessions, entries) = ended(1);
    // Writes alone hang, so that readers go on.
    log.change(|log| log.is_frozen = true);
    tokio::select! {
        biased;
        spread = here.ledger.end(&entries) => panic!("{spread:?}"),
        () = std::future::ready(()) => {}
    }
    log.change(|log| log.is_frozen = false);
    sleep(SECOND).await;
    assert!(knows_all(&there, &sessions));
}

#[tokio::test(start_paused = true)]
async fn a_lost_log_is_written_again() {
    type Loss = fn(&mut Inner);
    let losses: [(&str, Loss); 4] = [
        ("all of it", |log| log.entries.clear()),
        ("its tail", |log| log.entries.truncate(100)),
        ("an older copy, gone on with", |log| {
            log.entries.truncate(100);
            let (_, other) = ended(1);
            log.last += 1;
            log.entries.push((log.last, other[0]));
        }),
        ("all of it, and somebody wrote at once", |log| {
            let (_, other) = ended(1);
            log.last += 1;
            log.entries = vec![(log.last, other[0])];
        }),
    ];
    for (name, lose) in losses {
        let (log, clock): (Arc<FakeLog>, _) = (Arc::default(), Clock::stopped(NOW));
        let replicas = [(); 3].map(|()| replica(&log, &clock));
        let (sessions, entries) = ended(2_200);
        for entries in entries.chunks(10) {
            assert_eq!(replicas[0].ledger.end(entries).await, Spread::Everywhere);
        }
        sleep(5 * SECOND).await;
        assert!(knows_all(&replicas[2], &sessions), "{name}");
        log.change(lose);
        sleep(5 * SECOND).await;
        assert!(holds_all(&log, &entries), "{name}");
        let written = log.appended();
        assert!(written <= 2 * 2_200 + 100, "{name}: replicas read what others have written: {written}");
        sleep(20 * SECOND).await;
        assert_eq!(log.appended(), written, "{name}: and then no more");
        let late = replica(&log, &clock);
        sleep(SECOND).await;
        assert!(knows_all(&late, &sessions), "{name}: who starts afterwards knows");
        assert_eq!(log.appended(), written, "{name}: and has nothing to add");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_for_good_is_not_written_again() {
    let (log, clock): (Arc<FakeLog>, _) = (Arc::default(), Clock::stopped(NOW));
    let here = replica(&log, &clock);
    let (_, entries) = ended(20);
    assert_eq!(here.ledger.end(&entries).await, Spread::Everywhere);
    clock.advance(10 * SECOND);
    let later = Revocation { ends: NOW.plus(2 * HOUR), ..ended(1).1[0] };
    assert_eq!(here.ledger.end(&[later]).await, Spread::Everywhere);
    sleep(SECOND).await;
    clock.advance(HOUR);
    log.change(|log| log.entries.clear());
    sleep(10 * SECOND).await;
    assert_eq!(log.entries(), [later]);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_tidied_up_is_not_written_again() {
    let (log, clock): (Arc<FakeLog>, _) = (Arc::default(), Clock::stopped(NOW));
    let here = replica(&log, &clock);
    assert_eq!(here.ledger.end(&ended(20).1).await, Spread::Everywhere);
    sleep(SECOND).await;
    clock.advance(HOUR + SECOND);
    log.change(|log| log.entries.clear());
    sleep(10 * SECOND).await;
    assert_eq!((log.appended(), here.ledger.standing()), (20, Standing::InStep));
}

/// Two entries of the log that say only together what is known do not go back and forth.
#[tokio::test(start_paused = true)]
async fn entries_that_add_up_are_written_as_one() {
    let (log, clock): (Arc<FakeLog>, _) = (Arc::default(), Clock::stopped(NOW));
    let what = Revoked::Account(AccountTag::of(&session("alice").identity.user));
    let parts = [(1, 20), (5, 10)].map(|(until, ends)| Revocation {
        what,
        until: NOW.plus(SECOND * until),
        ends: NOW.plus(HOUR + SECOND * ends),
    });
    log.append(&parts).await.unwrap();
    let replicas = [(); 3].map(|()| replica(&log, &clock));
    sleep(10 * SECOND).await;
    assert!(log.appended() <= 2 + replicas.len(), "{}", log.appended());
    assert_eq!(log.entries().last(), Some(&Revocation { what, until: parts[1].until, ends: parts[0].ends }));
}

#[tokio::test]
async fn a_session_that_begins_in_the_second_of_an_end_is_not_meant() {
    let ledger = Ledger::over(Log::Fake(Arc::default()), 100, Clock::stopped(NOW));
    let caller = |signed_in| Session { id: SessionId::random(), signed_in, ..session("alice") };
    assert_eq!(ledger.begins(&caller(NOW)), NOW, "nobody ended anything");
    let account = Revoked::Account(AccountTag::of(&caller(NOW).identity.user));
    // Another replica's clock is five seconds ahead.
    for (until, signed_in, begins) in [(0, 0, 1), (0, 1, 1), (0, 2, 2), (5, 1, 6), (5, 7, 7)] {
        let [until, signed_in, begins] = [until, signed_in, begins].map(|seconds| NOW.plus(SECOND * seconds));
        let _told = ledger.end(&[ends(account, until)]).await;
        let begun = caller(ledger.begins(&caller(signed_in)));
        assert_eq!(begun.signed_in, begins);
        assert!(!ledger.has_ended(&begun));
        assert!(ledger.has_ended(&caller(until)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_said_when_it_begins_and_when_it_is_over() {
    // A subscriber more than the one below makes tracing ask each of them, and not the thread that comes by first.
    let _others = [(); 2].map(|()| tracing::Dispatch::new(tracing_subscriber::Registry::default()));
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (log, clock): (Arc<FakeLog>, _) = (Arc::default(), Clock::stopped(NOW));
    let here = replica(&log, &clock);
    sleep(SECOND).await;
    let (_, entries) = ended(2);
    assert_eq!(lines.take(), [""; 0]);

    log.change(|log| log.is_down = true);
    assert_eq!(here.ledger.end(&entries[..1]).await, Spread::Here);
    sleep(30 * SECOND).await;
    said(&lines, &[("WARN", "the session store does not answer: connection refused")]);
    log.change(|log| log.is_down = false);
    sleep(5 * SECOND).await;
    said(&lines, &[("INFO", "outage_ms=30")]);

    log.change(|log| log.is_full = true);
    assert_eq!(here.ledger.end(&entries[1..]).await, Spread::Here);
    sleep(30 * SECOND).await;
    said(&lines, &[("WARN", "the session store takes no writes: OOM")]);
    log.change(|log| log.is_full = false);
    sleep(5 * SECOND).await;
    said(&lines, &[("INFO", "takes the log of ended sessions again")]);

    log.change(|log| log.entries.clear());
    sleep(10 * SECOND).await;
    said(&lines, &[("WARN", "lost its log"), ("INFO", "Wrote 2 entries")]);
}

/// Just these lines have been written, each with a level and a text.
fn said(lines: &Lines, expected: &[(&str, &str)]) {
    let said = lines.take();
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (line, (level, text)) in said.iter().zip(expected) {
        assert!(line.contains(level) && line.contains(text), "{line}");
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
