//! What customers and operators want to become of an order. Who wants something asks, with one
//! request id, until there is an answer: what a call did whose answer was lost is known then.

use std::collections::BTreeMap;

use spawnpoint::{
    app::{self, Role, orders, servers},
    domain::{OrderId, order::Facts},
};
use uuid::Uuid;

use super::{
    core::Core,
    op::Pick,
    play::{Play, order_of, pick},
    reference::{Money, Story},
    verbs::{is_away, reason},
};

/// So often at most.
const PATIENCE: usize = 20;
/// Why a wish may come too late.
const ENDED: &str = "ORDER_ENDED";
/// Until then no period of a month is over.
const FIRST_PERIOD_DAYS: usize = 27;

impl Play<'_> {
    /// Asks until there is an answer. Tells whether it was a yes. A no is right where the order
    /// is over, and for this reason.
    fn until_answered(
        &mut self,
        id: OrderId,
        too_early: &str,
        ask: impl AsyncFn(&Core) -> Result<Facts, app::Error>,
    ) -> Result<bool, String> {
        for _ in 0..PATIENCE {
            match self.world.call(async |core| ask(core).await)? {
                Some(Ok(_)) => return Ok(true),
                None => {}
                Some(Err(error)) if is_away(&error) => {}
                Some(Err(error)) => {
                    let right = match reason(&error) {
                        Some(ENDED) => self.story(id).over(),
                        Some(reason) => reason == too_early,
                        None => false,
                    };
                    let wrong = || format!("a wish for {id} is refused: {error:?}");
                    return right.then_some(false).ok_or_else(wrong);
                }
            }
        }
        Err("nobody answers".to_owned())
    }

    /// One of the orders whose stories are so.
    fn one_of(&self, at: Pick, so: impl Fn(&Story) -> bool) -> Option<OrderId> {
        let stories = self.stories.iter();
        let may: Vec<OrderId> = stories
            .filter(|(_, story)| so(story))
            .map(|(id, _)| *id)
            .collect();
        pick(&may, at).copied()
    }

    /// An order is canceled, paid or not.
    pub fn cancel_order(&mut self, at: Pick, at_period_end: bool) -> Result<(), String> {
        // Rather of those whose customers have done their part.
        let any = at.is_multiple_of(2);
        let Some(id) = self.one_of(at, |story| !story.ended && (any || story.entitles())) else {
            return Ok(());
        };
        let (caller, asked) = (self.customer(id), Some(Uuid::new_v4()));
        let done = self.until_answered(id, "", async |core| {
            orders::cancel_order(&core.app, &caller, id, at_period_end, asked).await
        })?;
        if !done {
            return Ok(());
        }
        if at_period_end {
            self.story(id).leaving = true;
            self.world.tally.one("canceled with its period");
        } else {
            self.story(id).ended = true;
            self.world.tally.one("canceled at once");
        }
        Ok(())
    }

    /// An end with the period is taken back.
    pub fn resume_order(&mut self, at: Pick) -> Result<(), String> {
        let Some(id) = self.one_of(at, |story| story.leaving && !story.ended) else {
            return Ok(());
        };
        let (caller, asked) = (self.customer(id), Some(Uuid::new_v4()));
        let done = self.until_answered(id, "NOT_CANCELING", async |core| {
            orders::resume_order(&core.app, &caller, id, asked).await
        })?;
        if done {
            self.story(id).leaving = false;
            self.world.tally.one("end taken back");
        }
        Ok(())
    }

    /// An operator stops the server of an order, or what would become one.
    pub fn suspend(&mut self, at: Pick) -> Result<(), String> {
        match self.one_of(at, |story| !story.stopped) {
            Some(id) => self.set_stopped(id, true),
            None => Ok(()),
        }
    }

    /// An operator lets it go on.
    pub fn let_go(&mut self, at: Pick) -> Result<(), String> {
        match self.one_of(at, |story| story.stopped) {
            Some(id) => self.set_stopped(id, false),
            None => Ok(()),
        }
    }

    fn set_stopped(&mut self, id: OrderId, stopped: bool) -> Result<(), String> {
        let (caller, asked) = (self.caller(Role::Operator, None), Some(Uuid::new_v4()));
        let done = self.until_answered(id, "", async |core| {
            let app = &core.app;
            if stopped {
                servers::suspend_server(app, &caller, id, "", asked).await
            } else {
                servers::unsuspend_server(app, &caller, id, "", asked).await
            }
        })?;
        if done {
            self.story(id).stopped = stopped;
            self.world.tally.one(if stopped {
                "suspended by an operator"
            } else {
                "let go by an operator"
            });
        }
        Ok(())
    }

    /// An operator ends an order at once.
    pub fn terminate(&mut self, at: Pick) -> Result<(), String> {
        let Some(id) = self.one_of(at, |story| story.money == Money::Paid) else {
            return Ok(());
        };
        let (caller, asked) = (self.caller(Role::Operator, None), Some(Uuid::new_v4()));
        let done = self.until_answered(id, "", async |core| {
            servers::terminate_server(&core.app, &caller, id, "", asked).await
        })?;
        if done {
            self.story(id).ended = true;
            self.world.tally.one("terminated by an operator");
        }
        Ok(())
    }

    /// An operator wakes an order.
    pub fn wake(&mut self, id: OrderId) -> Result<(), String> {
        let (caller, asked) = (self.caller(Role::Operator, None), Some(Uuid::new_v4()));
        let done = self.until_answered(id, "ORDER_NOT_PAID", async |core| {
            orders::provision_order(&core.app, &caller, id, asked).await
        })?;
        if done {
            self.world.tally.one("wake-up by an operator");
        }
        Ok(())
    }

    /// What an operator stops is not made, however long it takes.
    pub fn let_go_what_is_not_made(&mut self) -> Result<(), String> {
        let stories = self.stories.iter();
        let stopped = stories.filter(|(_, story)| story.stopped && !story.usable);
        let stopped: Vec<OrderId> = stopped.map(|(id, _)| *id).collect();
        stopped
            .into_iter()
            .try_for_each(|id| self.set_stopped(id, false))
    }

    /// Stripe must know which subscriptions end with their periods, and no other ends so.
    /// Whatever ended with a period that was long enough ended by its customer's wish.
    pub fn ends_with_periods(&mut self) -> Result<(), String> {
        let there = self.world.standins.stripe.subscriptions().into_iter();
        let there = there.filter_map(|one| {
            let id = order_of(one.metadata.get("order_id").map(String::as_str))?;
            Some((id, one))
        });
        let there: BTreeMap<_, _> = there.collect();
        let first_period = self.world.days() < FIRST_PERIOD_DAYS;
        for (id, subscription) in there {
            let story = self.story(id);
            let ended = subscription.ended_at.is_some();
            if ended && story.leaving && !first_period {
                story.ended = true;
            }
            if ended || story.over() || !first_period {
                continue;
            }
            if subscription.cancel_at_period_end != story.leaving {
                return Err(format!(
                    "{id} ends with its period: {}, and should: {}",
                    subscription.cancel_at_period_end, story.leaving
                ));
            }
        }
        Ok(())
    }
}
