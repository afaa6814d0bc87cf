//! Wall-clock time, in one place: everything below the top takes `now` as an argument, so that tests own time.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Whole seconds since 1970-01-01T00:00:00Z: what cookies, claims and lifetimes are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// `duration` later; the end of time when that cannot be represented.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// `duration` earlier; 1970 when that would be before it.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_secs()))
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl UnixTime {
    /// As a date and a time of day in UTC.
    #[must_use]
    pub fn utc(self) -> Utc {
        // Days since 1970 in the proleptic Gregorian calendar: eras of 400 years, which begin with March.
        let days = self.0 / 86_400 + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let is_after_december = month >= 10;
        Utc {
            year: era * 400 + year + u64::from(is_after_december),
            month: if is_after_december { month - 9 } else { month + 3 },
            day: day - (153 * month + 2) / 5 + 1,
            second: self.0 % 86_400,
        }
    }
}

/// A moment as people write it; its `Display` is RFC 3339's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utc {
    year: u64,
    month: u64,
    day: u64,
    /// Of the day.
    second: u64,
}

impl Utc {
    /// `15 January 2027, 08:00 UTC`.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { year, day, second, .. } = self;
        format!("{day} {} {year}, {:02}:{:02} UTC", self.month_name(), second / 3_600, second / 60 % 60)
    }

    fn month_name(&self) -> &'static str {
        const NAMES: [&str; 12] = [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ];
        let month = NAMES.iter().zip(1..).find(|(_, month)| *month == self.month);
        month.map_or("", |(name, _)| name)
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, second } = self;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Tells the time; a stopped one moves only when a test moves it.
#[derive(Clone, Debug)]
pub struct Clock(Inner);

#[derive(Clone, Debug)]
enum Inner {
    System,
    Stopped(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Inner::System)
    }

    /// A clock that stands at `now` until it is advanced. Clones share the hands.
    #[must_use]
    pub fn stopped(now: UnixTime) -> Self {
        Self(Inner::Stopped(Arc::new(AtomicU64::new(now.0))))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        match &self.0 {
            Inner::System => {
                #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
                let now = SystemTime::now();
                // A machine that believes to be before 1970 gets 1970: every credential is then "not yet valid".
                UnixTime(now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
            }
            Inner::Stopped(seconds) => UnixTime(seconds.load(Ordering::Relaxed)),
        }
    }

    /// Moves a stopped clock; the machine's own cannot be moved.
    pub fn advance(&self, by: Duration) {
        if let Inner::Stopped(seconds) = &self.0 {
            seconds.fetch_add(by.as_secs(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `date -u -d @…` has it.
    #[test]
    fn a_moment_is_a_date() {
        for (seconds, date, words) in [
            (0, "1970-01-01T00:00:00Z", "1 January 1970, 00:00 UTC"),
            (951_782_399, "2000-02-28T23:59:59Z", "28 February 2000, 23:59 UTC"),
            (951_782_400, "2000-02-29T00:00:00Z", "29 February 2000, 00:00 UTC"),
            (1_798_761_599, "2026-12-31T23:59:59Z", "31 December 2026, 23:59 UTC"),
            (1_800_000_000, "2027-01-15T08:00:00Z", "15 January 2027, 08:00 UTC"),
            (4_107_542_400, "2100-03-01T00:00:00Z", "1 March 2100, 00:00 UTC"),
            (253_402_300_799, "9999-12-31T23:59:59Z", "31 December 9999, 23:59 UTC"),
        ] {
            let utc = UnixTime(seconds).utc();
            assert_eq!((utc.to_string().as_str(), utc.words().as_str()), (date, words));
        }
        assert!(!UnixTime(u64::MAX).utc().to_string().is_empty(), "the end of time is a date");
    }
}
