//! The task that keeps the map in step with the log: reads what others have ended, and writes what the log should have and has not.

use std::{collections::HashSet, sync::atomic::Ordering, time::Duration};

use tokio::{
    task::yield_now,
    time::{Instant, sleep},
};

use super::Ledger;
use crate::{
    clock::UnixTime,
    sessions::{
        CLOCK_LEEWAY,
        revocations::{PARTS, Reading, Revocation, Revoked, UNREAD},
        store::{Position, StoreError},
    },
};

/// Between two looks at the log: what is ended on one replica holds on the others within this and two round trips.
const PACE: Duration = Duration::from_millis(200);

/// Between two looks while the store does not answer, at most.
const SLOWEST: Duration = Duration::from_secs(1);

/// The log is asked whether it still is the one that was read, also when nothing new is in it.
const CHECK: Duration = Duration::from_secs(3);

/// What was written and is not read back is written again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// Entries that are read or written at once.
const PAGE: usize = 1_000;

/// Parts of the map that are swept with each look: all of it in six seconds.
const SWEPT: usize = 8;

impl Ledger {
    /// Keeps the map in step with the log, and sweeps it, until this is dropped. One task does it; a second one would do the same work again.
    pub async fn keep_in_step(&self) {
        let mut follower = Follower::new(self);
        loop {
            for _ in 0..SWEPT {
                self.sweep();
            }
            let pause = if self.log.is_shared() { follower.look().await } else { PACE };
            sleep(pause).await;
        }
    }
}

/// A reader of the log who also writes what is missing in it.
struct Follower<'a> {
    ledger: &'a Ledger,
    reading: Reading,
    position: Position,
    /// When the entry at `position` ends: after that, a log that no longer has it was tidied up and not lost.
    position_ends: UnixTime,
    /// Whether this reading has come to the end of the log.
    has_come_to_the_end: bool,
    /// When the log is asked whether it is still the one that was read.
    check: Instant,
    /// Before this, nothing is written that was written before.
    again: Instant,
    /// Entries that were written because they were missing, since somebody was told of it.
    written: usize,
    pace: Duration,
    deaf: Outage,
    mute: Outage,
}

impl<'a> Follower<'a> {
    fn new(ledger: &'a Ledger) -> Self {
        let now = Instant::now();
        let mut follower = Self {
            ledger,
            reading: ledger.reading(),
            position: Position::default(),
            position_ends: UnixTime(0),
            has_come_to_the_end: false,
            check: now,
            again: now,
            written: 0,
            pace: PACE,
            deaf: Outage::default(),
            mute: Outage::default(),
        };
        follower.start_over();
        follower
    }

    /// Reads the log from its start next, as if nothing of it were known; then it is owed whatever it has not.
    fn start_over(&mut self) {
        self.reading = self.reading.checked_add(1).unwrap_or(UNREAD + 1);
        self.ledger.reading.store(self.reading, Ordering::Relaxed);
        self.ledger.outbox.owe_everything();
        self.position = Position::default();
        self.has_come_to_the_end = false;
    }

    /// One look at the log, and how long to wait until the next.
    async fn look(&mut self) -> Duration {
        // What is owed by now must be among what is read from now on, or be written again.
        let owed = self.ledger.outbox.named();
        match self.read_on().await {
            Ok(()) => {
                self.pace = PACE;
                if let Some(lasted) = self.deaf.is_over() {
                    tracing::info!(
                        outage_ms = lasted.as_millis() as u64,
                        "The session store answers again: what has been ended elsewhere meanwhile is known here from now on"
                    );
                }
            }
            Err(error) => {
                self.check = Instant::now();
                if self.deaf.begins() {
                    tracing::warn!(
                        error = %error,
                        "What is ended on other replicas is not known here until the session store answers, and sessions count for \
                         `session.cut_off_grace` meanwhile: {error}"
                    );
                }
                self.pace = (self.pace * 2).min(SLOWEST);
                return self.pace;
            }
        }
        if self.has_come_to_the_end {
            self.write(&owed).await;
        }
        PACE
    }

    /// Takes in what the log holds behind the place reached, to its end; or starts over, for the next look, when the log is another one.
    async fn read_on(&mut self) -> Result<(), StoreError> {
        let Ledger { log, map, clock, looks, .. } = self.ledger;
        loop {
            let looked = (Instant::now(), clock.now());
            let page = log.read(&self.position, PAGE).await?;
            let is_new = page.position != self.position;
            // Asked after the page was read: a log that was lost in between does not pass for the continuation of the one before.
            let is_anything_read = self.position != Position::default();
            if is_anything_read && (is_new || looked.0 >= self.check) {
                if !log.still_has(&self.position).await? {
                    if self.position_ends > looked.1.plus(CLOCK_LEEWAY) {
                        tracing::warn!(
                            "The session store has lost its log of ended sessions: what is known here is written again"
                        );
                    }
                    self.start_over();
                    return Ok(());
                }
                self.check = looked.0 + CHECK;
            }
            for entry in &page.entries {
                map.add_logged(*entry, looked.1, self.reading);
                self.position_ends = entry.ends;
            }
            self.position = page.position;
            // A page may be short because nobody understands some of its entries: the first time, nothing is at its end but the end.
            if !is_new || (self.has_come_to_the_end && page.entries.len() < PAGE) {
                self.has_come_to_the_end = true;
                looks.succeeded(looked);
                return Ok(());
            }
        }
    }

    /// Writes what is missing in the log.
    async fn write(&mut self, owed: &HashSet<Revoked>) {
        let Ledger { map, outbox, clock, .. } = self.ledger;
        let now = clock.now();
        let missing = outbox.missing(owed, |what| map.missing(what, self.reading, now));
        if Instant::now() < self.again {
            return;
        }
        match self.write_missing(&missing).await {
            Ok(()) => {
                if let Some(lasted) = self.mute.is_over() {
                    tracing::info!(
                        outage_ms = lasted.as_millis() as u64,
                        "The session store takes the log of ended sessions again: what was ended here meanwhile is told to the other replicas"
                    );
                }
            }
            Err(error) => {
                let now = Instant::now();
                (self.check, self.again) = (now, now + AGAIN);
                if self.mute.begins() {
                    tracing::warn!(
                        error = %error,
                        "What is ended here is not known to other replicas until the session store takes it: {error}"
                    );
                }
            }
        }
    }

    async fn write_missing(&mut self, missing: &[Revocation]) -> Result<(), StoreError> {
        let Ledger { log, outbox, clock, .. } = self.ledger;
        if outbox.take_everything() {
            let compared = self.write_everything().await;
            // What was written is owed until it has been read back.
            if !matches!(compared, Ok(true)) {
                outbox.owe_everything();
            }
            return compared.map(|_| ());
        }
        for page in missing.chunks(PAGE) {
            log.append(page, clock.now()).await?;
            self.again = Instant::now() + AGAIN;
        }
        Ok(())
    }

    /// Goes through the whole map. Whether nothing was missing.
    async fn write_everything(&mut self) -> Result<bool, StoreError> {
        let Ledger { log, map, clock, .. } = self.ledger;
        let reading = self.reading;
        let mut was_missing = false;
        for part in 0..PARTS {
            let now = clock.now();
            let missing = map.missing_in(part, reading, now);
            for page in missing.chunks(PAGE) {
                log.append(page, now).await?;
                self.written += page.len();
            }
            if !missing.is_empty() {
                was_missing = true;
                self.again = Instant::now() + AGAIN;
                // Each replica goes through its entries in an order of its own, and need not write what another one just has.
                self.read_on().await?;
                if self.reading != reading {
                    return Ok(false);
                }
            }
            yield_now().await;
        }
        if !was_missing && self.written > 0 {
            tracing::info!(
                entries = self.written,
                "Wrote {} entries that were missing in the log of ended sessions",
                self.written
            );
            self.written = 0;
        }
        Ok(!was_missing)
    }
}

/// Something that does not work for a while: said once when it begins, and once when it is over.
#[derive(Default)]
struct Outage(Option<Instant>);

impl Outage {
    /// Whether it was not known yet.
    fn begins(&mut self) -> bool {
        let is_news = self.0.is_none();
        self.0.get_or_insert_with(Instant::now);
        is_news
    }

    /// How long it has lasted; `None` when there was none.
    fn is_over(&mut self) -> Option<Duration> {
        self.0.take().map(|since| since.elapsed())
    }
}
