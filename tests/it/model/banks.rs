//! What banks do with payments of the stories.

use sandbox::stripe::{DisputeOutcome, DisputeView};
use spawnpoint::domain::OrderId;

use super::{
    op::Pick,
    play::{Play, order_of, pick},
    reference::{Claim, Money},
};

impl Play<'_> {
    /// A bank disputes the payment of an order, once.
    pub fn dispute(&mut self, at: Pick) -> Result<(), String> {
        let stripe = &self.world.standins.stripe;
        let disputed: Vec<Option<String>> = stripe
            .disputes()
            .into_iter()
            .map(|dispute| dispute.subscription)
            .collect();
        let mut paid = stripe.subscriptions();
        paid.retain(|one| {
            let id = order_of(one.metadata.get("order_id").map(String::as_str));
            id.is_some_and(|id| self.stories[&id].money == Money::Paid)
                && !disputed.contains(&Some(one.id.clone()))
        });
        let Some(subscription) = pick(&paid, at) else {
            return Ok(());
        };
        // A voucher has no bank.
        if stripe.open_dispute(&subscription.id, "fraudulent").is_err() {
            return Ok(());
        }
        let id = order_of(subscription.metadata.get("order_id").map(String::as_str));
        let id = id.ok_or("a subscription names no order")?;
        self.story(id).claim = Claim::Open;
        self.world.tally.one("dispute");
        Ok(())
    }

    /// Disputes that are not over, with their orders.
    fn disputes(&self) -> Vec<(OrderId, DisputeView)> {
        let stripe = &self.world.standins.stripe;
        let open = stripe.disputes().into_iter().filter_map(|dispute| {
            let subscription = stripe.subscription(dispute.subscription.as_deref()?)?;
            let id = order_of(subscription.metadata.get("order_id").map(String::as_str))?;
            (self.stories[&id].claim == Claim::Open).then_some((id, dispute))
        });
        open.collect()
    }

    /// One of them ends.
    pub fn close_dispute(&mut self, at: Pick, won: bool) -> Result<(), String> {
        let open = self.disputes();
        let Some((id, dispute)) = pick(&open, at).cloned() else {
            return Ok(());
        };
        self.close(id, &dispute, won)
    }

    fn close(&mut self, id: OrderId, dispute: &DisputeView, won: bool) -> Result<(), String> {
        let (outcome, claim, kind) = if won {
            (DisputeOutcome::Won, Claim::None, "dispute won")
        } else {
            (DisputeOutcome::Lost, Claim::Lost, "dispute lost")
        };
        let closed = self
            .world
            .standins
            .stripe
            .close_dispute(&dispute.id, outcome);
        closed.map_err(|refusal| format!("a dispute does not end: {}", refusal.message))?;
        self.story(id).claim = claim;
        self.world.tally.one(kind);
        Ok(())
    }

    /// Whose money a bank has gets no server, however long it takes.
    pub fn win_for_what_is_not_made(&mut self) -> Result<(), String> {
        let mut open = self.disputes();
        open.retain(|(id, _)| !self.stories[id].usable);
        for (id, dispute) in open {
            self.close(id, &dispute, true)?;
        }
        Ok(())
    }
}
