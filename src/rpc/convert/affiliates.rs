//! Affiliates and their commissions.

use super::time;
use crate::{
    domain::affiliate::{Affiliate, Commission},
    rpc::proto,
};

/// An affiliate as it is sent to whom it concerns.
pub fn affiliate_to(affiliate: Affiliate) -> proto::Affiliate {
    proto::Affiliate {
        user_id: affiliate.user_id.to_string(),
        code: affiliate.code,
        clicks: affiliate.clicks,
        signups: affiliate.signups,
        credits_cents: affiliate.credits_minor,
    }
}

/// As it is sent to all others: whose the code is and what it earns is not theirs to know.
pub fn code_to(affiliate: Affiliate) -> proto::Affiliate {
    proto::Affiliate {
        code: affiliate.code,
        ..proto::Affiliate::default()
    }
}

/// A commission as it is sent.
pub fn commission_to(commission: Commission) -> proto::Commission {
    proto::Commission {
        order_id: commission.order_id.to_string(),
        invoice_id: commission.invoice_id,
        amount: Some(proto::Money {
            amount_minor: commission.amount.amount_minor,
            currency: commission.amount.currency,
        }),
        state: commission.state.to_string(),
        create_time: Some(time(commission.seen_us)),
    }
}
