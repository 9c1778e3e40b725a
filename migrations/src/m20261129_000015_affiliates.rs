//! Who was sent by whom, and what that earns: one referral for an order, one commission for a paid
//! invoice of it. Counters of affiliates are sums of these rows, in the currency of the first.
//! Until now nothing wrote affiliates.

use crate::ddl::step;

step!(
    [
        "ALTER TABLE affiliates ADD COLUMN currency text NOT NULL DEFAULT ''",
        "CREATE UNIQUE INDEX affiliates_code ON affiliates (lower(code))",
        "CREATE TABLE affiliate_referrals (
            order_id {uuid} PRIMARY KEY REFERENCES orders (id),
            user_id {uuid} NOT NULL REFERENCES affiliates (user_id),
            referred_us bigint NOT NULL,
            percent integer NOT NULL CHECK (percent BETWEEN 0 AND 100),
            months integer NOT NULL CHECK (months > 0),
            heard_us bigint NOT NULL,
            looked_us bigint,
            next_us bigint
        )",
        "CREATE INDEX affiliate_referrals_user ON affiliate_referrals (user_id)",
        "CREATE INDEX affiliate_referrals_next ON affiliate_referrals (next_us)
            WHERE next_us IS NOT NULL",
        "CREATE TABLE affiliate_commissions (
            id {bigserial},
            order_id {uuid} NOT NULL REFERENCES affiliate_referrals (order_id),
            invoice_id text NOT NULL,
            user_id {uuid} NOT NULL REFERENCES affiliates (user_id),
            amount_minor bigint NOT NULL CHECK (amount_minor > 0),
            currency text NOT NULL CHECK (length(currency) = 3),
            state text NOT NULL CHECK (state IN ('pending', 'earned', 'reversed')),
            seen_us bigint NOT NULL,
            earns_us bigint NOT NULL,
            UNIQUE (order_id, invoice_id)
        )",
        "CREATE INDEX affiliate_commissions_user ON affiliate_commissions (user_id, id DESC)",
    ],
    [
        "DROP TABLE affiliate_commissions",
        "DROP TABLE affiliate_referrals",
        "DROP INDEX affiliates_code",
        "ALTER TABLE affiliates DROP COLUMN currency",
    ]
);
