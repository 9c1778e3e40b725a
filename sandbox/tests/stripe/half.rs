//! A subscription whose items are to be changed, in the middle of its period.

use std::time::Duration;

use sandbox::stripe::{Interval, PayMode, PriceSpec};
use serde_json::Value;

use crate::support::{DAY, Reply, Shop};

/// What a change that may have to wait for its payment is sent with.
pub const BEHAVIOR: [(&str, &str); 2] = [
    ("payment_behavior", "pending_if_incomplete"),
    ("proration_behavior", "always_invoice"),
];

/// A subscription in the middle of its period of 31 days.
pub struct Half {
    pub shop: Shop,
    pub id: String,
    pub path: String,
    /// Its item.
    pub item: String,
    pub end: i64,
    /// How many events there are.
    events: usize,
}

impl Half {
    pub async fn open() -> Self {
        let shop = Shop::open().await;
        let big = PriceSpec::recurring("price_big", 2400, Interval::Month, 1);
        shop.stripe.add_price(big);
        let session = shop.session().await;
        let paid = shop.stripe.pay(&session, PayMode::Paid).unwrap();
        let id = paid.subscription.unwrap();
        let path = format!("/v1/subscriptions/{id}");
        let end = shop.stripe.subscription(&id).unwrap().current_period_end;
        let item = shop.get(&path).await.body["items"]["data"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        advance(&shop, 31 * DAY / 2);
        let events = shop.stripe.events().len();
        Self {
            shop,
            id,
            path,
            item,
            end,
            events,
        }
    }

    /// Another plan, and one item more.
    pub async fn upgrade(&self, further: &[(&str, &str)]) -> Reply {
        let mut form = vec![
            ("items[0][id]", self.item.as_str()),
            ("items[0][price]", "price_big"),
            ("items[0][quantity]", "1"),
            ("items[1][price]", "price_addon"),
            ("items[1][quantity]", "1"),
            ("expand[]", "latest_invoice"),
        ];
        form.extend(further);
        self.shop.post(&self.path, &form).await
    }

    /// An upgrade that waits for its payment, and the id of its invoice.
    pub async fn parked(&self) -> (Reply, String) {
        self.shop.stripe.set_card_declines(&self.id, true).unwrap();
        let reply = self.upgrade(&BEHAVIOR).await;
        assert_eq!(reply.status, 200, "{:?}", reply.body);
        let invoice = reply.body["latest_invoice"]["id"].as_str().unwrap();
        let invoice = invoice.to_owned();
        (reply, invoice)
    }

    pub async fn invoice(&self, id: &str) -> Value {
        self.shop.get(&format!("/v1/invoices/{id}")).await.body
    }

    pub async fn payments(&self, invoice: &str) -> usize {
        let path = format!("/v1/invoice_payments?invoice={invoice}");
        self.shop.get(&path).await.ids().len()
    }

    pub fn items(&self) -> Vec<(String, i64)> {
        self.shop.stripe.subscription(&self.id).unwrap().items
    }

    pub fn pending(&self) -> Option<i64> {
        let now = self.shop.stripe.subscription(&self.id).unwrap();
        now.pending_update
    }

    /// What was told since the last look.
    pub fn told(&mut self) -> Vec<String> {
        let events = self.shop.stripe.events();
        let kinds = events.iter().skip(self.events);
        let kinds = kinds.map(|event| event.kind.clone()).collect();
        self.events = events.len();
        kinds
    }
}

pub fn advance(shop: &Shop, seconds: i64) {
    let seconds = u64::try_from(seconds).unwrap();
    shop.stripe.advance(Duration::from_secs(seconds));
}

pub fn plan() -> Vec<(String, i64)> {
    vec![("price_plan".to_owned(), 1)]
}

pub fn upgraded() -> Vec<(String, i64)> {
    vec![("price_big".to_owned(), 1), ("price_addon".to_owned(), 1)]
}
