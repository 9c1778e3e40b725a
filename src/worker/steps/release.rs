//! Release: room and ports of an order that is over go back, and a change of its plan is
//! forgotten.

use crate::{
    app::Error,
    db::{holds, order_changes},
    domain::step::Step,
    worker::{claim::Work, driver::Outcome},
};

pub(super) async fn take(work: &Work) -> Result<Outcome, Error> {
    let id = work.id();
    work.store(Step::Release, |tx, _| async move {
        order_changes::remove(&tx, id).await?;
        Ok(holds::release(&tx, id).await?)
    })
    .await?;
    Ok(Outcome::Again)
}
