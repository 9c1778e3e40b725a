//! Profiles of customers, and the panel accounts that belong to them.
//!
//! A change is stored here at once. That Stripe and the panel are to follow is stored with it: the
//! worker tells them.

use super::{App, Caller, Error};
use crate::{
    db::{accounts, profiles},
    domain::{
        self, UserId,
        error::Kind,
        profile::{Account, Profile},
    },
};

mod delete;
mod export;
mod update;

pub use delete::delete_profile;
pub use export::export_profile;
pub use update::update_profile;

fn absent(user_id: UserId) -> Error {
    domain::Error::not_found(Kind::Profile, user_id).into()
}

/// A user's profile, as checkout stored it.
pub async fn get_profile(app: &App, caller: &Caller, user_id: UserId) -> Result<Profile, Error> {
    let scope = caller.may("OrderService/GetProfile")?;
    let found = profiles::find(app.db.read(), user_id).await?;
    let found = found.filter(|profile| scope.covers(profile.user_id));
    found.ok_or_else(|| absent(user_id))
}

/// The panel account of a user.
pub async fn get_external_account(
    app: &App,
    caller: &Caller,
    user_id: UserId,
) -> Result<Account, Error> {
    caller.may("ProvisioningService/GetExternalAccount")?;
    let found = accounts::find(app.db.read(), user_id).await?;
    found.ok_or_else(|| {
        domain::Error::precondition(
            "PANEL_USER_UNRESOLVED",
            "the user has no panel account yet",
            vec![("user_id", user_id.to_string())],
        )
        .into()
    })
}
