//! A page of a list.

/// Rows in the list's order, and whether more follow them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// The rows of this page.
    pub rows: Vec<T>,
    /// Whether there is another page.
    pub more: bool,
}

impl<T> Listed<T> {
    /// From a query that was asked for one row more than fits.
    pub fn cut(mut rows: Vec<T>, limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        Self { rows, more }
    }

    /// The same page of something else.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Listed<U> {
        Listed {
            rows: self.rows.into_iter().map(convert).collect(),
            more: self.more,
        }
    }
}
