//! Sweeps, as operators look at them, and let go on what a guard holds.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    App, Caller, Error,
    catalog::{earlier, remember, repeatable},
};
use crate::{
    db::{
        guards,
        servers::suspension,
        sweeps::{self, Shown},
    },
    domain::{
        self,
        error::Kind,
        guard::{Act, CHARGES, RELEASED, SERVERS},
    },
};

/// Orders that are woken in one transaction: so many rows are locked at a time.
const WOKEN_AT_ONCE: u64 = 200;

/// Every sweep with its last run.
pub async fn list_sweeps(app: &App, caller: &Caller) -> Result<Vec<Shown>, Error> {
    caller.may("ProvisioningService/ListSweeps")?;
    Ok(sweeps::list(app.db.read()).await?)
}

/// Lets a sweep go on that a guard holds: what it had done so far is forgotten, and what waits is
/// done now. One that is not held is left as it is.
pub async fn release_guard(
    app: &Arc<App>,
    caller: &Caller,
    sweep: &str,
    request_id: Option<Uuid>,
) -> Result<Shown, Error> {
    const METHOD: &str = "ProvisioningService/ReleaseGuard";
    caller.may(METHOD)?;
    let request = repeatable(caller, METHOD, request_id, &sweep)?;
    let request = request.as_ref();
    let shown = app
        .db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            let found = sweeps::lock(&tx, sweep).await?;
            let shown = found.ok_or_else(|| domain::Error::not_found(Kind::Sweep, sweep))?;
            if earlier(request, &tx, now_us).await?.is_some() {
                return Ok(shown);
            }
            remember(request, &tx, sweep, now_us).await?;
            if shown.guard.is_empty() {
                return Ok(shown);
            }
            guards::release(&tx, sweep).await?;
            let mut cursor = shown.cursor;
            if sweep == SERVERS {
                cursor = format!("{RELEASED}{now_us}");
                sweeps::set_cursor(&tx, sweep, &cursor).await?;
            }
            Ok::<_, Error>(Shown {
                guard: String::new(),
                cursor,
                ..shown
            })
        })
        .await?;
    if shown.guard.is_empty() && sweep == CHARGES {
        wake(app).await?;
    }
    Ok(shown)
}

/// Wakes what waits for a guard that holds no more, and lets it pass. Not in the transaction that releases it: who
/// asks a guard has an order locked, and the sweep behind it. Should this process die in between,
/// they look again by themselves, and a repeat of the call wakes them.
async fn wake(app: &App) -> Result<(), Error> {
    loop {
        let woken = app.db.tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            let held = suspension::wake_held(&tx, WOKEN_AT_ONCE, now_us).await?;
            guards::let_go(&tx, Act::Suspend, &held, now_us).await?;
            Ok::<_, Error>(held)
        });
        let woken = woken.await?;
        for id in &woken {
            app.nudge.order(*id);
        }
        if u64::try_from(woken.len()).is_ok_and(|woken| woken < WOKEN_AT_ONCE) {
            return Ok(());
        }
    }
}
