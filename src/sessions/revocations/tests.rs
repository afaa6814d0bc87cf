use std::{collections::HashSet, time::Duration};

use super::*;
use crate::{identity::UserId, sessions::tests::session};

const NOW: UnixTime = UnixTime(1_800_000_000);
const FIRST: Reading = UNREAD + 1;
const SECOND: Reading = UNREAD + 2;

fn at(seconds: u64) -> UnixTime {
    UnixTime(NOW.0 + seconds)
}

/// The `number`th session ends, in `ends` seconds from [`NOW`].
fn ended(number: u128, ends: u64) -> Revocation {
    Revocation { what: Revoked::Session(SessionId(number.to_be_bytes())), until: at(ends), ends: at(ends) }
}

fn knows(map: &Revocations, number: u128) -> bool {
    let caller = Session { id: SessionId(number.to_be_bytes()), ..session("alice") };
    map.until(&caller).is_some()
}

/// The numbers, below 100, of the sessions that have ended.
fn known(map: &Revocations) -> Vec<u128> {
    (0..100).filter(|number| knows(map, *number)).collect()
}

fn account(user: &str) -> Revoked {
    Revoked::Account(AccountTag::of(&UserId::parse(user).unwrap()))
}

#[test]
fn each_kind_ends_its_sessions_and_no_others() {
    let caller = Session { signed_in: at(50), ..session("alice") };
    let cases = [
        (Revoked::Session(caller.id), Some(at(50))),
        (Revoked::ProviderSession(caller.provider_session.unwrap()), Some(at(9))),
        (Revoked::Subject(caller.subject), Some(at(9))),
        (account("alice"), Some(at(9))),
        (Revoked::Provider(caller.provider), Some(at(9))),
        (Revoked::Session(SessionId::random()), None),
        (Revoked::ProviderSession(ProviderSessionTag([9; 8])), None),
        (Revoked::Subject(SubjectTag([9; 8])), None),
        (account("bob"), None),
        (Revoked::Provider(ProviderTag([9; 4])), None),
        // The same bytes as another kind's are something else.
        (Revoked::ProviderSession(ProviderSessionTag(caller.subject.0)), None),
        (Revoked::Subject(SubjectTag(caller.provider_session.unwrap().0)), None),
        (Revoked::Subject(SubjectTag(AccountTag::of(&caller.identity.user).0)), None),
    ];
    for (what, until) in cases {
        let map = Revocations::new(100);
        assert_eq!(map.until(&caller), None, "{what:?}");
        assert!(map.add(Revocation { what, until: at(9), ends: at(100) }, NOW), "{what:?}");
        assert_eq!(map.until(&caller), until, "{what:?}");
        let nowhere = Session { provider_session: None, ..caller.clone() };
        let is_by_provider_session = matches!(what, Revoked::ProviderSession(_));
        assert_eq!(map.until(&nowhere), until.filter(|_| !is_by_provider_session), "{what:?}");
    }
}

#[test]
fn the_last_end_counts_whichever_kind_it_is_of() {
    let caller = session("alice");
    let kinds = [
        Revoked::ProviderSession(caller.provider_session.unwrap()),
        Revoked::Subject(caller.subject),
        account("alice"),
        Revoked::Provider(caller.provider),
    ];
    for last in kinds {
        let map = Revocations::new(100);
        for what in kinds {
            map.add(Revocation { what, until: at(if what == last { 7 } else { 3 }), ends: at(100) }, NOW);
        }
        assert_eq!(map.until(&caller), Some(at(7)), "{last:?}");
    }
}

#[test]
fn only_what_says_more_is_news() {
    let map = Revocations::new(100);
    let caller = session("alice");
    for (until, ends, is_news, known) in [
        (5, 0, false, None),
        (5, 10, true, Some(at(5))),
        (5, 10, false, Some(at(5))),
        (3, 9, false, Some(at(5))),
        (6, 8, true, Some(at(6))),
        (6, 10, false, Some(at(6))),
        (1, 11, true, Some(at(6))),
        (6, 11, false, Some(at(6))),
    ] {
        let revocation = Revocation { what: account("alice"), until: at(until), ends: at(ends) };
        assert_eq!(map.add(revocation, NOW), is_news, "{until} {ends}");
        assert_eq!(map.until(&caller), known, "{until} {ends}");
    }
    assert_eq!(map.len(), 1);
}

#[test]
fn an_entry_is_missing_until_this_reading_has_met_as_much() {
    let map = Revocations::new(100);
    let what = account("alice");
    let entry = |until, ends| Revocation { what, until: at(until), ends: at(ends) };
    assert_eq!(map.missing(&what, FIRST, NOW), None, "nothing is known");
    assert!(!map.is_logged(&what, FIRST));
    type Step = fn(&Revocations, Revocation) -> bool;
    let ended_here: Step = |map, entry| map.add(entry, NOW);
    let read_first: Step = |map, entry| map.add_logged(entry, NOW, FIRST);
    let read_second: Step = |map, entry| map.add_logged(entry, NOW, SECOND);
    for (step, read, missing) in [
        (ended_here, entry(5, 10), [Some(entry(5, 10)), Some(entry(5, 10))]),
        (read_first, entry(4, 10), [Some(entry(5, 10)), Some(entry(5, 10))]),
        (read_first, entry(5, 9), [Some(entry(5, 10)), Some(entry(5, 10))]),
        (read_first, entry(5, 10), [None, Some(entry(5, 10))]),
        (ended_here, entry(5, 10), [None, Some(entry(5, 10))]),
        (read_second, entry(5, 10), [Some(entry(5, 10)), None]),
        (ended_here, entry(6, 10), [Some(entry(6, 10)), Some(entry(6, 10))]),
        (read_second, entry(5, 11), [Some(entry(6, 11)), Some(entry(6, 11))]),
        (read_second, entry(7, 12), [Some(entry(7, 12)), None]),
    ] {
        step(&map, read);
        assert_eq!([FIRST, SECOND].map(|reading| map.missing(&what, reading, NOW)), missing, "{read:?}");
        let in_parts =
            [FIRST, SECOND].map(|reading| (0..PARTS).flat_map(|part| map.missing_in(part, reading, NOW)).next());
        assert_eq!(in_parts, missing, "{read:?}");
        assert_eq!(map.is_logged(&what, SECOND), missing[1].is_none(), "{read:?}");
    }
    assert_eq!(map.missing(&what, FIRST, at(12)), None, "it has ended for good");
    assert!((0..PARTS).all(|part| map.missing_in(part, FIRST, at(12)).is_empty()));
    assert!(map.missing_in(PARTS, FIRST, NOW).is_empty(), "there is no such part");
}

#[test]
fn every_kind_comes_out_as_it_went_in() {
    let map = Revocations::new(1_000);
    let kinds = [
        Revoked::Session(SessionId([7; 16])),
        Revoked::ProviderSession(ProviderSessionTag([7; 8])),
        Revoked::Subject(SubjectTag([7; 8])),
        Revoked::Account(AccountTag([7; 8])),
        Revoked::Provider(ProviderTag([7; 4])),
    ];
    let entries = kinds.map(|what| Revocation { what, until: at(1), ends: at(2) });
    entries.iter().for_each(|entry| assert!(map.add(*entry, NOW)));
    let missing: Vec<_> = (0..PARTS).flat_map(|part| map.missing_in(part, FIRST, NOW)).collect();
    assert_eq!(missing.len(), 5);
    assert!(entries.iter().all(|entry| missing.contains(entry)));
}

#[test]
fn when_full_what_has_ended_goes_then_what_ends_first() {
    let map = Revocations::new(3);
    for (number, ends) in [(1, 30), (2, 10), (3, 20)] {
        map.add(ended(number, ends), NOW);
    }
    assert_eq!(known(&map), [1, 2, 3]);
    assert!(!map.add(ended(1, 30), NOW), "what is known needs no room");
    assert_eq!(known(&map), [1, 2, 3]);
    map.add(ended(4, 40), NOW);
    assert_eq!(known(&map), [1, 3, 4]);
    // A new entry is kept even when it would be the next to go.
    map.add(ended(5, 1), NOW);
    assert_eq!(known(&map), [1, 4, 5]);
    // Prolonged, the first to go is another.
    map.add(ended(5, 50), NOW);
    map.add(ended(6, 60), NOW);
    assert_eq!(known(&map), [4, 5, 6]);
    map.add(ended(7, 70), at(40));
    assert_eq!(known(&map), [5, 6, 7]);
    assert!(map.has_warned.load(Ordering::Relaxed));
}

#[test]
fn when_what_has_ended_makes_room_nothing_is_given_up() {
    let map = Revocations::new(3);
    for (number, ends, now) in [(1, 10, 0), (2, 20, 0), (3, 30, 0), (4, 40, 10), (5, 50, 20)] {
        map.add(ended(number, ends), at(now));
    }
    assert_eq!(known(&map), [3, 4, 5]);
    assert!(!map.has_warned.load(Ordering::Relaxed));
}

#[test]
fn it_never_grows_past_its_limit_and_keeps_what_ends_last() {
    for limit in [0, 1, 2, 1_000] {
        let map = Revocations::new(limit);
        for number in 0..10_000 {
            // 7,919 and 10,000 have no common divisor: each end once, in no order.
            let ends = 1 + number * 7_919 % 10_000;
            map.add(ended(number, ends as u64), NOW);
            assert!(knows(&map, number), "what has just ended has ended");
            assert!(map.len() <= limit.max(1));
        }
        let kept = (0..10_000).filter(|number| knows(&map, *number));
        let ends: Vec<u128> = kept.map(|number| 1 + number * 7_919 % 10_000).collect();
        // The last one added is there whenever it ends.
        assert!(ends.iter().filter(|ends| **ends > 10_000 - limit as u128).count() + 1 >= limit, "{limit}");
        assert_eq!(map.len(), limit.max(1));
    }
}

#[test]
fn a_sweep_forgets_what_has_ended_and_nothing_else() {
    let map = Revocations::new(10_000);
    for number in 0..5_000 {
        map.add(ended(number, if number % 2 == 0 { 10 } else { 20 }), NOW);
    }
    for (now, left) in [(NOW, 5_000), (at(9), 5_000), (at(10), 2_500), (at(19), 2_500), (at(20), 0)] {
        (0..PARTS).for_each(|_| map.sweep(now));
        assert_eq!(map.len(), left, "{now}");
        assert_eq!((0..5_000).filter(|number| knows(&map, *number)).count(), left, "{now}");
    }
    assert_eq!(map.counts.sessions.load(Ordering::Relaxed), 0);
    let capacity: usize = map.parts.iter().map(|part| part.read().capacity()).sum();
    assert!(capacity < 1_000, "memory is given back: {capacity}");
}

#[test]
fn times_beyond_what_an_entry_holds_are_kept_as_the_last_it_can() {
    let map = Revocations::new(10);
    let never = UnixTime(u64::MAX);
    assert!(map.add(Revocation { what: account("alice"), until: never, ends: never }, NOW));
    assert!(!map.add(Revocation { what: account("alice"), until: never, ends: never }, NOW));
    assert_eq!(map.until(&session("alice")), Some(UnixTime(u64::from(u32::MAX) - 1)));
    for number in 0..20 {
        map.add(ended(number, 10 + number as u64), NOW);
    }
    assert!(map.until(&session("alice")).is_some(), "the last to go");
}

/// Half a million of the largest kind have to stay well below 64 bytes each; the benchmark has what the machine says.
#[test]
fn an_entry_is_small() {
    assert_eq!(size_of::<(Revoked, Known)>(), 26);
}

#[test]
fn ids_that_differ_little_are_spread_over_all_parts() {
    let map = Revocations::new(10_000);
    for number in 0..2_560_u128 {
        // In their first bytes, their last, and as tags.
        map.add(ended(number, 10), NOW);
        map.add(ended(number << 116, 10), NOW);
        map.add(
            Revocation { what: Revoked::Subject(SubjectTag((number as u64).to_le_bytes())), until: NOW, ends: at(10) },
            NOW,
        );
    }
    let sizes: Vec<usize> = map.parts.iter().map(|part| part.read().len()).collect();
    // Thirty each on average; by chance alone none is as far off as this in a million runs.
    assert!(sizes.iter().all(|size| (3..=80).contains(size)), "{sizes:?}");
    let other = Revocations::new(10);
    let places: HashSet<u64> = [&map, &other].iter().map(|map| map.seeds.hash_one(account("alice"))).collect();
    assert_eq!(places.len(), 2, "each map has its own seeds");
}

#[test]
fn many_threads_agree() {
    let map = Revocations::new(100_000);
    let news: usize = std::thread::scope(|scope| {
        let add = || (0..1_000).filter(|number| map.add(ended(*number, 10), NOW)).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(add)).collect();
        scope.spawn(|| (0..PARTS).for_each(|_| map.sweep(NOW.minus(Duration::from_secs(1)))));
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((news, map.len()), (1_000, 1_000));
}
