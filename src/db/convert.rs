//! Between stored and domain forms of times, words and JSON.

use sea_orm::prelude::{Json, TimeDateTimeWithTimeZone};
use serde::{Serialize, de::DeserializeOwned};

use super::Error;

/// Microseconds as a timestamp, for columns that are only shown.
pub fn timestamp(micros: i64) -> TimeDateTimeWithTimeZone {
    TimeDateTimeWithTimeZone::from_unix_timestamp_nanos(i128::from(micros) * 1000)
        .unwrap_or(TimeDateTimeWithTimeZone::UNIX_EPOCH)
}

/// A shown timestamp as microseconds.
pub fn micros(timestamp: TimeDateTimeWithTimeZone) -> i64 {
    i64::try_from(timestamp.unix_timestamp_nanos() / 1000).unwrap_or_default()
}

/// A stored JSON value as a type of ours.
pub fn json<T: DeserializeOwned>(value: Json, column: &str) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|error| Error::Corrupt(format!("{column}: {error}")))
}

/// A type of ours as a stored JSON value.
pub fn to_json<T: Serialize>(value: &T) -> Result<Json, Error> {
    serde_json::to_value(value).map_err(|error| Error::Corrupt(error.to_string()))
}

/// A stored word as a value of its enum.
pub fn word<T>(parse: impl Fn(&str) -> Option<T>, word: &str, column: &str) -> Result<T, Error> {
    parse(word).ok_or_else(|| Error::Corrupt(format!("{column}: unknown word {word:?}")))
}
