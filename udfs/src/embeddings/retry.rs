//! When a request is tried again, and after what pause.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Whether the same request may succeed later.
pub(super) fn is_transient(status: StatusCode) -> bool {
    status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

/// How long a server asks to be left alone: a number of seconds, or a time of day.
pub(super) fn asked_pause(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds.max(0.0)).ok();
    }
    let time = httpdate::parse_http_date(text).ok()?;
    Some(time.duration_since(now).unwrap_or_default())
}

/// The pause after the attempt of this number, counted from 1: twice as long each time, but for a quarter by chance, so that
/// requests that failed together do not come back together.
pub(super) fn pause(attempt: u32, first: Duration, longest: Duration) -> Duration {
    let whole = first.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    whole.min(longest).mul_f64(rand::random_range(0.75..=1.0))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use reqwest::StatusCode;
    use reqwest::header::{HeaderMap, RETRY_AFTER};

    use super::{asked_pause, is_transient, pause};

    fn asked(text: &str) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
        // Sunday, 6 November 1994, 08:49:07.
        asked_pause(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_747))
    }

    #[test]
    fn seconds_and_times_are_both_understood() {
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("0.25"), Some(Duration::from_millis(250)));
        assert_eq!(asked("-1"), Some(Duration::ZERO));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("soon"), None);
        assert_eq!(asked("NaN"), Some(Duration::ZERO));
        assert_eq!(asked("1e300"), None);
        assert_eq!(asked_pause(&HeaderMap::new(), SystemTime::now()), None);
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(2));
        for attempt in 1..80 {
            let whole = Duration::from_millis(100 << (attempt - 1).min(10)).min(longest);
            let found = pause(attempt, first, longest);
            assert!(found <= whole && found >= whole.mul_f64(0.74), "{attempt}: {found:?}");
        }
    }

    #[test]
    fn what_the_server_can_do_nothing_about_is_not_tried_again() {
        for status in [400, 401, 403, 404, 413, 422, 501] {
            assert!(!is_transient(StatusCode::from_u16(status).unwrap()), "{status}");
        }
        for status in [408, 429, 500, 502, 503, 504, 529] {
            assert!(is_transient(StatusCode::from_u16(status).unwrap()), "{status}");
        }
    }
}
