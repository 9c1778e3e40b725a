//! Changes of a subscription's items that Stripe refuses, and those that are not played.

use crate::half::{BEHAVIOR, Half, plan};

#[tokio::test]
async fn bad_changes_are_refused_and_change_nothing() {
    let mut half = Half::open().await;
    let id = half.item.clone();
    let item = ("items[0][id]", id.as_str());
    let (parks, at_once) = (BEHAVIOR[0], BEHAVIOR[1]);
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
    let cases: &[Case] = &[
        (
            &[("items[0][id]", "si_x"), at_once],
            "resource_missing",
            "items[0][id]",
        ),
        (
            &[item, ("items[0][price]", "price_none"), at_once],
            "resource_missing",
            "items[0][price]",
        ),
        (
            &[item, ("items[0][price]", "price_old"), at_once],
            "",
            "items[0][price]",
        ),
        (
            &[item, ("items[0][price]", "price_half"), at_once],
            "",
            "items[0][price]",
        ),
        (
            &[item, ("items[0][price]", "price_euro"), at_once],
            "",
            "items[0][price]",
        ),
        (
            &[item, ("items[0][price]", "price_setup"), at_once],
            "",
            "items[0][price]",
        ),
        (&[("items[0][price]", "price_plan"), at_once], "", "items"),
        (&[item, ("items[0][deleted]", "true"), at_once], "", "items"),
        (
            &[item, ("items[0][quantity]", "0"), at_once],
            "parameter_invalid_integer",
            "items[0][quantity]",
        ),
        (
            &[("items[0][quantity]", "1"), at_once],
            "parameter_missing",
            "items[0][price]",
        ),
        (
            &[item, ("items[0][prize]", "x"), at_once],
            "parameter_unknown",
            "items[0][prize]",
        ),
        (
            &[item, ("items[0][tax_rates][0]", "x"), at_once],
            "",
            "items[0][tax_rates][0]",
        ),
        (
            &[item, at_once, ("payment_behavior", "maybe")],
            "",
            "payment_behavior",
        ),
        (
            &[item, at_once, ("payment_behavior", "error_if_incomplete")],
            "",
            "payment_behavior",
        ),
        (&[item, parks], "", "proration_behavior"),
        (
            &[item, ("proration_behavior", "none")],
            "",
            "proration_behavior",
        ),
        (&[at_once], "", "proration_behavior"),
        (
            &[item, ("items[0][deleted]", "true"), parks, at_once],
            "",
            "items[0][deleted]",
        ),
        (
            &[item, ("metadata[note]", "x"), parks, at_once],
            "",
            "metadata[note]",
        ),
        (
            &[("cancel_at_period_end", "true"), parks],
            "",
            "cancel_at_period_end",
        ),
    ];
    for (form, code, param) in cases {
        let reply = half.shop.post(&half.path, form).await;
        assert_eq!(reply.status, 400, "{form:?}: {}", reply.body);
        assert_eq!(
            (
                reply.error("type"),
                reply.error("code"),
                reply.error("param")
            ),
            ("invalid_request_error", *code, *param),
            "{form:?}"
        );
    }
    let unknown = half.shop.post(&half.path, cases[0].0).await;
    assert_eq!(
        unknown.error("message"),
        "No such subscription item: 'si_x'"
    );
    assert_eq!(half.items(), plan());
    assert!(half.told().is_empty());
}
