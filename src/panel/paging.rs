//! Walking a list of the panel page by page, to an end for sure.
//!
//! Pure. The panel's own links are not followed, as they drop every parameter; and
//! its word on the number of pages is not trusted to be true or to stay.

use super::Error;

/// No list is walked further; at 100 rows a page nobody's is this long.
const PAGES_MAX: u32 = 1000;

/// Where a walk through a list is.
#[derive(Debug)]
pub(super) struct Walk {
    page: u32,
    last: Vec<i64>,
}

impl Walk {
    /// Before the first page.
    pub(super) fn new() -> Self {
        Self {
            page: 1,
            last: Vec::new(),
        }
    }

    /// The page to ask for.
    pub(super) fn page(&self) -> u32 {
        self.page
    }

    /// Takes note of a page's ids and how many pages there are; tells whether to go on.
    pub(super) fn go_on(&mut self, ids: Vec<i64>, pages: u32) -> Result<bool, Error> {
        if ids.is_empty() || self.page >= pages {
            return Ok(false);
        }
        if ids == self.last {
            return Err(Error::Garbage {
                what: format!("page {} repeats itself", self.page),
            });
        }
        if self.page >= PAGES_MAX {
            return Err(Error::Garbage {
                what: format!("more than {PAGES_MAX} pages"),
            });
        }
        self.last = ids;
        self.page += 1;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_with_the_last_page() {
        let mut walk = Walk::new();
        assert_eq!(walk.go_on(vec![1, 2], 2), Ok(true));
        assert_eq!(walk.page(), 2);
        assert_eq!(walk.go_on(vec![3], 2), Ok(false));
    }

    #[test]
    fn ends_with_an_empty_page_whatever_is_promised() {
        let mut walk = Walk::new();
        assert_eq!(walk.go_on(vec![1], 9), Ok(true));
        assert_eq!(walk.go_on(vec![], 9), Ok(false));
    }

    #[test]
    fn a_page_that_comes_again_is_an_error() {
        let mut walk = Walk::new();
        assert_eq!(walk.go_on(vec![1, 2], 9), Ok(true));
        assert!(matches!(
            walk.go_on(vec![1, 2], 9),
            Err(Error::Garbage { .. })
        ));
    }

    #[test]
    fn a_list_that_grows_for_ever_is_an_error() {
        let mut walk = Walk::new();
        let mut steps = 0;
        let end = loop {
            steps += 1;
            match walk.go_on(vec![steps], u32::MAX) {
                Ok(true) => {}
                end => break end,
            }
        };
        assert!(matches!(end, Err(Error::Garbage { .. })));
        assert_eq!(steps, i64::from(PAGES_MAX));
    }
}
