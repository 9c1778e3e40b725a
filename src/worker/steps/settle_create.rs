//! SettleCreate: asks the panel what came of a create whose answer never came. It is
//! planned so late after the POST that what it finds can be believed.

use super::created;
use crate::{
    app::Error,
    db::servers,
    domain::{
        order::Facts,
        step::{Step, looks_to_settle},
    },
    worker::{claim::Work, driver::Outcome},
};

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let id = work.id();
    match work.app.panel.server_by_external_id(&id.to_string()).await {
        Ok(Some(server)) => {
            created::store(work, Step::SettleCreate, &server).await?;
            metrics::counter!("spawnpoint_creates_adopted_total").increment(1);
        }
        Ok(None) => {
            let settled = facts.server.settle_looks + 1 >= looks_to_settle(facts.billing.over());
            work.store(Step::SettleCreate, |tx, now_us| async move {
                if settled {
                    // It was surely not done: the same request may be sent again.
                    servers::clear_create(&tx, id, true).await?;
                } else {
                    servers::add_look(&tx, id, now_us).await?;
                }
                Ok(())
            })
            .await?;
        }
        Err(error) => return Ok(work.panel_failed(&error)),
    }
    Ok(Outcome::Again)
}
