//! Page tokens. An input is the scope of a list, its parts separated by tabs, a line
//! break, and a token; the same text is then taken as the id that a token is made of.

use spawnpoint::rpc::page::{MAX_SIZE, next, read};

/// No token of ours is longer; what is longer is refused unread.
const LONGEST: usize = 512;

/// A token that is read is the very token of its row, and of no other list.
pub fn run(data: &[u8]) -> &'static str {
    let (scope, rest) = super::first_line(data);
    let (Ok(scope), Ok(rest)) = (str::from_utf8(scope), str::from_utf8(rest)) else {
        return "no text";
    };
    let scope: Vec<&str> = scope.split('\t').collect();
    let size = size(data);
    let outcome = read(size, rest, &scope);
    assert_eq!(outcome, read(size, rest, &scope));
    let word = match outcome {
        Ok(page) => {
            assert!((1..=MAX_SIZE).contains(&page.limit));
            assert_eq!(page.after.is_none(), rest.is_empty());
            match page.after {
                Some(id) => {
                    assert_eq!(next(&scope, Some(&id)), rest, "another way to write it");
                    assert_bound(rest, &scope);
                    "continues"
                }
                None => "begins",
            }
        }
        Err(error) => {
            let wanted = if size < 0 {
                "FIELD_INVALID"
            } else {
                "PAGE_TOKEN_INVALID"
            };
            assert_eq!(error.reason(), wanted);
            "refused"
        }
    };
    made_of(rest, &scope, data);
    word
}

fn made_of(id: &str, scope: &[&str], data: &[u8]) {
    let token = next(scope, Some(id));
    if token.len() > LONGEST {
        assert!(read(0, &token, scope).is_err());
        return;
    }
    assert_eq!(read(0, &token, scope).unwrap().after.as_deref(), Some(id));
    assert_bound(&token, scope);
    let at = usize::from(data.last().copied().unwrap_or_default()) % token.len();
    let mut damaged = token.clone().into_bytes();
    damaged[at] = if damaged[at] == b'_' { b'-' } else { b'_' };
    let damaged = String::from_utf8(damaged).unwrap();
    assert!(read(0, &damaged, scope).is_err(), "{token} and {damaged}");
    assert!(read(0, &token[1..], scope).is_err());
    assert!(token.len() < 2 || read(0, &token[..token.len() - 1], scope).is_err());
}

/// Another method, filter or user has another scope, however its parts are cut.
fn assert_bound(token: &str, scope: &[&str]) {
    let joined = scope.concat();
    let more = [scope, &[""]].concat();
    let mut turned = scope.to_vec();
    turned.rotate_left(1);
    let others = [&more[..], &scope[1..], &turned[..], &[joined.as_str()][..]];
    for other in others.into_iter().filter(|other| *other != scope) {
        assert!(read(0, token, other).is_err(), "{scope:?} and {other:?}");
    }
}

fn size(data: &[u8]) -> i32 {
    let mut bytes = [0; 4];
    let taken = data.len().min(4);
    bytes[..taken].copy_from_slice(&data[data.len() - taken..]);
    i32::from_be_bytes(bytes)
}
