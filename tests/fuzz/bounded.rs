//! A share of what libFuzzer does: each reader over its seeds and their mutations.

use crate::{bodies, campaign::Campaign, effort};

/// W-08: no header is accepted whose HMAC is not right, however it is spelt.
#[test]
fn signature_headers() {
    Campaign {
        target: "signature",
        body: bodies::signature::run,
        runs: effort::runs(8_000, 5_000_000),
        outcomes: &[
            "accepted",
            "header_malformed",
            "signature_missing",
            "signature_wrong",
            "timestamp_invalid",
            "timestamp_missing",
            "timestamp_repeated",
            "timestamp_too_new",
            "timestamp_too_old",
        ],
    }
    .run();
}

/// W-16: whatever Stripe sends, or somebody else, is an event with sound fields or is refused.
#[test]
fn webhook_payloads() {
    Campaign {
        target: "event",
        body: bodies::event::run,
        runs: effort::runs(8_000, 5_000_000),
        outcomes: &["matters", "does not matter", "malformed", "thin"],
    }
    .run();
}

/// P-17, P-16: garbage, wrong types, missing fields, null ids, numbers that overflow, 10,000
/// levels and other people's pages, with every status, to every call: a typed outcome that
/// promises nothing which is not so.
#[test]
fn answers_of_the_panel() {
    Campaign {
        target: "panel",
        body: bodies::panel::run,
        runs: effort::runs(8_000, 10_000_000),
        outcomes: &[
            "done",
            "garbage",
            "not done",
            "not found",
            "rate limited",
            "rejected",
            "unknown",
        ],
    }
    .run();
}

/// G-03: a page token continues the very list that it came from, and nothing else does.
#[test]
fn page_tokens() {
    Campaign {
        target: "page_token",
        body: bodies::page_token::run,
        runs: effort::runs(6_000, 2_000_000),
        outcomes: &["begins", "continues", "refused"],
    }
    .run();
}

/// A catalog file that is taken says the same once it is exported.
#[test]
fn catalog_files() {
    Campaign {
        target: "catalog",
        body: bodies::catalog::run,
        runs: effort::runs(2_000, 1_000_000),
        outcomes: &["taken", "refused"],
    }
    .run();
}
