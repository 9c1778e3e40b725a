//! I3: whatever we made on the panel or at Stripe belongs to an order or a customer of
//! ours, and there is one of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::{
    Invariant, Rest, Violation,
    picture::{Case, Picture, is_paid},
};
use crate::stripe::{SessionStatus, SessionView, SubscriptionStatus, SubscriptionView};

pub(super) fn judge(picture: &Picture, rest: Rest, found: &mut Vec<Violation>) {
    let cases = picture.cases();
    let orders: HashMap<String, &Case<'_>> = cases
        .iter()
        .map(|case| (case.id().to_string(), case))
        .collect();
    panel_servers(picture, &orders, found);
    panel_users(picture, found);
    customers(picture, rest, found);
    sessions(picture, &orders, rest, found);
    if rest == Rest::AtRest {
        subscriptions(picture, &orders, found);
        for case in cases.iter().filter(|case| case.in_doubt() && !case.over()) {
            let text = "nobody knows what came of its create";
            found.push(Violation::of(Invariant::I3, case.id(), text));
        }
    }
}

fn panel_servers(
    picture: &Picture,
    orders: &HashMap<String, &Case<'_>>,
    found: &mut Vec<Violation>,
) {
    let ours: HashSet<&str> = picture
        .before
        .created_servers
        .iter()
        .map(String::as_str)
        .collect();
    for (external_id, servers) in picture.servers_by_external_id() {
        if ours.contains(external_id) && !orders.contains_key(external_id) {
            let text = format!("server {} is for {external_id}, no order", servers[0].id);
            found.push(Violation::new(Invariant::I3, text));
        }
    }
}

fn panel_users(picture: &Picture, found: &mut Vec<Violation>) {
    let mut add = |text: String| found.push(Violation::new(Invariant::I3, text));
    let mut by_external_id: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for user in &picture.after.users {
        if let Some(external_id) = user.external_id.as_deref().filter(|id| !id.is_empty()) {
            by_external_id.entry(external_id).or_default().push(user.id);
        }
    }
    for (external_id, users) in by_external_id.iter().filter(|(_, users)| users.len() > 1) {
        add(format!(
            "the panel's users {users:?} all bear the external id {external_id}"
        ));
    }
    let profiles: HashSet<String> = picture
        .store
        .profiles
        .iter()
        .map(|row| row.user_id.to_string())
        .collect();
    for external_id in &picture.before.created_users {
        if !profiles.contains(external_id) {
            add(format!(
                "the panel's user {external_id} was made for no customer"
            ));
        }
    }
    for account in &picture.store.accounts {
        let (user_id, panel_id) = (account.user_id, account.pterodactyl_user_id);
        match picture.after.users.iter().find(|user| user.id == panel_id) {
            None => add(format!(
                "user {user_id} has the account {panel_id}, which is not there"
            )),
            Some(user) if user.root_admin => {
                add(format!(
                    "user {user_id} has an administrator's account, {panel_id}"
                ));
            }
            Some(user) if user.external_id.as_deref() != Some(&user_id.to_string()) => {
                add(format!(
                    "user {user_id} has the account {panel_id}, which is another's"
                ));
            }
            Some(_) => {}
        }
    }
}

fn customers(picture: &Picture, rest: Rest, found: &mut Vec<Violation>) {
    let mut add = |text: String| found.push(Violation::new(Invariant::I3, text));
    let mut of_user: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for customer in &picture.stripe.customers {
        if let Some(user_id) = customer.metadata.get("user_id") {
            of_user.entry(user_id).or_default().push(&customer.id);
        }
    }
    let profiles: HashMap<String, Option<&str>> = picture
        .store
        .profiles
        .iter()
        .map(|row| (row.user_id.to_string(), row.stripe_customer_id.as_deref()))
        .collect();
    for (user_id, customers) in &of_user {
        if customers.len() > 1 {
            add(format!(
                "user {user_id} has the Stripe customers {customers:?}"
            ));
        }
        match profiles.get(*user_id) {
            None => add(format!(
                "the Stripe customer {} is for nobody",
                customers[0]
            )),
            Some(Some(known)) if !customers.contains(known) => {
                add(format!(
                    "user {user_id} has the customer {known}, Stripe {customers:?}"
                ));
            }
            Some(_) => {}
        }
    }
    let known = profiles
        .iter()
        .filter_map(|(user, known)| Some((user, (*known)?)));
    for (user_id, known) in known {
        if rest == Rest::AtRest && !of_user.contains_key(user_id.as_str()) {
            add(format!(
                "user {user_id} has the customer {known}, whom Stripe does not know"
            ));
        }
    }
}

fn sessions(
    picture: &Picture,
    orders: &HashMap<String, &Case<'_>>,
    rest: Rest,
    found: &mut Vec<Violation>,
) {
    let mut of_order: BTreeMap<Uuid, Vec<&SessionView>> = BTreeMap::new();
    // What goes back is no purchase any more, unless it is the order's own.
    let strays = picture.store.refunds.iter().map(|row| &row.session_id);
    let strays: HashSet<&String> = strays
        .filter(|id| {
            let mut rows = picture.store.billing.iter();
            !rows.any(|row| row.session_id.as_ref() == Some(*id))
        })
        .collect();
    let sessions = picture.stripe.sessions.iter();
    for session in sessions.filter(|session| !strays.contains(&session.id)) {
        let reference = session.client_reference_id.as_deref().unwrap_or_default();
        match orders.get(reference) {
            Some(case) => of_order.entry(case.id()).or_default().push(session),
            None => {
                let text = format!("session {} is for {reference:?}, no order", session.id);
                found.push(Violation::new(Invariant::I3, text));
            }
        }
    }
    for (id, sessions) in of_order {
        let mut add = |text: String| found.push(Violation::of(Invariant::I3, id, text));
        let ids: Vec<&str> = sessions.iter().map(|session| session.id.as_str()).collect();
        if ids.len() > 1 {
            add(format!("Stripe has the sessions {ids:?} of it"));
        }
        let paid = sessions.iter().filter(|session| is_paid(session)).count();
        if paid > 1 {
            add(format!("it was paid {paid} times"));
        }
        let Some(case) = orders.get(&id.to_string()).filter(|_| rest == Rest::AtRest) else {
            continue;
        };
        if case
            .billing
            .session_id
            .as_deref()
            .is_none_or(|known| !ids.contains(&known))
        {
            let known = case.billing.session_id.as_deref().unwrap_or("none");
            add(format!("its session is {ids:?}, its row says {known}"));
        }
        let open = sessions
            .iter()
            .any(|session| session.status == SessionStatus::Open);
        if case.over() && open {
            add("it is over, and its session can still be paid".to_owned());
        }
    }
}

/// Nobody is charged for an order that is over.
fn subscriptions(
    picture: &Picture,
    orders: &HashMap<String, &Case<'_>>,
    found: &mut Vec<Violation>,
) {
    use SubscriptionStatus::{Canceled, IncompleteExpired};
    for subscription in &picture.stripe.subscriptions {
        let reference = subscription.metadata.get("order_id");
        let Some(case) = reference.and_then(|id| orders.get(id)) else {
            let text = format!("subscription {} is no order's", subscription.id);
            found.push(Violation::new(Invariant::I3, text));
            continue;
        };
        let live = !matches!(subscription.status, Canceled | IncompleteExpired);
        if case.over() && live {
            let text = format!("it is over, and subscription {} goes on", subscription.id);
            found.push(Violation::of(Invariant::I3, case.id(), text));
        }
        if live && let Some(text) = other_than_bought(case, subscription) {
            found.push(Violation::of(Invariant::I8, case.id(), text));
        }
    }
}

/// What Stripe charges for is what the order has, once its plan was changed and nothing of that is
/// on its way.
fn other_than_bought(case: &Case<'_>, subscription: &SubscriptionView) -> Option<String> {
    let own = case.billing.subscription_id.as_deref() == Some(subscription.id.as_str());
    let settled = own && !case.over() && !case.parked() && case.order.other_spec.is_none();
    let prices = case.billing.prices.as_deref().filter(|_| settled)?;
    let mut bought: Vec<(String, i64)> = match serde_json::from_str::<Vec<String>>(prices) {
        Ok(prices) => prices.into_iter().map(|price| (price, 1)).collect(),
        Err(error) => return Some(format!("nothing known to be bought: {error}")),
    };
    let mut charged = subscription.items.clone();
    bought.sort_unstable();
    charged.sort_unstable();
    (bought != charged).then(|| format!("it has {bought:?}, and pays for {charged:?}"))
}
