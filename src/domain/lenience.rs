//! How lenient a shop is with whoever does not pay, or whose bank takes a payment back.
//!
//! The shop says it for all that it sells, and a plan may say otherwise. What that comes to when
//! an order is made is sold with it, as its price is: the order keeps it, whatever the shop or
//! its catalog say later, so that nothing a customer has is stopped or deleted earlier than it
//! was sold. A change of plan is a sale as well: once it is paid, what held for its plan when it
//! was asked for holds for the order. An order of before this was kept has none, and follows the
//! shop as it is now.

use serde::{Deserialize, Serialize};

use super::{DAY_US, catalog::Plan, dispute::DisputePolicy, entitlement::Patience, order::Facts};

/// The longest grace time that a shop or a plan may have.
pub const MAX_GRACE_DAYS: u16 = 365;
/// The longest retention that a shop or a plan may have.
pub const MAX_RETENTION_DAYS: u16 = 3650;

/// How lenient a shop is. Stored with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lenience {
    /// How long it is patient.
    pub patience: Patience,
    /// What is done about payments that a bank disputes.
    pub disputes: DisputePolicy,
}

impl Plan {
    /// How lenient the shop is with whoever buys this now: as the plan says, else as the shop does.
    pub fn lenience(&self, shop: Lenience) -> Lenience {
        let days = |own: Option<i32>, shop_us: i64| {
            own.map_or(shop_us, |days| i64::from(days).saturating_mul(DAY_US))
        };
        Lenience {
            patience: Patience {
                grace_us: days(self.grace_days, shop.patience.grace_us),
                retention_us: days(self.retention_days, shop.patience.retention_us),
            },
            disputes: self.disputes.unwrap_or(shop.disputes),
        }
    }
}

impl Facts {
    /// How long the shop is patient with this order: as it was sold, else as the shop is now.
    pub fn patience(&self, shop: Patience) -> Patience {
        self.order.lenience.map_or(shop, |sold| sold.patience)
    }

    /// What is done about disputes of its payments: as it was sold, else as the shop does now.
    pub fn dispute_policy(&self, shop: DisputePolicy) -> DisputePolicy {
        self.order.lenience.map_or(shop, |sold| sold.disputes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{catalog::tests::plan, order::tests::facts};

    const SHOP: Lenience = Lenience {
        patience: Patience {
            grace_us: 3 * DAY_US,
            retention_us: 7 * DAY_US,
        },
        disputes: DisputePolicy::Suspend,
    };

    #[test]
    fn a_plan_says_what_it_says_and_leaves_the_rest_to_its_shop() {
        let mut plan = plan();
        assert_eq!(plan.lenience(SHOP), SHOP);
        plan.grace_days = Some(0);
        let mut expected = SHOP;
        expected.patience.grace_us = 0;
        assert_eq!(plan.lenience(SHOP), expected, "none is not the shop's");
        plan.retention_days = Some(30);
        expected.patience.retention_us = 30 * DAY_US;
        assert_eq!(plan.lenience(SHOP), expected);
        plan.disputes = Some(DisputePolicy::Ignore);
        expected.disputes = DisputePolicy::Ignore;
        assert_eq!(plan.lenience(SHOP), expected);
    }

    #[test]
    fn an_order_keeps_what_it_was_sold() {
        let mut facts = facts();
        let ignores = DisputePolicy::Ignore;
        assert_eq!(facts.patience(SHOP.patience), SHOP.patience);
        assert_eq!(facts.dispute_policy(ignores), ignores);
        let sold = Lenience {
            patience: Patience {
                grace_us: 0,
                retention_us: DAY_US,
            },
            disputes: DisputePolicy::Suspend,
        };
        facts.order.lenience = Some(sold);
        assert_eq!(facts.patience(SHOP.patience), sold.patience);
        assert_eq!(facts.dispute_policy(ignores), DisputePolicy::Suspend);
    }

    #[test]
    fn what_is_stored_is_read_back() {
        for disputes in DisputePolicy::ALL {
            let sold = Lenience {
                disputes: *disputes,
                ..SHOP
            };
            let stored = serde_json::to_value(sold).unwrap();
            assert_eq!(
                stored,
                serde_json::json!({
                    "patience": {"grace_us": 3 * DAY_US, "retention_us": 7 * DAY_US},
                    "disputes": disputes.as_str(),
                })
            );
            assert_eq!(serde_json::from_value::<Lenience>(stored).unwrap(), sold);
        }
    }
}
