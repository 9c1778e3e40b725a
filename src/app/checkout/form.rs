//! The bodies sent to Stripe: built once, stored, and sent byte for byte.

use super::{Cart, Command};
use crate::{
    app::Settings,
    db::{
        billing::{Form, Ordered},
        profiles::Told,
    },
    domain::{OrderId, profile::full_name},
    stripe::Line,
};

/// The body that makes a user's Stripe customer.
pub fn customer(told: &Told) -> Form {
    let mut form = vec![("email".to_owned(), told.email.clone())];
    let name = full_name(&told.first_name, &told.last_name);
    if !name.is_empty() {
        form.push(("name".to_owned(), name));
    }
    form.push(("metadata[user_id]".to_owned(), told.user_id.to_string()));
    form
}

/// The address in a stored body of a customer.
pub fn email_of(customer: &Form) -> &str {
    let email = customer.iter().find(|(key, _)| key == "email");
    email.map_or("", |(_, email)| email.as_str())
}

/// The body that opens a session, but for the customer. `metadata` is on the session
/// and on the subscription: Stripe does not copy it, and later events of the
/// subscription carry only its own.
pub fn session(
    id: OrderId,
    command: &Command,
    cart: &Cart,
    settings: &Settings,
    expires_at: i64,
) -> Form {
    let mut form: Form = Vec::new();
    let mut put = |key: &str, value: String| form.push((key.to_owned(), value));
    put("mode", "subscription".to_owned());
    for (index, price) in cart.prices.iter().enumerate() {
        put(
            &format!("line_items[{index}][price]"),
            price.stripe_price_id.clone(),
        );
        put(&format!("line_items[{index}][quantity]"), "1".to_owned());
    }
    put("success_url", command.success_url.clone());
    put("cancel_url", command.cancel_url.clone());
    put("client_reference_id", id.to_string());
    put("expires_at", expires_at.to_string());
    let metadata = [
        ("order_id", id.to_string()),
        ("user_id", command.told.user_id.to_string()),
        ("plan_id", cart.plan.id.clone()),
        ("term", cart.term.to_string()),
        ("region", cart.region.clone()),
    ];
    for (key, value) in &metadata {
        put(&format!("metadata[{key}]"), value.clone());
    }
    for (key, value) in &metadata {
        put(
            &format!("subscription_data[metadata][{key}]"),
            value.clone(),
        );
    }
    for (index, method) in settings.payment_methods.iter().enumerate() {
        put(&format!("payment_method_types[{index}]"), method.clone());
    }
    if settings.automatic_tax {
        put("automatic_tax[enabled]", "true".to_owned());
        put("customer_update[address]", "auto".to_owned());
    }
    if settings.promotion_codes {
        put("allow_promotion_codes", "true".to_owned());
    }
    form
}

/// The stored body with its customer.
pub fn with_customer(mut form: Form, customer_id: &str) -> Form {
    form.retain(|(key, _)| key != "customer");
    form.push(("customer".to_owned(), customer_id.to_owned()));
    form
}

/// Prices and quantities of a stored session body, in its order.
pub fn lines(form: &Form) -> Vec<(String, i64)> {
    let value = |key: String| form.iter().find(|(k, _)| *k == key).map(|(_, v)| v.clone());
    (0..)
        .map_while(|index| {
            let price = value(format!("line_items[{index}][price]"))?;
            let quantity = value(format!("line_items[{index}][quantity]"))?
                .parse()
                .ok()?;
            Some((price, quantity))
        })
        .collect()
}

/// Prices and quantities that a subscription is to have.
pub fn items(ordered: &Ordered) -> Vec<(String, i64)> {
    match &ordered.prices {
        Some(prices) => prices.iter().map(|price| (price.clone(), 1)).collect(),
        None => lines(&ordered.request),
    }
}

/// Compared by price, never by position: Stripe promises no order.
pub fn same_lines(ordered: &[(String, i64)], found: Option<&[Line]>) -> bool {
    let Some(found) = found else { return false };
    let mut ordered: Vec<(&str, i64)> = ordered
        .iter()
        .map(|(price, quantity)| (price.as_str(), *quantity))
        .collect();
    let mut found: Vec<(&str, i64)> = found
        .iter()
        .map(|line| (line.price.as_str(), line.quantity))
        .collect();
    ordered.sort_unstable();
    found.sort_unstable();
    ordered == found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_compared_by_price() {
        let line = |price: &str, quantity| Line {
            id: "si_1".to_owned(),
            price: price.to_owned(),
            quantity,
        };
        let ordered = [("a".to_owned(), 1), ("b".to_owned(), 1)];
        assert!(same_lines(&ordered, Some(&[line("b", 1), line("a", 1)])));
        assert!(!same_lines(&ordered, Some(&[line("a", 1)])));
        assert!(!same_lines(&ordered, Some(&[line("a", 2), line("b", 1)])));
        assert!(!same_lines(&ordered, None));
    }
}
