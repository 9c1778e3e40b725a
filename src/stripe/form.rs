//! What is put into a request: the form body, ids in paths, idempotency keys.
//!
//! The encoding is a pure function of the form, so the stored form of an order gives
//! the same bytes today, after a restart and on another replica. Stripe answers 400 to a
//! key whose body differs.

use http::HeaderValue;
use url::form_urlencoded::Serializer;

use super::Form;

/// Longest id or key that Stripe takes.
const MAX_TOKEN: usize = 255;

/// The `application/x-www-form-urlencoded` body of a form, in its own order.
pub(super) fn encode(form: &Form) -> String {
    Serializer::new(String::new()).extend_pairs(form).finish()
}

/// Whether the text may stand in a path as an id. What fails cannot name an object.
pub(super) fn is_id(text: &str) -> bool {
    is_token(text) && !text.contains(['/', '\\']) && text != "." && text != ".."
}

/// The header of an idempotency key; `None` where Stripe would not take it.
pub(super) fn key_header(key: &str) -> Option<HeaderValue> {
    is_token(key)
        .then(|| HeaderValue::from_str(key).ok())
        .flatten()
}

fn is_token(text: &str) -> bool {
    (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::form_urlencoded::parse;

    use super::*;

    #[test]
    fn brackets_placeholders_and_text_are_encoded_in_order() {
        let form: Form = [
            ("mode", "subscription"),
            ("line_items[0][price]", "price_1"),
            (
                "success_url",
                "https://shop.example/done?s={CHECKOUT_SESSION_ID}&x=1",
            ),
            ("metadata[name]", "Zo\u{eb} & co +1%"),
            ("cancel_url", ""),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        assert_eq!(
            encode(&form),
            "mode=subscription&line_items%5B0%5D%5Bprice%5D=price_1\
             &success_url=https%3A%2F%2Fshop.example%2Fdone%3Fs%3D%7BCHECKOUT_SESSION_ID%7D%26x%3D1\
             &metadata%5Bname%5D=Zo%C3%AB+%26+co+%2B1%25&cancel_url="
        );
        assert_eq!(encode(&Form::new()), "");
    }

    #[test]
    fn only_what_can_be_an_id_is_one() {
        let longest = "x".repeat(255);
        for good in [
            "cs_test_a1B2",
            "price_1-x.y",
            "sub~1",
            "a%2Fb",
            "a?b#c",
            "...",
            &longest,
        ] {
            assert!(is_id(good), "{good}");
        }
        let too_long = "x".repeat(256);
        let bad = [
            "", ".", "..", "a/b", "../x", "a\\b", "a b", "a\nb", "a\u{0}", "\u{e9}", &too_long,
        ];
        for bad in bad {
            assert!(!is_id(bad), "{bad:?}");
        }
    }

    #[test]
    fn keys_are_visible_ascii_of_at_most_255() {
        assert_eq!(key_header("cus:0190-1").unwrap(), "cus:0190-1");
        assert!(key_header(&"k".repeat(255)).is_some());
        for bad in ["", "a b", "a\r\nb", "\u{e9}", &"k".repeat(256)] {
            assert!(key_header(bad).is_none(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_form_survives_the_trip_and_encodes_the_same_twice(
            form in proptest::collection::vec((any::<String>(), any::<String>()), 0..12)
        ) {
            let body = encode(&form);
            prop_assert_eq!(&body, &encode(&form.clone()));
            prop_assert!(body.is_ascii());
            let back: Form = parse(body.as_bytes()).into_owned().collect();
            prop_assert_eq!(back, form);
        }
    }
}
