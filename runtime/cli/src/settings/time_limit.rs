//! How long a run may take, as somebody wrote it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A time above zero: `90s`, `45m`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct TimeLimit(pub(crate) Duration);

impl FromStr for TimeLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match humantime::parse_duration(text) {
            Ok(time) if !time.is_zero() => Ok(Self(time)),
            _ => Err(format!("`{text}` is no time limit: wanted 90s, 45m or 1h30m")),
        }
    }
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl TryFrom<String> for TimeLimit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<TimeLimit> for String {
    fn from(limit: TimeLimit) -> Self {
        limit.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_write_them() {
        let seconds = |text: &str| text.parse::<TimeLimit>().map(|limit| limit.0.as_secs());
        assert_eq!(["90s", "45m", "1h30m", "2 h"].map(seconds), [90, 2700, 5400, 7200].map(Ok));
        for wrong in ["", "0s", "90", "soon", "-1s", "1h 30"] {
            let error = seconds(wrong).unwrap_err();
            assert_eq!(error, format!("`{wrong}` is no time limit: wanted 90s, 45m or 1h30m"));
        }
        let limit: TimeLimit = "1h30m".parse().unwrap();
        assert_eq!(limit.to_string().parse(), Ok(limit));
    }
}
