//! What is judged of every story at its end, whatever it told: the ten invariants. The audit knows
//! eight of them from store, panel and Stripe; what customers see of each other, and what is in the
//! log, is asked for here.

use spawnpoint::{
    app::{Role, orders},
    db::orders::Filter,
};

use crate::support::log_watch::ThreadLog;

use super::{
    play::Play,
    verbs::{is_away, reason},
};

/// Somebody who never bought anything; three customers there are.
const STRANGER: u8 = 99;
/// So many orders are asked for by those whose they are not.
const SAMPLE: usize = 3;
/// More than a story has.
const PAGE: u64 = 100;

impl Play<'_> {
    /// What the audit finds of what must always hold: it knows nothing of the story.
    pub fn audited(&self) -> Result<(), String> {
        let found = self.world.violations()?;
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        if found.is_empty() {
            Ok(())
        } else {
            Err(format!("the audit found:\n  {}", found.join("\n  ")))
        }
    }

    /// I9: each customer sees their own orders and no others, a stranger none.
    pub fn unseen_by_others(&mut self) -> Result<(), String> {
        let all = self.world.orders()?;
        for number in [0, 1, 2, STRANGER] {
            let user = self.user(number);
            let caller = &self.caller(Role::Storefront, Some(user));
            let listed = self.world.call(async |core| {
                orders::list_orders(&core.app, caller, Filter::default(), None, PAGE).await
            })?;
            let listed = listed.ok_or("it died while it was looked at")?;
            let listed = listed.map_err(|error| format!("no list: {error:?}"))?.rows;
            let own = all.iter().filter(|facts| facts.order.user_id == user);
            let strange = listed.iter().find(|facts| facts.order.user_id != user);
            if strange.is_some() || listed.len() != own.count() {
                return Err(format!("I9: {user} is shown {} orders", listed.len()));
            }
            let others = all.iter().filter(|facts| facts.order.user_id != user);
            for id in others.map(|facts| facts.order.id).take(SAMPLE) {
                let seen = self
                    .world
                    .call(async |core| orders::get_order(&core.app, caller, id).await)?;
                match seen {
                    Some(Err(error)) if reason(&error) == Some("ORDER_NOT_FOUND") => {}
                    Some(Err(error)) if is_away(&error) => {}
                    seen => return Err(format!("I9: {user} asked for {id}: {seen:?}")),
                }
                self.world.tally.one("look at another's order");
            }
        }
        Ok(())
    }

    /// I10: no key and no page to pay on is in what the core wrote.
    pub fn unsaid(&mut self, log: ThreadLog) -> Result<(), String> {
        let standins = &self.world.standins;
        let mut secrets = vec![
            ("Stripe key".to_owned(), standins.stripe.secret_key()),
            ("panel key".to_owned(), standins.panel.key().to_owned()),
        ];
        let pages = standins.stripe.sessions().into_iter();
        secrets.extend(pages.map(|session| ("page to pay on".to_owned(), session.url)));
        secrets.retain(|(_, secret)| !secret.is_empty());
        let (lines, found) = log.end(&secrets);
        if lines == 0 {
            return Err("nothing was logged".to_owned());
        }
        self.world.tally.one("log searched");
        match found.first() {
            None => Ok(()),
            Some(violation) => Err(violation.to_string()),
        }
    }
}
