//! Rows of one kind in the order they were made, and Stripe's way of listing them:
//! newest first, by cursor, at most a hundred at a time.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::errors::Refusal;
use super::form::Params;

/// What every stored object has.
pub(super) trait Row {
    /// The name used in "No such ...".
    const OBJECT: &'static str;
    /// Its id.
    fn id(&self) -> &str;
    /// When it was made, Unix seconds.
    fn created(&self) -> i64;
}

/// Objects of one kind; nothing is ever removed.
pub(super) struct Table<T> {
    rows: Vec<T>,
    by_id: HashMap<String, usize>,
}

impl<T: Row> Table<T> {
    pub(super) fn new() -> Self {
        Self {
            rows: Vec::new(),
            by_id: HashMap::new(),
        }
    }

    /// Adds a row, or replaces the one with its id.
    pub(super) fn put(&mut self, row: T) {
        if let Some(at) = self.by_id.get(row.id()) {
            self.rows[*at] = row;
        } else {
            self.by_id.insert(row.id().to_owned(), self.rows.len());
            self.rows.push(row);
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<&T> {
        self.by_id.get(id).map(|at| &self.rows[*at])
    }

    /// The row the path names.
    pub(super) fn find(&self, id: &str) -> Result<&T, Refusal> {
        self.get(id)
            .ok_or_else(|| Refusal::not_found(T::OBJECT, id))
    }

    /// The row the path names, to be changed.
    pub(super) fn find_mut(&mut self, id: &str) -> Result<&mut T, Refusal> {
        match self.by_id.get(id) {
            Some(at) => Ok(&mut self.rows[*at]),
            None => Err(Refusal::not_found(T::OBJECT, id)),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.rows.iter()
    }

    /// One page, newest first, of the rows that `keep` lets through.
    pub(super) fn page(
        &self,
        cursor: &Cursor,
        keep: impl Fn(&T) -> bool,
    ) -> Result<(Vec<&T>, bool), Refusal> {
        let place = |id: &str, param: &str| {
            let missing = || Refusal::no_such(T::OBJECT, id, param);
            self.by_id.get(id).copied().ok_or_else(missing)
        };
        let wanted = |row: &&T| cursor.created.holds(row.created()) && keep(row);
        let limit = cursor.limit;
        let mut found: Vec<&T> = match (&cursor.starting_after, &cursor.ending_before) {
            (_, Some(id)) => {
                let newer = &self.rows[place(id, "ending_before")? + 1..];
                newer.iter().filter(wanted).take(limit + 1).collect()
            }
            (Some(id), None) => {
                let older = &self.rows[..place(id, "starting_after")?];
                older.iter().rev().filter(wanted).take(limit + 1).collect()
            }
            (None, None) => self
                .rows
                .iter()
                .rev()
                .filter(wanted)
                .take(limit + 1)
                .collect(),
        };
        let has_more = found.len() > limit;
        found.truncate(limit);
        if cursor.ending_before.is_some() {
            found.reverse();
        }
        Ok((found, has_more))
    }
}

/// Where a list begins and how long it is.
pub(super) struct Cursor {
    limit: usize,
    starting_after: Option<String>,
    ending_before: Option<String>,
    created: Span,
}

impl Cursor {
    /// Reads the paging parameters.
    pub(super) fn read(params: &Params) -> Result<Self, Refusal> {
        let limit = params.integer("limit")?.unwrap_or(10);
        let in_range = usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=100).contains(limit));
        let Some(limit) = in_range else {
            return Err(Refusal::invalid("This value must be between 1 and 100.")
                .code("parameter_invalid_integer")
                .param("limit"));
        };
        let cursor = Self {
            limit,
            starting_after: params.owned("starting_after"),
            ending_before: params.owned("ending_before"),
            created: Span::read(params, "created")?,
        };
        if cursor.starting_after.is_some() && cursor.ending_before.is_some() {
            return Err(
                Refusal::invalid("You cannot give both starting_after and ending_before.")
                    .param("ending_before"),
            );
        }
        Ok(cursor)
    }

    /// For rows that are shown under ids of another prefix than they are kept under.
    pub(super) fn of(mut self, shown: &str, kept: &str) -> Self {
        let ids = [&mut self.starting_after, &mut self.ending_before];
        for id in ids.into_iter().flatten() {
            if let Some(rest) = id.strip_prefix(shown) {
                *id = format!("{kept}{rest}");
            }
        }
        self
    }
}

/// A span of Unix seconds; both ends included.
struct Span {
    from: i64,
    to: i64,
}

impl Span {
    fn read(params: &Params, base: &str) -> Result<Self, Refusal> {
        let mut span = Self {
            from: i64::MIN,
            to: i64::MAX,
        };
        if let Some(exact) = params.integer(base)? {
            return Ok(Self {
                from: exact,
                to: exact,
            });
        }
        let edge = |name: &str| params.integer(&format!("{base}[{name}]"));
        if let Some(from) = edge("gte")? {
            span.from = span.from.max(from);
        }
        if let Some(from) = edge("gt")? {
            span.from = span.from.max(from.saturating_add(1));
        }
        if let Some(to) = edge("lte")? {
            span.to = span.to.min(to);
        }
        if let Some(to) = edge("lt")? {
            span.to = span.to.min(to.saturating_sub(1));
        }
        Ok(span)
    }

    fn holds(&self, second: i64) -> bool {
        (self.from..=self.to).contains(&second)
    }
}

/// Stripe's list object.
pub(super) fn list(url: &str, data: Vec<Value>, has_more: bool) -> Value {
    json!({ "object": "list", "data": data, "has_more": has_more, "url": url })
}
