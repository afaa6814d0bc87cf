//! What ended sessions cost that are remembered: `cargo bench --bench revocations`, some ten seconds.
//!
//! Figures are medians, to be read beside each other: nothing here fails because something was slow. It fails when a session was judged
//! wrongly. Let nothing else run meanwhile.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot go on should stop, and it speaks to a terminal"
)]

mod figures;

use std::{
    fs,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use doorward::{
    clock::{Clock, UnixTime},
    identity::{Identity, ProviderName, ProviderTag, UserId},
    sessions::{
        AccountTag, Ledger, ProviderSessionTag, Revocation, Revoked, Session, SessionId, Spread, SubjectTag,
        store::{self, Store},
    },
};
use figures::{heading, mib, quantile, table};
use tokio::runtime::{Builder, Runtime};

const NOW: UnixTime = UnixTime(1_800_000_000);
const HOUR: Duration = Duration::from_secs(3_600);
/// Entries.
const MANY: usize = 1_000_000;
/// Parts of the map, as [`Ledger::sweep`] says.
const PARTS: usize = 256;
const ISSUER: &str = "https://op.example";

fn main() {
    // `cargo test --all-targets` comes by without it, and means no ten seconds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    memory(&runtime);
    asking(&runtime);
    adding(&runtime);
    sweeping(&runtime);
}

// --- parts -----------------------------------------------------------------------------------------------------------------------

/// First, so that nothing that others gave back hides what this takes.
fn memory(runtime: &Runtime) {
    heading("Memory (aim: less than 64 bytes an entry)");
    let mut rows = Vec::new();
    // Tables double: the third is just after that, where there is most air in them.
    for count in [100_000, 900_000, 950_000, MANY] {
        let before = resident();
        let ledger = ledger(2 * MANY, &Clock::stopped(NOW));
        end(runtime, &ledger, (0..count).map(session_entry));
        let grown = resident().saturating_sub(before);
        rows.push(vec![count.to_string(), mib(grown), format!("{:.1}", grown as f64 / count as f64)]);
        // What it gives back would hide what the next one takes.
        std::mem::forget(ledger);
    }
    table(&["entries", "MiB", "bytes each"], &rows);
}

fn asking(runtime: &Runtime) {
    const SESSIONS: usize = 10_000;
    const ROUNDS: usize = 50;
    heading(&format!(
        "Whether a session has ended: {SESSIONS} different sessions, {ROUNDS} rounds, one thread, ns of each (aim: less than 200)"
    ));
    // Every hundredth has ended, or none of them.
    let ended: Vec<Session> = (0..SESSIONS).map(|number| session(number * (MANY / SESSIONS))).collect();
    let others: Vec<Session> = (0..SESSIONS).map(|number| session(number + 10 * MANY)).collect();
    let mut rows = Vec::new();
    let mut row = |name: &str, ledger: &Ledger, sessions: &[Session], has_ended: bool| {
        let ns = per_item(ROUNDS, SESSIONS, || {
            for session in sessions {
                assert_eq!(ledger.has_ended(black_box(session)), has_ended);
            }
        });
        rows.push(vec![name.to_owned(), format!("{:.0}", ns * 1e9)]);
    };
    row("nothing has ended", &ledger(MANY, &Clock::stopped(NOW)), &others, false);
    let by_id = ledger(2 * MANY, &Clock::stopped(NOW));
    end(runtime, &by_id, (0..MANY).map(session_entry));
    row("a million sessions have: another", &by_id, &others, false);
    row("a million sessions have: one of them", &by_id, &ended, true);
    let without_accounts = ledger(2 * MANY, &Clock::stopped(NOW));
    end(runtime, &without_accounts, (0..MANY).map(|number| entry_of_a_kind(number, 3)));
    end(runtime, &without_accounts, [provider_entry()]);
    row("a million of four kinds, no account: another", &without_accounts, &others, false);
    let of_all_kinds = ledger(2 * MANY, &Clock::stopped(NOW));
    end(runtime, &of_all_kinds, (0..MANY).map(|number| entry_of_a_kind(number, 4)));
    end(runtime, &of_all_kinds, [provider_entry()]);
    row("a million of all five kinds: another", &of_all_kinds, &others, false);
    row("a million of all five kinds: one of them", &of_all_kinds, &ended, true);
    let tag = per_item(ROUNDS, SESSIONS, || {
        for session in &others {
            black_box(AccountTag::of(black_box(&session.identity.user)));
        }
    });
    rows.push(vec!["of that, the hash of a user identifier".to_owned(), format!("{:.0}", tag * 1e9)]);
    table(&["", "ns"], &rows);
}

fn adding(runtime: &Runtime) {
    const MORE: usize = 10_000;
    heading(&format!("Ending a session, {MORE} times one by one, µs"));
    let mut rows = Vec::new();
    for (name, limit) in [("beside a million", 2 * MANY), ("in the place of one of a million", MANY)] {
        let ledger = ledger(limit, &Clock::stopped(NOW));
        end(runtime, &ledger, (0..MANY).map(session_entry));
        let mut took: Vec<f64> = (MANY..MANY + MORE)
            .map(|number| {
                let entry = [session_entry(number)];
                let began = Instant::now();
                assert_eq!(runtime.block_on(ledger.end(&entry)), Spread::Everywhere);
                began.elapsed().as_secs_f64()
            })
            .collect();
        rows.push(spread(name, &mut took));
    }
    table(&["", "p50", "p99", "longest"], &rows);
}

fn sweeping(runtime: &Runtime) {
    heading(&format!("Sweeping one of {PARTS} parts of a million entries, µs: as long as somebody may have to wait"));
    let clock = Clock::stopped(NOW);
    let ledger = ledger(MANY, &clock);
    // A half ends in the first hour, the other half in the second.
    end(runtime, &ledger, (0..MANY).map(session_entry));
    let mut rows = Vec::new();
    for (name, later) in
        [("nothing has ended for good", 0), ("half of it has", 1), ("nothing more has", 0), ("all of it has", 1)]
    {
        clock.advance(HOUR * later);
        let mut took: Vec<f64> = (0..PARTS)
            .map(|_| {
                let began = Instant::now();
                ledger.sweep();
                began.elapsed().as_secs_f64()
            })
            .collect();
        rows.push(spread(name, &mut took));
    }
    assert!(format!("{ledger:?}").contains("entries: 0"));
    table(&["", "p50", "p99", "longest"], &rows);
}

// --- what has ended --------------------------------------------------------------------------------------------------------------

fn ledger(limit: usize, clock: &Clock) -> Ledger {
    Ledger::new(limit, Arc::new(Store::new(&store::Settings::Memory { bytes: 0 })), clock.clone())
}

fn end(runtime: &Runtime, ledger: &Ledger, entries: impl IntoIterator<Item = Revocation>) {
    let mut entries = entries.into_iter();
    loop {
        let page: Vec<Revocation> = entries.by_ref().take(1_000).collect();
        if page.is_empty() {
            return;
        }
        assert_eq!(runtime.block_on(ledger.end(&page)), Spread::Everywhere);
    }
}

/// The `number`th session. Its ids look like those of real ones.
fn session(number: usize) -> Session {
    let user = format!("user-{number}@example.com");
    Session {
        id: id(number),
        identity: Identity { user: UserId::parse(&user).unwrap(), claims: [].into() },
        provider: ProviderTag::of(&ProviderName::parse("op").unwrap(), ISSUER),
        subject: SubjectTag::of(ISSUER, &user),
        provider_session: Some(ProviderSessionTag::of(ISSUER, &user)),
        signed_in: NOW,
        seen: NOW,
        due: None,
        record: None,
        refreshes: false,
        has_stored_claims: false,
    }
}

fn id(number: usize) -> SessionId {
    // Any odd factor gives every number another id.
    format!("{:032x}", (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).parse().unwrap()
}

fn session_entry(number: usize) -> Revocation {
    entry(number, Revoked::Session(id(number)))
}

/// What ends the `number`th session, in one of so many ways.
fn entry_of_a_kind(number: usize, kinds: usize) -> Revocation {
    let session = session(number);
    // Those that are asked for are a hundred apart, and meet every kind.
    let what = match (number + number / 100) % kinds {
        0 => Revoked::Session(session.id),
        1 => Revoked::ProviderSession(session.provider_session.unwrap()),
        2 => Revoked::Subject(session.subject),
        _ => Revoked::Account(AccountTag::of(&session.identity.user)),
    };
    entry(number, what)
}

/// Looked for by every session, and meant for none.
fn provider_entry() -> Revocation {
    let what = Revoked::Provider(session(0).provider);
    Revocation { what, until: NOW.minus(HOUR), ends: NOW.plus(HOUR) }
}

fn entry(number: usize, what: Revoked) -> Revocation {
    Revocation { what, until: NOW, ends: NOW.plus(HOUR * (1 + number as u32 % 2)) }
}

// --- what is measured ------------------------------------------------------------------------------------------------------------

/// Bytes of memory of this process that are in RAM now: the second field of `/proc/self/statm`, in pages of 4 KiB.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

/// Seconds for each of the `count` things that `what` does; one round before, for the caches of the machine.
fn per_item(rounds: usize, count: usize, mut what: impl FnMut()) -> f64 {
    what();
    let mut figures: Vec<f64> = (0..rounds)
        .map(|_| {
            let began = Instant::now();
            what();
            began.elapsed().as_secs_f64() / count as f64
        })
        .collect();
    figures.sort_unstable_by(f64::total_cmp);
    quantile(&figures, 0.5)
}

fn spread(name: &str, took: &mut [f64]) -> Vec<String> {
    took.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| format!("{:.1}", quantile(took, share) * 1e6);
    vec![name.to_owned(), at(0.5), at(0.99), at(1.0)]
}
