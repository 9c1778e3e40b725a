//! What callers ask of the core, and what they must be told: storefront, gateway,
//! operator, and the clockwork that no other thread turns here.

use std::{collections::BTreeMap, time::Duration};

use sandbox::{stripe::ApiVersion, world::SHOP_ORIGIN};
use spawnpoint::{
    app::{self, Caller, Role, checkout, orders, servers, stripe_events},
    db::{self, profiles::Told as Customer},
    domain::{
        OrderId, UserId,
        catalog::{ItemType, Term},
    },
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    op::{Pick, Sweep},
    play::{Play, Told, pick},
};

/// How long a caller waits for its answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Refusals that a customer may meet although nothing is wrong with the cart.
const UNLUCKY: [&str; 3] = ["STRIPE_UNAVAILABLE", "NO_CAPACITY", "NO_PORTS"];
/// Why an order cannot have another plan now, or not this one.
const NOT_CHANGED: [&str; 7] = [
    "ORDER_ENDED",
    "SERVER_NOT_READY",
    "CHANGE_PENDING",
    "PLAN_INCOMPATIBLE",
    "DISK_SHRINK",
    "NO_CAPACITY",
    "STRIPE_UNAVAILABLE",
];
/// Those that orders live by. What only tidies up, or follows profiles that no story changes,
/// would cost a third of the time.
const ALL: [&str; 8] = [
    "install_watch",
    "servers",
    "pending_sessions",
    "panel_mirror",
    "stripe_events",
    "charges",
    "subscriptions",
    "sequencer",
];

/// One request of a storefront.
#[derive(Clone, Debug)]
pub(super) struct Purchase {
    user: u8,
    cart: u8,
    request_id: Uuid,
    /// The order that an answer named.
    order: Option<OrderId>,
}

impl Purchase {
    /// Whose it is.
    pub fn user(&self) -> u8 {
        self.user
    }
}

/// Whether the store was away: nobody knows what came of the call.
pub(super) fn is_away(error: &app::Error) -> bool {
    matches!(
        error,
        app::Error::Store(db::Error::Unavailable(_) | db::Error::Again(_))
    )
}

/// Why it was refused.
pub(super) fn reason(error: &app::Error) -> Option<&'static str> {
    match error {
        app::Error::Refused(refusal) => Some(refusal.reason()),
        _ => None,
    }
}

impl Play<'_> {
    pub fn user(&self, number: u8) -> UserId {
        UserId(Uuid::from_u128(
            (u128::from(self.seed) << 64) | (1 + u128::from(number)),
        ))
    }

    pub fn caller(&self, role: Role, user: Option<UserId>) -> Caller {
        Caller {
            role,
            user,
            trace_id: "model".to_owned(),
        }
    }

    /// The order's customer, by way of the storefront; an operator where nobody has heard whose it
    /// is.
    pub fn customer(&self, id: OrderId) -> Caller {
        let bought = self
            .purchases
            .iter()
            .find(|bought| bought.order == Some(id));
        match bought {
            Some(bought) => self.caller(Role::Storefront, Some(self.user(bought.user))),
            None => self.caller(Role::Operator, None),
        }
    }

    /// Two worlds of a game of one port, two of a game of three.
    fn command(&self, purchase: &Purchase) -> checkout::Command {
        let user_id = self.user(purchase.user);
        let plan = ["mc-2gb", "rust-3gb"][usize::from(purchase.cart % 2)];
        checkout::Command {
            request_id: purchase.request_id,
            told: Customer {
                user_id,
                email: format!("{}@players.example", user_id.0.simple()),
                email_verified: true,
                first_name: "Alex".to_owned(),
                last_name: "Miner".to_owned(),
            },
            plan_id: plan.to_owned(),
            item_type: ItemType::Game,
            term: Term::Monthly,
            region: "us-east".to_owned(),
            server_name: format!("World {}", purchase.cart),
            addon_ids: Vec::new(),
            environment: BTreeMap::new(),
            referral_code: String::new(),
            success_url: format!("{SHOP_ORIGIN}/thanks"),
            cancel_url: format!("{SHOP_ORIGIN}/cart"),
        }
    }

    pub fn buy(&mut self, user: u8, cart: u8) -> Result<(), String> {
        let number = 1_000 + self.purchases.len() as u128;
        self.purchases.push(Purchase {
            user,
            cart,
            request_id: Uuid::from_u128((u128::from(self.seed) << 64) | number),
            order: None,
        });
        self.world.tally.one("purchase");
        self.send(self.purchases.len() - 1)
    }

    pub fn repeat(&mut self, at: Pick) -> Result<(), String> {
        if self.purchases.is_empty() {
            return Ok(());
        }
        self.world.tally.one("request repeated");
        self.send(usize::from(at) % self.purchases.len())
    }

    /// Sends a request for a checkout, the first time or again.
    fn send(&mut self, at: usize) -> Result<(), String> {
        let purchase = self.purchases[at].clone();
        let command = self.command(&purchase);
        let caller = self.caller(Role::Storefront, Some(command.told.user_id));
        let asked = self.world.call(async |core| {
            let answer_by = Instant::now() + ANSWER;
            checkout::create_checkout_session(&core.app, &caller, &command, answer_by).await
        })?;
        self.find_orders()?;
        let opened = match asked {
            None => return Ok(()),
            Some(Ok(opened)) => opened.facts,
            Some(Err(error)) if is_away(&error) => return Ok(()),
            Some(Err(error)) => match reason(&error) {
                Some(reason) if UNLUCKY.contains(&reason) => return Ok(()),
                _ => return Err(format!("a good cart is refused: {error:?}")),
            },
        };
        let id = opened.order.id;
        if purchase.order.is_some_and(|known| known != id) {
            return Err(format!("one request made {:?} and {id}", purchase.order));
        }
        let ours = opened.order.user_id == command.told.user_id
            && opened.order.server_name == command.server_name;
        if !ours {
            return Err(format!("{id} is another cart's"));
        }
        self.purchases[at].order = Some(id);
        self.story(id).told |= opened.billing.session_url.is_some();
        Ok(())
    }

    /// Orders that came to be, answered or not.
    fn find_orders(&mut self) -> Result<(), String> {
        let mut requests = BTreeMap::new();
        for facts in self.world.orders()? {
            let (id, request_id) = (facts.order.id, facts.order.request_id);
            if let Some(other) = requests.insert(request_id, id) {
                return Err(format!("one request made {other} and {id}"));
            }
            if !self
                .purchases
                .iter()
                .any(|one| one.request_id == request_id)
            {
                return Err(format!("nobody asked for {id}"));
            }
            self.story(id);
        }
        Ok(())
    }

    pub fn deliver_one(&mut self, at: Pick, old: bool) -> Result<(), String> {
        let coming = self.coming();
        let Some(event) = pick(&coming, at) else {
            return Ok(());
        };
        if event.id != coming[0].id {
            self.world.tally.one("event reordered");
        }
        self.deliver(&event.id, old)
    }

    pub fn duplicate(&mut self, at: Pick, old: bool) -> Result<(), String> {
        let sent = self.told.iter();
        let sent: Vec<String> = sent
            .filter(|(_, told)| **told != Told::Lost)
            .map(|(id, _)| id.clone())
            .collect();
        let Some(id) = pick(&sent, at) else {
            return Ok(());
        };
        self.world.tally.one("event doubled");
        self.deliver(id, old)
    }

    /// Hands an event to the core as the gateway would. A refused one stays undelivered
    /// as far as Stripe knows: it may come again.
    pub fn deliver(&mut self, id: &str, old: bool) -> Result<(), String> {
        let version = if old {
            ApiVersion::OLD
        } else {
            ApiVersion::NEW
        };
        let version = ApiVersion::parse(version).map_err(|refusal| refusal.message.clone())?;
        let event = self.world.standins.stripe.event_json(id, &version);
        let payload = event.ok_or("an event vanished")?.to_string();
        let caller = self.caller(Role::Gateway, None);
        let recorded = self.world.call(async |core| {
            stripe_events::record_stripe_event(&core.app, &caller, payload.as_bytes(), None).await
        })?;
        self.world.tally.one("event delivered");
        let before = self.told.get(id).copied();
        match recorded {
            Some(Ok(recorded)) => {
                let right = match before {
                    None | Some(Told::Lost) => !recorded.duplicate || self.swept.contains(id),
                    Some(Told::Stored) => recorded.duplicate,
                    Some(Told::Perhaps) => true,
                };
                if !right {
                    return Err(format!("{id} was {before:?}, and answered {recorded:?}"));
                }
                self.told.insert(id.to_owned(), Told::Stored);
            }
            Some(Err(error)) if !is_away(&error) => {
                return Err(format!("an event is refused: {error:?}"));
            }
            None | Some(Err(_)) if before == Some(Told::Stored) => {}
            None | Some(Err(_)) => {
                self.told.insert(id.to_owned(), Told::Perhaps);
            }
        }
        Ok(())
    }

    /// An operator gives an order the other plan of its game. What the card says of it later is
    /// its customer's.
    pub fn change_plan(&mut self, at: Pick, declines: bool) -> Result<(), String> {
        let mut may = self.world.orders()?;
        may.retain(|facts| facts.server.ever_ran() && !facts.billing.over());
        let Some(facts) = pick(&may, at) else {
            return Ok(());
        };
        let (id, stripe) = (facts.order.id, &self.world.standins.stripe);
        let subscription = facts.billing.subscription_id.clone().unwrap_or_default();
        if stripe.set_card_declines(&subscription, declines).is_err() {
            // It is over, and nobody has heard of it.
            return Ok(());
        }
        let other = ["mc-4gb", "mc-2gb"][usize::from(facts.order.plan_id == "mc-4gb")];
        let wanted = orders::Wanted {
            plan_id: other.to_owned(),
            addon_ids: Vec::new(),
        };
        let caller = self.customer(id);
        let asked = self.world.call(async |core| {
            orders::change_plan(&core.app, &caller, id, &wanted, Uuid::new_v4()).await
        })?;
        match asked {
            Some(Ok(_)) => self.world.tally.one("plan change"),
            None => {}
            Some(Err(error)) if is_away(&error) => {}
            Some(Err(error)) => match reason(&error) {
                Some(reason) if NOT_CHANGED.contains(&reason) => {}
                _ => return Err(format!("{id} is not changed: {error:?}")),
            },
        }
        Ok(())
    }

    /// A customer has a server installed again.
    pub fn reinstall(&mut self, at: Pick) -> Result<(), String> {
        let mut may = self.world.orders()?;
        may.retain(|facts| facts.server.ever_ran() && !facts.billing.over());
        let Some(id) = pick(&may, at).map(|facts| facts.order.id) else {
            return Ok(());
        };
        let caller = self.customer(id);
        let asked = self.world.call(async |core| {
            servers::reinstall_server(&core.app, &caller, id, Some(Uuid::new_v4())).await
        })?;
        match asked {
            Some(Ok(_)) => self.world.tally.one("reinstall"),
            None => {}
            Some(Err(error)) if is_away(&error) || reason(&error) == Some("SERVER_BUSY") => {}
            Some(Err(error)) => return Err(format!("{id} is not reinstalled: {error:?}")),
        }
        Ok(())
    }

    /// Lets the worker take what is due. Tells how many orders that were.
    pub fn work(&mut self) -> Result<(), String> {
        let driven = self
            .world
            .call(async |core| core.worker.drive_due(8).await)?;
        match driven {
            None | Some(Ok(_) | Err(db::Error::Unavailable(_) | db::Error::Again(_))) => Ok(()),
            Some(Err(error)) => Err(format!("orders are not claimed: {error:?}")),
        }
    }

    /// Lets a sweep run once, or all.
    pub fn sweep(&mut self, which: Sweep) -> Result<(), String> {
        if matches!(which, Sweep::All | Sweep::One("stripe_events")) {
            // It brings whatever it finds, as far as it comes.
            let there = self.world.standins.stripe.events();
            self.swept.extend(there.into_iter().map(|event| event.id));
        }
        let swept = self.world.call(async |core| match which {
            Sweep::All => {
                for name in ALL {
                    core.worker.sweep_one(name).await?;
                }
                Ok(())
            }
            Sweep::One(name) => core.worker.sweep_one(name).await,
        })?;
        match swept {
            None | Some(Ok(())) => Ok(()),
            Some(Err(error)) if is_away(&error) => Ok(()),
            Some(Err(error)) => Err(format!("a sweep fails: {error:?}")),
        }
    }
}
