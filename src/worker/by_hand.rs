//! A worker without its clockwork: claims, drives and sweeps when it is told to.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Settings, driver, sweeps};
use crate::{
    app::{App, Error},
    db,
};

/// For tests that decide themselves whose turn it is. Dropping one of its calls is as
/// good as a killed process: no lease is given back.
pub struct ByHand {
    driver: driver::Driver,
}

impl ByHand {
    /// A worker that does nothing by itself.
    pub fn new(app: Arc<App>, settings: Settings) -> Self {
        let driver = driver::Driver {
            app,
            settings: Arc::new(settings),
            cancel: CancellationToken::new(),
        };
        Self { driver }
    }

    /// Claims up to `limit` orders that are due and drives each, one after the other,
    /// until it waits or rests. Tells how many there were.
    pub async fn drive_due(&self, limit: usize) -> Result<usize, db::Error> {
        let claims = self.driver.claim(limit).await?;
        let claimed = claims.len();
        for work in claims {
            driver::drive(work, &self.driver.cancel).await;
        }
        Ok(claimed)
    }

    /// Runs every sweep once, whether it is its time or not.
    pub async fn sweep(&self) -> Result<(), Error> {
        sweeps::once(&self.driver.app, &self.driver.settings, None).await
    }

    /// Runs one sweep, whether it is its time or not.
    pub async fn sweep_one(&self, name: &str) -> Result<(), Error> {
        sweeps::once(&self.driver.app, &self.driver.settings, Some(name)).await
    }
}
