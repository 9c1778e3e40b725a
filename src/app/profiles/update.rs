//! UpdateProfile: what a user is called, here at once; Stripe and the panel follow.

use std::sync::Arc;

use uuid::Uuid;

use super::absent;
use crate::{
    app::{
        App, Caller, Error, Role,
        catalog::{earlier, remember, repeatable},
    },
    db::profiles,
    domain::{
        UserId,
        error::Violations,
        profile::{Changes, Profile},
    },
};

const METHOD: &str = "OrderService/UpdateProfile";

/// Changes a profile. Where others refused an earlier change, naming what they refused has it
/// tried again.
pub async fn update_profile(
    app: &Arc<App>,
    caller: &Caller,
    user_id: UserId,
    changes: &Changes,
    request_id: Option<Uuid>,
) -> Result<Profile, Error> {
    let scope = caller.may(METHOD)?;
    let body = (
        user_id.to_string(),
        &changes.email,
        changes.email_verified,
        &changes.first_name,
        &changes.last_name,
    );
    let request = repeatable(caller, METHOD, request_id, &body)?;
    let request = request.as_ref();
    app.db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            let known = profiles::lock(&tx, user_id).await?;
            let known = known.filter(|known| scope.covers(known.user_id));
            let known = known.ok_or_else(|| absent(user_id))?;
            if earlier(request, &tx, now_us).await?.is_some() {
                return Ok(known);
            }
            // What was deleted begins anew by a checkout only, and not by a call that comes late.
            if known.deleted_us.is_some() {
                return Err(absent(user_id));
            }
            claimed(caller, &known, changes)?;
            let wanted = known.with(changes);
            let named = changes.email.is_some()
                || changes.first_name.is_some()
                || changes.last_name.is_some();
            let refused = known.stripe_problem.is_some() || known.panel_problem.is_some();
            let follows = !wanted.is_told_as(&known) || (named && refused);
            let changed = if follows || wanted != known {
                profiles::set_told(&tx, &wanted, follows, now_us).await?
            } else {
                known
            };
            remember(request, &tx, &user_id.to_string(), now_us).await?;
            Ok::<_, Error>(changed)
        })
        .await
}

/// A customer's address is the identity provider's to tell, and so is whether it is verified.
fn claimed(caller: &Caller, known: &Profile, changes: &Changes) -> Result<(), Error> {
    if caller.role != Role::Customer {
        return Ok(());
    }
    let mut violations = Violations::default();
    let other = |email: &String| *email != known.email;
    violations.require(
        !changes.email.as_ref().is_some_and(other),
        "profile.email",
        "must be empty or the address that the user is signed in with",
    );
    let other = |verified: bool| verified != known.email_verified;
    violations.require(
        !changes.email_verified.is_some_and(other),
        "profile.email_verified",
        "is the identity provider's to tell",
    );
    Ok(violations.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::profile::tests::profile;

    fn told(role: Role, changes: &Changes) -> Result<(), Error> {
        let caller = Caller {
            role,
            user: Some(profile().user_id),
            trace_id: String::new(),
        };
        claimed(&caller, &profile(), changes)
    }

    #[test]
    fn a_customer_tells_names_and_no_other_address() {
        let own = Changes {
            email: Some(profile().email),
            email_verified: Some(true),
            first_name: Some("Bo".to_owned()),
            last_name: Some(String::new()),
        };
        let others = Changes {
            email: Some("b@x.example".to_owned()),
            email_verified: Some(false),
            ..Changes::default()
        };
        assert!(told(Role::Customer, &own).is_ok());
        assert!(told(Role::Storefront, &others).is_ok());
        let Err(Error::Refused(refusal)) = told(Role::Customer, &others) else {
            panic!("a customer told another address");
        };
        assert_eq!(refusal.to_string(), "2 field(s) are invalid");
    }
}
