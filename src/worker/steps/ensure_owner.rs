//! EnsureOwner: the panel account of the customer. Made first and looked up only if
//! that is refused: a new customer costs one call, a crash in between costs two.

use crate::{
    app::Error,
    db::{accounts, orders, orders::leases, profiles},
    domain::{
        UserId,
        order::{ErrorReason, Facts, WaitingReason},
        profile::{Account, Origin, Profile, panel_names, panel_username},
        step::Step,
    },
    panel::{self, NewUser, User},
    worker::{claim::Work, driver::Outcome},
};

/// What a look for an account found.
enum Found {
    Account(User, Origin),
    Unresolved(&'static str),
    Nothing,
}

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let user_id = facts.order.user_id;
    let profile = profiles::find(work.app.db.read(), user_id).await?;
    let profile =
        profile.ok_or_else(|| Error::Internal(format!("user {user_id} has no profile")))?;
    if profile.panel_leaving_id.is_some() {
        // It would be found by its id, and be gone a moment later.
        return Ok(work.later(WaitingReason::PanelUnavailable));
    }
    let made = work.app.panel.create_user(&new_user(&profile)).await;
    let names_taken = made.as_ref().is_err_and(taken);
    let found = match made {
        Ok(user) => Ok(Found::Account(user, Origin::Created)),
        // Taken names mean that it is there: ours from an earlier try, or the customer's own.
        Err(error) if taken(&error) || error.may_have_been_done() => look(work, &profile).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(Found::Account(user, origin)) => store(work, user_id, &user, origin).await,
        Ok(Found::Unresolved(message)) => Ok(unresolved(message)),
        // The panel says that it is there, and no look finds it: somebody has to link it.
        Ok(Found::Nothing) if names_taken => Ok(Outcome::Tried {
            reason: ErrorReason::PanelUserUnresolved,
            message: "the panel has an account of that name or address, and none is found"
                .to_owned(),
        }),
        // It may have been made, and is not there yet: look again later.
        Ok(Found::Nothing) => Ok(work.later(WaitingReason::PanelUnavailable)),
        Err(error) => Ok(work.panel_failed(&error)),
    }
}

fn new_user(profile: &Profile) -> NewUser {
    let (first_name, last_name) = panel_names(profile);
    NewUser {
        external_id: profile.user_id.to_string(),
        username: panel_username(profile.user_id),
        email: profile.email.clone(),
        first_name,
        last_name,
    }
}

fn taken(error: &panel::Error) -> bool {
    ["email", "external_id", "username"]
        .iter()
        .any(|field| error.violates(field, "unique"))
}

/// Adopts only what is surely the customer's: our external id, or their exact and
/// verified e-mail address on an account that nobody else is linked to.
async fn look(work: &Work, profile: &Profile) -> Result<Found, panel::Error> {
    let external_id = profile.user_id.to_string();
    let panel = &work.app.panel;
    if let Some(user) = panel.user_by_external_id(&external_id).await? {
        let ours = user.username == panel_username(profile.user_id);
        return Ok(match (user.root_admin, ours) {
            (true, _) => Found::Unresolved("the account is an administrator's"),
            (false, true) => Found::Account(user, Origin::Created),
            (false, false) => Found::Account(user, Origin::Adopted),
        });
    }
    let Some(user) = panel.user_by_email(&profile.email).await? else {
        return Ok(Found::Nothing);
    };
    if user.root_admin {
        return Ok(Found::Unresolved(
            "the e-mail address is an administrator's",
        ));
    }
    if user
        .external_id
        .as_deref()
        .is_some_and(|other| !other.is_empty())
    {
        return Ok(Found::Unresolved(
            "the e-mail address is linked to another user",
        ));
    }
    if !profile.email_verified {
        return Ok(Found::Unresolved(
            "the e-mail address is taken on the panel and not verified",
        ));
    }
    // Written on adoption, so that later look-ups find it.
    let user = panel.set_user_external_id(&user, &external_id).await?;
    Ok(Found::Account(user, Origin::Adopted))
}

fn unresolved(message: &str) -> Outcome {
    Outcome::Park {
        reason: ErrorReason::PanelUserUnresolved,
        message: message.to_owned(),
    }
}

async fn store(
    work: &Work,
    user_id: UserId,
    user: &User,
    origin: Origin,
) -> Result<Outcome, Error> {
    let (panel_id, username, id) = (user.id, &user.username, work.id());
    let stored = work
        .store(Step::EnsureOwner, |tx, now_us| async move {
            let account = Account {
                user_id,
                panel_id,
                username: username.clone(),
                origin,
                synced_us: now_us,
            };
            accounts::insert(&tx, &account).await?;
            Ok(orders::clear_waiting(&tx, id).await?)
        })
        .await;
    match stored {
        Ok(_) => {}
        Err(Error::Store(error)) if error.conflicts_on("pterodactyl_user_id") => {
            return Ok(unresolved("the panel account belongs to another user"));
        }
        Err(error) => return Err(error),
    }
    wake_siblings(work, user_id, id).await?;
    Ok(Outcome::Again)
}

/// Other orders of the user wait for the same account.
async fn wake_siblings(
    work: &Work,
    user_id: UserId,
    id: crate::domain::OrderId,
) -> Result<(), Error> {
    let siblings = work
        .app
        .db
        .tx(|tx| async move {
            let now_us = work.app.db.now_in(&tx).await?;
            let mut siblings = orders::ids_of_user(&tx, user_id).await?;
            siblings.retain(|sibling| *sibling != id);
            for sibling in &siblings {
                if let Some(locked) = orders::lock(&tx, *sibling).await?
                    && locked.facts.billing.confirmed()
                    && locked.facts.order.error_reason.is_none()
                    && !locked.facts.server.exists()
                {
                    leases::add_fact(&tx, *sibling, now_us).await?;
                }
            }
            Ok::<_, Error>(siblings)
        })
        .await?;
    for sibling in siblings {
        work.app.nudge.order(sibling);
    }
    Ok(())
}
