//! What must hold at any time, and what must have come to be once all is at rest.

use std::collections::BTreeMap;

use sandbox::stripe::SessionStatus;
use spawnpoint::domain::{OrderId, SECOND_US, order::Facts};

use super::{
    op::{INSTALLS, NodeMood, Sweep},
    play::{Play, Told},
    reference::{Dunning, Money},
};

/// More rounds of news than any story has at its end.
const ROUNDS: u32 = 5;
/// More turns than any story needs.
const TURNS: usize = 60;
/// An install is looked at again after this.
const LOOK_S: i64 = 35;
/// What a dead worker had is free after this.
const LEASE_S: i64 = 61;
/// Whose next look is at the end of its period is at rest: all else comes sooner.
const FAR_S: i64 = 14 * 24 * 3600;
/// So often in a row.
const LOOKS: u32 = 4;
const SERVER: &str = "/api/application/servers/{server}";
const SUSPEND: &str = "/api/application/servers/{server}/suspend";
const UNSUSPEND: &str = "/api/application/servers/{server}/unsuspend";

impl Play<'_> {
    /// One server, one session and one create that came through, at most, for each order;
    /// and no server for what nobody paid.
    pub fn always(&self) -> Result<(), String> {
        let (stripe, panel) = (&self.world.standins.stripe, &self.world.standins.panel);
        let mut servers = BTreeMap::new();
        for server in panel.servers() {
            let external_id = server.external_id.unwrap_or_default();
            let id = external_id.parse().map(OrderId);
            let story = id.ok().and_then(|id| self.stories.get(&id));
            let story = story.ok_or_else(|| format!("a server of nobody: {external_id:?}"))?;
            if !story.entitles() {
                return Err(format!("a server that nobody paid for: {external_id}"));
            }
            *servers.entry(external_id).or_insert(0) += 1;
        }
        let mut made = BTreeMap::new();
        for call in panel.calls() {
            if call.method != "POST" || call.template != Some("/api/application/servers") {
                continue;
            }
            let id = call.external_id.clone().unwrap_or_default();
            if made.contains_key(&id) {
                return Err(format!("another create after one came through: {id}"));
            }
            if call.status.is_some_and(|status| status < 300) {
                made.insert(id, ());
            }
        }
        let mut sessions = BTreeMap::new();
        for session in stripe.sessions() {
            let reference = session.client_reference_id.unwrap_or_default();
            *sessions.entry(reference).or_insert(0) += 1;
        }
        for (what, counts) in [("servers", servers), ("sessions", sessions)] {
            if let Some((id, count)) = counts.iter().find(|(_, count)| **count > 1) {
                return Err(format!("{id} has {count} {what}"));
            }
        }
        let events = stripe.events();
        let customers = events.iter().filter(|one| one.kind == "customer.created");
        let users: std::collections::BTreeSet<u8> = self
            .purchases
            .iter()
            .map(super::verbs::Purchase::user)
            .collect();
        if customers.count() > users.len() {
            return Err(format!("more than {} customers", users.len()));
        }
        // The administrator is there from the start.
        if panel.users().len() > 1 + users.len() {
            return Err(format!("more than {} accounts", users.len()));
        }
        Ok(())
    }

    /// Ends the story: nothing goes wrong any more, and everybody does what they do until
    /// nothing is left to do.
    pub fn come_to_rest(&mut self) -> Result<(), String> {
        self.world.count_blows();
        self.world.calm();
        for second in [false, true] {
            self.node(second, NodeMood::Well);
        }
        self.pay_for_what_is_not_made()?;
        self.win_for_what_is_not_made()?;
        self.let_go_what_is_not_made()?;
        while !self.awaited().is_empty() {
            self.settle(0, !self.seed.is_multiple_of(3))?;
        }
        for event in self.coming() {
            self.told.insert(event.id, Told::Lost);
        }
        // A sweep whose process died has its turn until its lease is over.
        self.world.pass(u64::try_from(LEASE_S).unwrap_or_default());
        self.observe();
        // No webhook will tell of them: the sweeps have to find what they would have told.
        let lost = self.told.values().filter(|told| **told == Told::Lost);
        let lost = lost.count();
        self.world.tally.many("event lost", lost);
        self.turn_until_idle()?;
        if self.wake_mended()? {
            self.turn_until_idle()?;
        }
        if self.change_plans()? {
            self.turn_until_idle()?;
        }
        if self.change_ends()? {
            self.turn_until_idle()?;
        }
        if self.seed % 4 == 1 {
            self.reinstall(0)?;
            self.turn_until_idle()?;
        }
        if self.owe_for_a_while()? {
            self.turn_until_idle()?;
        }
        self.come_to_the_end_of_the_news()?;
        self.ends_with_periods()?;
        self.end()?;
        self.unseen_by_others()?;
        self.audited()
    }

    /// What was done at last made events of its own, which the sweeps bring: until they find
    /// nothing more to do, and have given every change its number.
    fn come_to_the_end_of_the_news(&mut self) -> Result<(), String> {
        for _ in 0..ROUNDS {
            self.sweep(Sweep::All)?;
            let now_us = self.world.now_us();
            let orders = self.world.orders()?;
            let due = |facts: &Facts| facts.order.due_us.is_some_and(|due_us| due_us <= now_us);
            if !orders.iter().any(due) {
                return Ok(());
            }
            self.turn_until_idle()?;
        }
        Err("there is no end of the news".to_owned())
    }

    /// Who owes and has no server yet would wait for days.
    fn pay_for_what_is_not_made(&mut self) -> Result<(), String> {
        for owed in [Dunning::PastDue, Dunning::GivenUp] {
            let mut owing = self.owing(owed);
            owing.retain(|(id, _)| !self.stories[id].usable);
            for (id, subscription) in owing {
                let stripe = &self.world.standins.stripe;
                let paid = stripe.set_subscription_status(&subscription, Dunning::None.status());
                paid.map_err(|refusal| format!("not paid: {}", refusal.message))?;
                self.story(id).dunning = Dunning::None;
            }
        }
        Ok(())
    }

    fn turn_until_idle(&mut self) -> Result<(), String> {
        let mut looks = 0;
        for turn in 0..TURNS {
            self.work()?;
            if turn == 0 || looks > 0 {
                self.sweep(if turn == 0 { Sweep::All } else { INSTALLS })?;
                self.work()?;
            }
            self.observe();
            self.always()?;
            let orders = self.world.orders()?;
            let far_us = self.world.now_us() + FAR_S * SECOND_US;
            let due_us = orders.iter().filter_map(|facts| facts.order.due_us);
            let next_us = due_us.filter(|due_us| *due_us < far_us).min();
            let Some(next_us) = next_us else {
                return Ok(());
            };
            looks = if orders.iter().any(installing) {
                looks + 1
            } else {
                0
            };
            let wait_s = (next_us - self.world.now_us()) / SECOND_US + 1;
            let wait_s = match wait_s {
                // Due and not taken: somebody who died has it.
                ..=0 => LEASE_S,
                // An install that does not end soon was lost: its deadline comes next.
                1.. if (1..=LOOKS).contains(&looks) => wait_s.min(LOOK_S),
                1.. => wait_s,
            };
            self.world.pass(u64::try_from(wait_s).unwrap_or_default());
            self.observe();
        }
        let orders = self.world.orders()?;
        let busy = orders.iter().find(|facts| facts.order.due_us.is_some());
        let busy = busy.map(|facts| (facts.order.id, facts.order.waiting_reason));
        Err(format!("it never comes to rest: {busy:?}"))
    }

    /// An order may park after its cause was mended: its operator looks again.
    fn wake_mended(&mut self) -> Result<bool, String> {
        let mut woken = false;
        for facts in self.world.orders()? {
            let story = self.story(facts.order.id).clone();
            if story.mended && !story.usable && facts.order.error_reason.is_some() {
                self.wake(facts.order.id)?;
                woken = true;
            }
        }
        Ok(woken)
    }

    /// In every fourth story customers take another plan at last: few servers run before. Some
    /// cards decline, and some of those pay later.
    fn change_plans(&mut self) -> Result<bool, String> {
        if !self.seed.is_multiple_of(4) {
            return Ok(false);
        }
        let declines = self.seed.is_multiple_of(3);
        self.change_plan(0, declines)?;
        self.work()?;
        if declines && self.seed.is_multiple_of(8) {
            self.pay_difference(0)?;
        }
        Ok(true)
    }

    /// In every fourth story customers go, and some of them think again, before Stripe hears of
    /// it or after.
    fn change_ends(&mut self) -> Result<bool, String> {
        if self.seed % 4 != 2 {
            return Ok(false);
        }
        // An odd number: of those whose customers paid.
        self.cancel_order(1, true)?;
        if self.seed.is_multiple_of(3) {
            self.work()?;
        }
        if self.seed % 8 == 2 {
            self.resume_order(0)?;
        }
        Ok(true)
    }

    /// In every fourth story Stripe gives up on a bill at last, and the server stands still; in half
    /// of those it is paid then, and the server goes on.
    fn owe_for_a_while(&mut self) -> Result<bool, String> {
        if self.seed % 4 != 3 {
            return Ok(false);
        }
        let mut used = self.owing(Dunning::None);
        used.retain(|(id, _)| self.stories[id].usable && !self.stories[id].over());
        let Some((id, subscription)) = used.first() else {
            return Ok(false);
        };
        self.set_dunning(*id, subscription, Dunning::PastDue)?;
        self.set_dunning(*id, subscription, Dunning::GivenUp)?;
        self.told_and_done()?;
        if self.seed % 8 == 3 {
            self.set_dunning(*id, subscription, Dunning::None)?;
        }
        Ok(true)
    }

    /// What Stripe has to tell is found, and what follows at once is done.
    fn told_and_done(&mut self) -> Result<(), String> {
        for _ in 0..LOOKS {
            self.sweep(Sweep::All)?;
            self.work()?;
            self.observe();
            self.always()?;
        }
        Ok(())
    }

    /// Compares every order with the end that its story has.
    fn end(&mut self) -> Result<(), String> {
        let servers = self.world.standins.panel.servers();
        let sessions = self.world.standins.stripe.sessions();
        for call in self.world.standins.panel.calls() {
            let create = call.method == "POST" && call.status.is_none();
            let id = call.external_id.and_then(|id| id.parse().ok());
            if let Some(id) = id.filter(|_| create) {
                self.story(OrderId(id)).cut = true;
            }
        }
        for facts in self.world.orders()? {
            let id = facts.order.id;
            let name = id.to_string();
            let ours = |other: Option<&str>| other == Some(name.as_str());
            let servers = servers.iter();
            let count = servers
                .filter(|one| ours(one.external_id.as_deref()))
                .count();
            let story = self.story(id).clone();
            if let Some(difference) = story.differs(&facts, count) {
                return Err(format!("{id} {difference}\n{story:?}\n{facts:#?}"));
            }
            let mut sessions = sessions.iter();
            let open = sessions
                .find(|one| ours(one.client_reference_id.as_deref()))
                .is_some_and(|session| session.status == SessionStatus::Open);
            if open {
                return Err(format!("{id} is at rest with an open session"));
            }
            if story.told && story.money == Money::None {
                self.world.tally.one("walk-away");
            }
            // All are bought with the smaller one.
            if facts.order.plan_id == "mc-4gb" {
                self.world.tally.one("larger plan delivered");
            }
            self.world.tally.one(match facts.order.status.as_str() {
                "provisioned" => "end: provisioned",
                "canceled" => "end: canceled",
                _ => "end: error",
            });
        }
        let expired = sessions
            .iter()
            .filter(|one| one.status == SessionStatus::Expired);
        self.world.tally.many("session expired", expired.count());
        self.count_creates();
        Ok(())
    }

    /// Creates without an answer, and installs that nobody will report.
    fn count_creates(&mut self) {
        let calls = self.world.standins.panel.calls();
        let creates = calls.iter().filter(|call| {
            call.method == "POST" && call.template == Some("/api/application/servers")
        });
        let lost = creates.filter(|call| call.status.is_none()).count();
        self.world.tally.many("install lost", lost);
        for (kind, method, template) in [
            ("server suspended", "POST", SUSPEND),
            ("server let go on", "POST", UNSUSPEND),
            ("server deleted", "DELETE", SERVER),
        ] {
            let done = calls.iter().filter(|call| {
                call.method == method
                    && call.template == Some(template)
                    && call.status.is_some_and(|status| status < 300)
            });
            self.world.tally.many(kind, done.count());
        }
    }
}

/// Whether a server is being made ready, as far as the order knows.
fn installing(facts: &Facts) -> bool {
    let again = facts.server.observed_status.as_deref() == Some("installing");
    facts.server.exists() && (again || !facts.server.ever_ran())
}
