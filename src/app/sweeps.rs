//! Sweeps, as operators look at them.

use super::{App, Caller, Error};
use crate::db::sweeps::{self, Shown};

/// Every sweep with its last run.
pub async fn list_sweeps(app: &App, caller: &Caller) -> Result<Vec<Shown>, Error> {
    caller.may("ProvisioningService/ListSweeps")?;
    Ok(sweeps::list(app.db.read()).await?)
}
