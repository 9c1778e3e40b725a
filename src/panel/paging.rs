//! Walking a list of the panel page by page, to an end for sure.
//!
//! Pure. The panel's own links are not followed, as they drop every parameter; and
//! its word on the number of pages is not trusted to be true or to stay. A list that
//! shifts while it is walked may show a row twice or not at all, and at worst looks
//! like one that goes in circles: the walk fails, and another one succeeds.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

use super::Error;

/// No list is walked further; at 100 rows a page nobody's is this long.
const PAGES_MAX: u32 = 1000;

/// Where a walk through a list is.
#[derive(Debug)]
pub struct Walk {
    page: u32,
    /// Fingerprints of the pages so far: of a few bytes each, whatever the pages hold.
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            page: 1,
            seen: HashSet::new(),
            hasher: RandomState::new(),
        }
    }
}

impl Walk {
    /// The page to ask for.
    pub fn page(&self) -> u32 {
        self.page
    }

    /// Takes note of a page's ids and how many pages there are; tells whether to go on.
    pub fn go_on(&mut self, ids: &[i64], pages: u32) -> Result<bool, Error> {
        if ids.is_empty() || self.page >= pages {
            return Ok(false);
        }
        if !self.seen.insert(self.hasher.hash_one(ids)) {
            return Err(Error::Garbage {
                what: format!("page {} repeats an earlier one", self.page),
            });
        }
        if self.page >= PAGES_MAX {
            return Err(Error::Garbage {
                what: format!("more than {PAGES_MAX} pages"),
            });
        }
        self.page += 1;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_with_the_last_page() {
        let mut walk = Walk::default();
        assert_eq!(walk.go_on(&[1, 2], 2), Ok(true));
        assert_eq!(walk.page(), 2);
        assert_eq!(walk.go_on(&[3], 2), Ok(false));
    }

    #[test]
    fn ends_with_an_empty_page_whatever_is_promised() {
        let mut walk = Walk::default();
        assert_eq!(walk.go_on(&[1], 9), Ok(true));
        assert_eq!(walk.go_on(&[], 9), Ok(false));
    }

    #[test]
    fn a_page_that_comes_again_is_an_error() {
        let mut walk = Walk::default();
        assert_eq!(walk.go_on(&[1, 2], 9), Ok(true));
        assert!(matches!(walk.go_on(&[1, 2], 9), Err(Error::Garbage { .. })));
    }

    /// P-19: page 3 links back to page 1 and says that more follow.
    #[test]
    fn pages_that_come_in_a_circle_are_an_error() {
        let mut walk = Walk::default();
        for ids in [[1, 2], [3, 4], [5, 6]] {
            assert_eq!(walk.go_on(&ids, u32::MAX), Ok(true));
        }
        let round = walk.go_on(&[1, 2], u32::MAX);
        assert!(matches!(round, Err(Error::Garbage { .. })), "{round:?}");
    }

    #[test]
    fn a_list_that_grows_for_ever_is_an_error() {
        let mut walk = Walk::default();
        let mut steps = 0;
        let end = loop {
            steps += 1;
            match walk.go_on(&[steps], u32::MAX) {
                Ok(true) => {}
                end => break end,
            }
        };
        assert!(matches!(end, Err(Error::Garbage { .. })));
        assert_eq!(steps, i64::from(PAGES_MAX));
    }
}
