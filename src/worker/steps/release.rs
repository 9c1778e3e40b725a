//! Release: room and ports of an order that is over go back.

use crate::{
    app::Error,
    db::holds,
    domain::step::Step,
    worker::{claim::Work, driver::Outcome},
};

pub(super) async fn take(work: &Work) -> Result<Outcome, Error> {
    let id = work.id();
    work.store(Step::Release, |tx, _| async move {
        Ok(holds::release(&tx, id).await?)
    })
    .await?;
    Ok(Outcome::Again)
}
