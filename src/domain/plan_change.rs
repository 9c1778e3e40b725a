//! A change of plan: what is wanted, and what Stripe still has to be told so that the items of
//! the subscription become the wanted ones.
//!
//! Pure. What is paid is seen from the items alone: Stripe changes them once the difference is
//! paid, and leaves them as they are where it is not.

use super::{
    catalog::Spec,
    entitlement::Standing,
    lenience::Lenience,
    order::{EndWish, ErrorReason, Facts, ServerState},
};

/// A change of an order's plan on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanChange {
    /// The wanted plan.
    pub plan_id: String,
    /// Its add-ons, in the order they were named.
    pub addons: Vec<String>,
    /// Those of them that people deliver.
    pub manual_addons: Vec<String>,
    /// What the server is to get. What is held is the larger of this and the order's own.
    pub spec: Spec,
    /// Sum of the recurring lines, minor units.
    pub price_minor: i64,
    /// `price_...` of the plan and of each add-on, in that order: one piece of each.
    pub prices: Vec<String>,
    /// How lenient the shop is with it once it is paid; none: as it was, for it was asked for
    /// before that was kept.
    pub lenience: Option<Lenience>,
    /// When it was asked for.
    pub asked_us: i64,
    /// What Stripe is told, as it was first sent; none before.
    pub request: Option<Vec<(String, String)>>,
    /// When it was first sent.
    pub sent_us: Option<i64>,
    /// Whether Stripe answered: from here on its items tell.
    pub answered: bool,
}

/// One item of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// `si_...`.
    pub id: String,
    /// `price_...`.
    pub price: String,
    /// Pieces.
    pub quantity: i64,
}

/// One item that is to be another, or to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    /// The item that becomes it; none where it is added.
    pub id: Option<String>,
    /// `price_...`.
    pub price: String,
}

/// What is to be done next at Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the items are the wanted ones.
    Applied,
    /// Nothing until then, Unix seconds: a difference waits to be paid.
    Pending(i64),
    /// All that is wanted is there, and these items are to go.
    Trim(Vec<String>),
    /// These are to be changed or added.
    Ask(Vec<Swap>),
}

/// What has to be done so that the items become one piece of each wanted price. `pending_until`
/// is when an unpaid change that Stripe keeps will be forgotten, Unix seconds.
///
/// Items that are to go become those that are wanted, in their order, so that one invoice holds
/// the whole difference; Stripe takes no removals in a change that may stay unpaid, so what is
/// left over goes afterwards.
pub fn next(items: &[Item], wanted: &[String], pending_until: Option<i64>) -> Next {
    let mut missing: Vec<&String> = wanted.iter().collect();
    let mut left: Vec<&Item> = Vec::new();
    for item in items {
        let place = missing.iter().position(|price| **price == item.price);
        match place.filter(|_| item.quantity == 1) {
            Some(place) => {
                missing.remove(place);
            }
            None => left.push(item),
        }
    }
    if missing.is_empty() && left.is_empty() {
        return Next::Applied;
    }
    if let Some(until) = pending_until {
        return Next::Pending(until);
    }
    if missing.is_empty() {
        return Next::Trim(left.iter().map(|item| item.id.clone()).collect());
    }
    let mut left = left.into_iter();
    let swaps = missing.into_iter().map(|price| Swap {
        id: left.next().map(|item| item.id.clone()),
        price: price.clone(),
    });
    Next::Ask(swaps.collect())
}

/// Why an order's plan cannot be changed as things stand; none where it can. Asked by the call, and
/// again when Stripe is about to be told: whoever stands still or does not pay is not charged for
/// more. Where the items are not the order's (PLAN_MISMATCH) a change is the way out: to what they
/// are nothing is charged, and to what the order has they are put back.
pub fn hindrance(facts: &Facts) -> Option<&'static str> {
    let (billing, server) = (&facts.billing, &facts.server);
    if !server.ever_ran() || facts.server_state() != ServerState::Running {
        Some("its server does not run")
    } else if server.missing_us.is_some() {
        Some("its server is gone from the panel")
    } else if server.suspend_sent_us.is_some() || facts.suspension_reasons().any() {
        Some("its server is suspended")
    } else if billing.standing() != Standing::Good {
        Some("its subscription is not paid")
    } else if billing.wish == Some(EndWish::Now) || server.terminated_us.is_some() {
        Some("it is being ended")
    } else if facts
        .order
        .error_reason
        .is_some_and(|reason| reason != ErrorReason::PlanMismatch)
    {
        Some("it waits for an operator")
    } else {
        None
    }
}

/// The larger of two, in each respect: what is held while either may be delivered.
pub fn larger(one: &Spec, other: &Spec) -> super::placement::Need {
    let (one, other) = (one.need(), other.need());
    super::placement::Need {
        ram_gb: one.ram_gb.max(other.ram_gb),
        disk_gb: one.disk_gb.max(other.disk_gb),
        vcores: one.vcores.max(other.vcores),
        ports: one.ports.max(other.ports),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, price: &str) -> Item {
        Item {
            id: id.to_owned(),
            price: price.to_owned(),
            quantity: 1,
        }
    }

    fn wanted(prices: &[&str]) -> Vec<String> {
        prices.iter().map(|price| (*price).to_owned()).collect()
    }

    fn swap(id: Option<&str>, price: &str) -> Swap {
        Swap {
            id: id.map(str::to_owned),
            price: price.to_owned(),
        }
    }

    #[test]
    fn what_is_there_needs_nothing_in_any_order() {
        let items = [item("si_1", "b"), item("si_2", "a")];
        assert_eq!(next(&items, &wanted(&["a", "b"]), None), Next::Applied);
        // Somebody else's change of something else may be pending.
        assert_eq!(next(&items, &wanted(&["a", "b"]), Some(9)), Next::Applied);
    }

    #[test]
    fn what_is_to_go_becomes_what_is_wanted() {
        let items = [item("si_1", "small"), item("si_2", "extra")];
        assert_eq!(
            next(&items, &wanted(&["large", "extra", "more"]), None),
            Next::Ask(vec![swap(Some("si_1"), "large"), swap(None, "more")])
        );
        assert_eq!(
            next(&items, &wanted(&["large"]), None),
            Next::Ask(vec![swap(Some("si_1"), "large")]),
            "what is left over goes afterwards"
        );
        let items = [item("si_1", "large"), item("si_2", "extra")];
        assert_eq!(
            next(&items, &wanted(&["large"]), None),
            Next::Trim(vec!["si_2".to_owned()])
        );
    }

    #[test]
    fn what_waits_to_be_paid_is_not_asked_for_again() {
        let items = [item("si_1", "small")];
        assert_eq!(next(&items, &wanted(&["large"]), Some(9)), Next::Pending(9));
    }

    #[test]
    fn other_than_one_piece_is_another_item() {
        let mut two = item("si_1", "a");
        two.quantity = 2;
        assert_eq!(
            next(&[two], &wanted(&["a"]), None),
            Next::Ask(vec![swap(Some("si_1"), "a")])
        );
    }

    #[test]
    fn what_is_asked_for_leads_to_what_is_wanted() {
        // All small lists over three prices, before and after.
        let lists = |length: u32| {
            (0..3_usize.pow(length)).map(move |mut code| {
                (0..length)
                    .map(|_| {
                        let price = ["a", "b", "c"][code % 3].to_owned();
                        code /= 3;
                        price
                    })
                    .collect::<Vec<String>>()
            })
        };
        for before in (1..4).flat_map(lists) {
            for wanted in (1..4).flat_map(lists) {
                let mut items: Vec<Item> = Vec::new();
                for (index, price) in before.iter().enumerate() {
                    items.push(item(&format!("si_{index}"), price));
                }
                let mut calls = 0;
                loop {
                    match next(&items, &wanted, None) {
                        Next::Applied => break,
                        Next::Pending(_) => panic!("nothing is pending"),
                        Next::Trim(ids) => items.retain(|item| !ids.contains(&item.id)),
                        Next::Ask(swaps) => {
                            for (index, swap) in swaps.into_iter().enumerate() {
                                match swap.id {
                                    Some(id) => {
                                        let found = items.iter_mut().find(|item| item.id == id);
                                        found.expect("an item that is there").price = swap.price;
                                    }
                                    None => items.push(item(&format!("si_n{index}"), &swap.price)),
                                }
                            }
                        }
                    }
                    calls += 1;
                    assert!(calls <= 2, "{before:?} to {wanted:?}");
                }
            }
        }
    }
}
