use proptest::prelude::*;

use super::{DEFAULT_SIZE, MAX_SIZE, Page, next, read};
use crate::domain::Error;

const SCOPE: &[&str] = &["OrderService/ListOrders", "status=paid", "user-1"];

fn reason(result: Result<Page, Error>) -> &'static str {
    result.unwrap_err().reason()
}

#[test]
fn sizes_are_kept_within_bounds() {
    for (asked, given) in [
        (0, DEFAULT_SIZE),
        (1, 1),
        (499, 499),
        (500, MAX_SIZE),
        (501, MAX_SIZE),
        (i32::MAX, MAX_SIZE),
    ] {
        assert_eq!(
            read(asked, "", SCOPE).unwrap(),
            Page {
                limit: given,
                after: None
            },
            "{asked}"
        );
    }
    for asked in [-1, i32::MIN] {
        let Err(Error::Invalid(violations)) = read(asked, "", SCOPE) else {
            panic!("{asked} must be refused");
        };
        assert_eq!(violations[0].field, "page_size");
    }
}

#[test]
fn the_end_of_a_list_has_no_token() {
    assert_eq!(next(SCOPE, None), "");
}

#[test]
fn a_token_of_another_list_is_refused() {
    let token = next(SCOPE, Some("0192f0c1-2f3a-7c4d-9e5f-0123456789ab"));
    assert!(read(10, &token, SCOPE).is_ok());
    for other in [
        &["OrderService/ListOrders", "status=paid", "user-2"][..],
        &["OrderService/ListOrders", "status=", "user-1"],
        &["OrderService/ListOrders", "status=paid"],
        &["OrderService/ListOrders", "status=paid", "user-1", ""],
        &["OrderService/ListOrders", "status=pai", "duser-1"],
        &["OrderService/ListOrderEvents", "status=paid", "user-1"],
        &[],
    ] {
        assert_eq!(
            reason(read(10, &token, other)),
            "PAGE_TOKEN_INVALID",
            "{other:?}"
        );
    }
}

#[test]
fn a_changed_character_is_noticed() {
    let token = next(SCOPE, Some("plan-a"));
    for position in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[position] = if changed[position] == b'A' {
            b'B'
        } else {
            b'A'
        };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(
            reason(read(10, &changed, SCOPE)),
            "PAGE_TOKEN_INVALID",
            "{position}"
        );
    }
    for cut in 1..token.len() {
        assert_eq!(
            reason(read(10, &token[..cut], SCOPE)),
            "PAGE_TOKEN_INVALID",
            "{cut}"
        );
    }
    assert_eq!(
        reason(read(10, &"A".repeat(1 << 20), SCOPE)),
        "PAGE_TOKEN_INVALID"
    );
}

proptest! {
    #[test]
    fn what_was_written_is_read(id in ".{0,80}", scope in prop::collection::vec(".{0,20}", 0..4)) {
        let scope: Vec<&str> = scope.iter().map(String::as_str).collect();
        let token = next(&scope, Some(&id));
        prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        prop_assert_eq!(read(7, &token, &scope).unwrap(), Page { limit: 7, after: Some(id) });
    }

    #[test]
    fn any_text_is_refused_without_a_panic(token in ".{1,200}", size in any::<i32>()) {
        prop_assert!(read(size, &token, SCOPE).is_err());
    }
}
