//! The Plan methods.

use crate::{
    app::{
        Caller, Error,
        catalog::{self, Update},
    },
    db::Db,
    domain::{
        catalog::{PlanField, PlanFilter, PricePath},
        error::Violations,
    },
    rpc::{
        call::{given, page, resource},
        convert::{
            catalog::{item_type_filter, plan_from, plan_to},
            fields,
        },
        page::next,
        proto, validate,
    },
};

pub(super) async fn list(
    db: &Db,
    caller: &Caller,
    message: proto::ListPlansRequest,
) -> Result<proto::ListPlansResponse, Error> {
    let mut violations = Violations::default();
    let filter = PlanFilter {
        item_type: item_type_filter(&mut violations, message.item_type),
        game: given(message.game),
        include_inactive: message.include_inactive,
    };
    if let Some(game) = &filter.game {
        validate::id(&mut violations, "game", game);
    }
    let scope = [
        "ListPlans",
        filter.item_type.map_or("", |item_type| item_type.as_str()),
        filter.game.as_deref().unwrap_or_default(),
        if filter.include_inactive {
            "inactive"
        } else {
            ""
        },
    ];
    let page = page(
        &mut violations,
        message.page_size,
        &message.page_token,
        &scope,
    )?;
    violations.finish()?;
    let after = page.after.as_deref();
    let listed = catalog::list_plans(db, caller, filter.clone(), after, page.limit).await?;
    let last = listed.rows.last().filter(|_| listed.more);
    let next_page_token = next(&scope, last.map(|plan| plan.id.as_str()));
    Ok(proto::ListPlansResponse {
        plans: listed.rows.into_iter().map(plan_to).collect(),
        next_page_token,
    })
}

pub(super) async fn get(
    db: &Db,
    caller: &Caller,
    message: proto::GetPlanRequest,
) -> Result<proto::GetPlanResponse, Error> {
    let mut violations = Violations::default();
    validate::id(&mut violations, "plan_id", &message.plan_id);
    violations.finish()?;
    let plan = catalog::get_plan(db, caller, &message.plan_id).await?;
    Ok(proto::GetPlanResponse {
        plan: Some(plan_to(plan)),
    })
}

pub(super) async fn create(
    db: &Db,
    caller: &Caller,
    message: proto::CreatePlanRequest,
) -> Result<proto::CreatePlanResponse, Error> {
    let mut violations = Violations::default();
    let request_id = validate::optional_uuid(&mut violations, "request_id", &message.request_id);
    let sent = resource(&mut violations, "plan", message.plan)?;
    let plan = plan_from(&mut violations, sent, true);
    plan.check(&mut violations, "plan", PricePath::Index);
    violations.finish()?;
    let plan = catalog::create_plan(db, caller, plan, request_id).await?;
    Ok(proto::CreatePlanResponse {
        plan: Some(plan_to(plan)),
    })
}

pub(super) async fn update(
    db: &Db,
    caller: &Caller,
    message: proto::UpdatePlanRequest,
) -> Result<proto::UpdatePlanResponse, Error> {
    let mut violations = Violations::default();
    let request_id = validate::optional_uuid(&mut violations, "request_id", &message.request_id);
    let fields = fields(&mut violations, message.update_mask, PlanField::parse);
    let sent = resource(&mut violations, "plan", message.plan)?;
    validate::id(&mut violations, "plan.id", &sent.id);
    violations.finish()?;
    let mut unreadable = Violations::default();
    let prices_count = fields.contains(&PlanField::Prices);
    let sent = if prices_count {
        sent
    } else {
        proto::Plan {
            prices: Vec::new(),
            ..sent
        }
    };
    let value = plan_from(&mut unreadable, sent, fields.contains(&PlanField::ItemType));
    let unreadable = unreadable.into_vec();
    let update = Update {
        value,
        fields,
        etag: given(message.etag),
        unreadable,
    };
    let plan = catalog::update_plan(db, caller, update, request_id).await?;
    Ok(proto::UpdatePlanResponse {
        plan: Some(plan_to(plan)),
    })
}
