//! CreateCheckoutSession: every field checked, all violations at once.

use std::sync::Arc;

use tokio::time::Instant;

use crate::{
    app::{
        App, Caller, Error,
        checkout::{self, Command},
    },
    db::profiles::Told,
    domain::{
        catalog::{ItemType, Term},
        error::Violations,
    },
    rpc::{
        convert::{
            catalog::{item_type_from, term_from},
            orders::order_to,
        },
        proto, validate,
    },
};

/// Longest first or last name.
pub(super) const NAME_CHARS: usize = 100;

pub(super) async fn create(
    app: &Arc<App>,
    caller: Caller,
    message: proto::CreateCheckoutSessionRequest,
    answer_by: Instant,
) -> Result<proto::CreateCheckoutSessionResponse, Error> {
    let command = command(message)?;
    let opened = checkout::create_checkout_session(app, &caller, &command, answer_by).await?;
    let order = order_to(&opened.facts);
    Ok(proto::CreateCheckoutSessionResponse {
        checkout_url: order.checkout_url.clone(),
        expire_time: order.hold_expire_time,
        order: Some(order),
    })
}

fn command(message: proto::CreateCheckoutSessionRequest) -> Result<Command, Error> {
    let v = &mut Violations::default();
    let request_id = validate::uuid(v, "request_id", &message.request_id);
    let user_id = validate::user_id(v, &message.user_id);
    validate::email(v, "email", &message.email);
    validate::text(v, "first_name", &message.first_name, 0, NAME_CHARS);
    validate::text(v, "last_name", &message.last_name, 0, NAME_CHARS);
    validate::id(v, "plan_id", &message.plan_id);
    let item_type = item_type_from(message.item_type);
    v.require(
        item_type.is_some(),
        "item_type",
        "must be ITEM_TYPE_GAME or ITEM_TYPE_VPS",
    );
    let term = term_from(message.term);
    v.require(term.is_some(), "term", "must be a term");
    validate::region(v, "region", &message.region);
    validate::server_name(v, "server_name", &message.server_name);
    validate::addon_ids(v, &message.addon_ids);
    let environment = validate::environment(v, "environment", message.environment);
    let referral = validate::referral_code(v, "referral_code", &message.referral_code);
    validate::url(v, "success_url", &message.success_url);
    validate::url(v, "cancel_url", &message.cancel_url);
    std::mem::take(v).finish()?;
    Ok(Command {
        request_id,
        told: Told {
            user_id,
            email: message.email,
            email_verified: message.email_verified,
            first_name: message.first_name,
            last_name: message.last_name,
        },
        plan_id: message.plan_id,
        // Both are known to be set: their absence is a violation above.
        item_type: item_type.unwrap_or(ItemType::Game),
        term: term.unwrap_or(Term::Monthly),
        region: message.region,
        server_name: message.server_name,
        addon_ids: message.addon_ids,
        environment,
        referral_code: referral.unwrap_or_default(),
        success_url: message.success_url,
        cancel_url: message.cancel_url,
    })
}
