//! The panel's JSON, in and out: envelopes, attributes, request bodies.
//!
//! Reads what it needs and passes over the rest, so that a newer panel with more
//! fields stays readable. Knows nothing of HTTP. Says what was wrong by field and
//! position only: a body may hold a customer's secrets.

use std::borrow::Cow;

use serde::{Deserialize, de::DeserializeOwned};

use super::Page;

mod egg;
mod lenient;
mod node;
mod request;
mod server;
#[cfg(test)]
mod tests;
mod user;

pub(super) use request::{build_body, details_body, server_body, user_body, user_rewrite_body};
pub(super) use server::Environment;

/// Why a success could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Not the panel's envelope: someone else answered.
    NotThePanel,
    /// The envelope is there, its content is not what was asked for.
    Content(String),
}

/// A resource that the panel wraps in an envelope.
pub(super) trait Resource: Sized {
    /// The word in the envelope's `object`.
    const OBJECT: &'static str;
    /// Its attributes as the panel writes them.
    type Attributes: DeserializeOwned;
    /// Takes the attributes over into our own type.
    fn take(attributes: Self::Attributes) -> Result<Self, Flaw>;
    /// The panel's id.
    fn id(&self) -> i64;
}

/// Reads one resource.
pub(super) fn item<R: Resource>(content: &[u8]) -> Result<R, Flaw> {
    let item: Item<R::Attributes> = read(content, R::OBJECT)?;
    R::take(item.attributes)
}

/// Reads one page of a list, and sees that it is the page that was asked for.
pub(super) fn page<R: Resource>(content: &[u8], asked: u32) -> Result<Page<R>, Flaw> {
    let list: List<R::Attributes> = read(content, "list")?;
    let told = &list.meta.pagination;
    if told.current_page != i64::from(asked) {
        return Err(Flaw::Content(format!(
            "page {} instead of {asked}",
            told.current_page
        )));
    }
    // A panel without a single row still says one page; none at all means the same.
    let pages = u32::try_from(told.total_pages.max(1))
        .map_err(|_| Flaw::Content("number of pages out of range".to_owned()))?;
    let data = list
        .data
        .into_iter()
        .map(|row| R::take(row.attributes))
        .collect::<Result<_, _>>()?;
    Ok(Page { data, pages })
}

fn read<T: DeserializeOwned>(content: &[u8], object: &'static str) -> Result<T, Flaw> {
    let content = &without_nul(content);
    let Ok(head) = serde_json::from_slice::<Head>(content) else {
        return Err(Flaw::NotThePanel);
    };
    if head.object != object {
        return Err(Flaw::Content(format!("not a {object}")));
    }
    serde_json::from_slice(content).map_err(|error| Flaw::Content(describe(object, &error)))
}

/// The document with every NUL in its texts replaced by the character that stands for an
/// unreadable one. PostgreSQL stores no NUL: one in the name that a customer gave to a
/// server would keep us from storing anything that is listed along with it.
fn without_nul(content: &[u8]) -> Cow<'_, [u8]> {
    const NUL: &[u8] = b"\\u0000";
    if !content.windows(NUL.len()).any(|part| part == NUL) {
        return Cow::Borrowed(content);
    }
    let mut clean = content.to_vec();
    let mut at = 0;
    while at < clean.len() {
        if clean[at..].starts_with(NUL) {
            clean[at..at + NUL.len()].copy_from_slice(b"\\ufffd");
        }
        // A backslash and what it escapes go together: `\\u0000` is a text of six letters.
        at += if clean[at] == b'\\' { 2 } else { 1 };
    }
    Cow::Owned(clean)
}

/// Tells what was wrong without quoting the value, which serde's own text does.
fn describe(object: &str, error: &serde_json::Error) -> String {
    let text = error.to_string();
    // Only these name nothing but our own field.
    let what = if text.starts_with("missing field `") {
        text.split(" at line").next().unwrap_or("missing field")
    } else {
        "unexpected value"
    };
    format!(
        "{object}: {what} at line {} column {}",
        error.line(),
        error.column()
    )
}

#[derive(Deserialize)]
struct Head {
    object: String,
}

#[derive(Deserialize)]
struct Item<A> {
    attributes: A,
}

#[derive(Deserialize)]
struct List<A> {
    data: Vec<Item<A>>,
    meta: Meta,
}

#[derive(Deserialize)]
struct Meta {
    pagination: Pagination,
}

#[derive(Deserialize)]
struct Pagination {
    #[serde(deserialize_with = "lenient::int")]
    current_page: i64,
    #[serde(deserialize_with = "lenient::int")]
    total_pages: i64,
}

/// An included list; a `null_resource` without data where our key may not see it.
#[derive(Deserialize)]
#[serde(bound = "A: DeserializeOwned")]
struct Included<A> {
    #[serde(default)]
    data: Option<Vec<Item<A>>>,
}
