//! The log of what has ended: a stream, whose own ids are the positions in it.

use std::{
    sync::{Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use redis::Value;
use tokio::time::Instant;

use super::{Redis, entry, unexpected};
use crate::{
    clock::UnixTime,
    sessions::{
        revocations::Revocation,
        store::{Page, Position, StoreError},
    },
};

/// Entries that one script writes.
const BATCH: usize = 500;

/// Entries that are looked at at once, to see whether they have ended.
const TRIM: usize = 1_000;

const BETWEEN_TRIMS: Duration = Duration::from_secs(60);

/// What another version wrote, and so means nothing to us, is kept for so long.
const STRANGE_ENTRIES: Duration = Duration::from_secs(30 * 86_400);

const APPEND: &str = "
for i = 1, #ARGV do redis.call('XADD', KEYS[1], '*', 'e', ARGV[i]) end
return 1";

/// When the beginning of the log was looked at last, to drop what has ended for good.
#[derive(Debug, Default)]
pub(super) struct Trimmed(Mutex<Option<Instant>>);

impl Trimmed {
    /// Whether it is time again; then it is somebody's who asked.
    fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| last.elapsed() >= BETWEEN_TRIMS);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

/// One entry of the stream as it came: its id, and what it says when we understand it.
struct Entry {
    id: String,
    says: Option<Revocation>,
}

impl Redis {
    pub(in super::super) async fn append(&self, entries: &[Revocation], now: UnixTime) -> Result<(), StoreError> {
        let log = self.log();
        for batch in entries.chunks(BATCH) {
            self.append_to(&log, batch).await?;
        }
        if self.trimmed.is_due()
            && let Err(error) = self.trim(&log, now).await
        {
            // It has been said; what is left stays for a minute longer.
            tracing::debug!(error = %error, "The log of ended sessions could not be trimmed: {error}");
        }
        Ok(())
    }

    pub(in super::super) async fn read(&self, position: &Position, limit: usize) -> Result<Page, StoreError> {
        let log = self.log();
        let mut page = Page { entries: Vec::new(), position: position.clone() };
        loop {
            let from = match &*page.position.0 {
                "" => "-".to_owned(),
                id => format!("({id}"),
            };
            let found = self.range(&log, &from, "+", limit.max(1)).await?;
            let Some(last) = found.last() else { return Ok(page) };
            page.position = Position(last.id.as_str().into());
            let count = found.len();
            page.entries.extend(found.into_iter().filter_map(|entry| entry.says));
            if page.entries.len() < count && !self.has_warned_of_entries.swap(true, Ordering::Relaxed) {
                tracing::warn!("The log of ended sessions has entries of another version; they are passed over");
            }
            // A page of nothing but those is no end of the log.
            if !page.entries.is_empty() {
                return Ok(page);
            }
        }
    }

    pub(in super::super) async fn still_has(&self, position: &Position) -> Result<bool, StoreError> {
        match &*position.0 {
            "" => Ok(true),
            id => Ok(!self.range(&self.log(), id, id, 1).await?.is_empty()),
        }
    }

    /// Writes into a log of its own at `key`, reads and drops it.
    pub(super) async fn probe_log(&self, key: &str) -> Result<(), StoreError> {
        use crate::sessions::{SessionId, revocations::Revoked};
        let (what, until) = (Revoked::Session(SessionId::random()), UnixTime(1));
        self.append_to(key, &[Revocation { what, until, ends: until }]).await?;
        self.trim(key, UnixTime(0)).await?;
        let found = self.range(key, "-", "+", 2).await?;
        let id = found.last().map(|entry| entry.id.clone()).unwrap_or_default();
        self.trim_to(key, &id).await?;
        self.ask(key, "DEL", |_| {}).await?;
        self.range(&self.log(), "-", "+", 1).await.map(drop)
    }

    fn log(&self) -> String {
        format!("{}:log", self.access.load().settings.prefix)
    }

    async fn append_to(&self, log: &str, batch: &[Revocation]) -> Result<(), StoreError> {
        self.run(APPEND, log, |script| {
            for entry in batch {
                script.arg(entry::write(entry).as_slice());
            }
        })
        .await
        .map(drop)
    }

    /// Drops what has ended by `now` from the beginning of the log, up to the first entry that has not; the last one stays in any case, so that
    /// whoever has read it knows the log again.
    async fn trim(&self, log: &str, now: UnixTime) -> Result<(), StoreError> {
        loop {
            let found = self.range(log, "-", "+", TRIM).await?;
            let ended = found.iter().take_while(|entry| entry.has_ended(now)).count();
            let first_to_stay = found.get(ended).or(found.last()).filter(|_| ended > 0);
            let Some(first_to_stay) = first_to_stay else { return Ok(()) };
            self.trim_to(log, &first_to_stay.id).await?;
            if ended < TRIM {
                return Ok(());
            }
        }
    }

    async fn trim_to(&self, log: &str, id: &str) -> Result<(), StoreError> {
        self.ask(log, "XTRIM", |command| {
            command.arg("MINID").arg(id);
        })
        .await
        .map(drop)
    }

    async fn range(&self, log: &str, from: &str, to: &str, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let answer = self.ask(log, "XRANGE", |command| {
            command.arg(from).arg(to).arg("COUNT").arg(limit);
        });
        let Value::Array(entries) = answer.await? else { return Err(unexpected()) };
        entries.iter().map(|entry| Entry::read(entry).ok_or_else(unexpected)).collect()
    }
}

impl Entry {
    fn read(value: &Value) -> Option<Self> {
        let Value::Array(parts) = value else { return None };
        let [Value::BulkString(id), Value::Array(fields)] = parts.as_slice() else { return None };
        let id = std::str::from_utf8(id).ok()?.to_owned();
        let says = match fields.as_slice() {
            [Value::BulkString(field), Value::BulkString(entry)] if field == b"e" => entry::read(entry),
            _ => None,
        };
        Some(Self { id, says })
    }

    /// Whether nobody needs it any more at `now`.
    fn has_ended(&self, now: UnixTime) -> bool {
        match &self.says {
            Some(revocation) => revocation.ends <= now,
            None => self.written().plus(STRANGE_ENTRIES) <= now,
        }
    }

    /// By the clock of Redis: an id begins with milliseconds.
    fn written(&self) -> UnixTime {
        let (milliseconds, _) = self.id.split_once('-').unwrap_or((&self.id, ""));
        UnixTime(milliseconds.parse().unwrap_or(u64::MAX) / 1_000)
    }
}
