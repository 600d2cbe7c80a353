//! The times in a JWT.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01T00:00:00Z, without leap seconds, possibly with a fraction
/// (`NumericDate`, RFC 7519 §2).
///
/// The number comes from outside and may be any double. So this crate compares the number but adds
/// nothing to it, and no token can cause an overflow.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct NumericDate(f64);

/// 5000-01-01T00:00:00Z. The current time in milliseconds, if read as seconds, is in about the year
/// 56,000.
const YEAR_5000: f64 = 95_617_584_000.0;

impl NumericDate {
    /// Whether the number is too large to be in seconds. Some servers write milliseconds. If these
    /// were read as seconds, the tokens would practically never expire.
    pub(crate) fn is_in_milliseconds(self) -> bool {
        self.0 > YEAR_5000
    }

    pub(crate) const fn from_secs_f64(seconds: f64) -> Self {
        Self(seconds)
    }

    pub(crate) fn now(wall: Duration) -> Self {
        Self(wall.as_secs_f64())
    }

    /// The seconds since the epoch.
    pub const fn as_secs_f64(self) -> f64 {
        self.0
    }

    /// The time as a `SystemTime`. Returns `None` for a time before 1970 or outside the range of
    /// `SystemTime`.
    pub fn to_system_time(self) -> Option<SystemTime> {
        let since_epoch = Duration::try_from_secs_f64(self.0).ok()?;
        UNIX_EPOCH.checked_add(since_epoch)
    }
}

impl fmt::Display for NumericDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A very large number is written with an exponent. `Display` of `f64` would write 1e300
        // with all its digits.
        if self.0.abs() < 1e15 { write!(f, "{}", self.0) } else { write!(f, "{:e}", self.0) }
    }
}

impl serde::Serialize for NumericDate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Write a whole number as an integer, because the token most likely had an integer.
        if self.0.fract() == 0.0 && self.0.abs() < 9_007_199_254_740_992.0 {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

/// Reads any JSON number, as RFC 7519 §2 requires. A time may have a fraction.
impl<'de> serde::Deserialize<'de> for NumericDate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if !seconds.is_finite() {
            return Err(serde::de::Error::custom("a NumericDate is a finite number"));
        }
        Ok(Self(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_and_nothing_else() {
        let read = |text: &str| serde_json::from_str::<NumericDate>(text).ok();
        for (text, seconds) in
            [("1790000000", 1.79e9), ("1.79e9", 1.79e9), ("1.5", 1.5), ("-1", -1.0), ("0", 0.0)]
        {
            assert_eq!(read(text), Some(NumericDate(seconds)), "{text}");
            let written = serde_json::to_string(&NumericDate(seconds)).unwrap();
            assert_eq!(read(&written), Some(NumericDate(seconds)), "{text}, written and read");
        }
        for text in ["\"1790000000\"", "null", "true", "[1]", "{}", "1e400", "\"NaN\""] {
            assert_eq!(read(text), None, "{text}");
        }
        use serde::de::value::{Error, F64Deserializer};
        use serde::de::{Deserialize as _, IntoDeserializer as _};
        let nan: F64Deserializer<Error> = f64::NAN.into_deserializer();
        assert!(NumericDate::deserialize(nan).is_err());
    }

    #[test]
    fn seconds_end_with_the_year_5000() {
        for (seconds, is_in_milliseconds) in [
            (0.0, false),
            (-1.0, false),
            (1.79e9, false),
            (YEAR_5000, false),
            (YEAR_5000 + 1.0, true),
            (1.79e12, true),
            (1e300, true),
        ] {
            let date = NumericDate::from_secs_f64(seconds);
            assert_eq!(date.is_in_milliseconds(), is_in_milliseconds, "{seconds}");
        }
    }

    #[test]
    fn any_double_is_total() {
        for (seconds, representable) in [
            (0.0, true),
            (1_700_000_000.5, true),
            (9_007_199_254_740_992.5, true),
            (-1.0, false),
            (1e300, false),
            (f64::NAN, false),
            (f64::INFINITY, false),
        ] {
            let date = NumericDate::from_secs_f64(seconds);
            assert_eq!(date.to_system_time().is_some(), representable, "{seconds}");
            assert!(!date.to_string().is_empty());
        }
    }
}
