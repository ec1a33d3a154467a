//! The only file that reads the time (clippy enforces it), so that no result depends on a clock by accident.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time since a moment, on a clock that never goes back.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[allow(clippy::disallowed_methods)] // the only file that may
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.elapsed().as_secs_f64()
    }
}

/// What `work` returns, and the seconds it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let watch = Stopwatch::start();
    let result = work();
    (result, watch.seconds())
}

/// The date and time in UTC, as ISO 8601 has it: `2026-11-23T19:39:02Z`.
pub fn today() -> String {
    iso(since_epoch())
}

/// Seconds since 1970-01-01 in UTC, as batch systems say when a job ends.
#[allow(clippy::disallowed_methods)] // the only file that may
pub fn since_epoch() -> u64 {
    // A clock set before 1970 is broken, and shown as 1970.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn iso(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of the Gregorian calendar, `days` after 1970-01-01.
///
/// Years are counted from 1 March: the leap day is then the last of the year, and month lengths follow a line.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let (era, day) = (days / 146_097, days % 146_097); // 400 years repeat exactly
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // from March; five months have 153 days
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (400 * era + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (1_795_462_742, "2026-11-23T19:39:02Z"),
        ] {
            assert_eq!(iso(seconds), text);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = civil(0);
        for days in 1..200_000 {
            let (year, month, day) = civil(days);
            let follows = match day {
                1 => (year, month) == next_month(before.0, before.1) && before.2 >= 28,
                _ => (year, month, day - 1) == before,
            };
            assert!(follows, "{before:?} then {:?}", (year, month, day));
            before = (year, month, day);
        }
    }

    fn next_month(year: u64, month: u64) -> (u64, u64) {
        if month == 12 { (year + 1, 1) } else { (year, month + 1) }
    }

    #[test]
    fn time_passes() {
        let (sum, seconds) = timed(|| {
            std::thread::sleep(std::time::Duration::from_millis(3));
            (0..1000u64).sum::<u64>()
        });
        assert_eq!(sum, 499_500);
        assert!(seconds >= 3e-3, "{seconds}");
    }
}
