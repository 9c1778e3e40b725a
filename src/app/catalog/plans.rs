//! Plans.

use uuid::Uuid;

use super::{
    Update, earlier, exists, names, next_etag, remember, repeatable, require_free_prices,
    sees_inactive,
};
use crate::{
    app::{Caller, Error},
    db::{
        Db, Tx,
        catalog::{games, lock, plans, prices::OwnerKind},
    },
    domain::{
        self, Listed,
        catalog::{Plan, PlanField, PlanFilter, PricePath},
        error::{Kind, Violations},
    },
};

/// Plans by id, after `after`.
pub async fn list_plans(
    db: &Db,
    caller: &Caller,
    mut filter: PlanFilter,
    after: Option<&str>,
    limit: u64,
) -> Result<Listed<Plan>, Error> {
    caller.may("CatalogService/ListPlans")?;
    filter.include_inactive = sees_inactive(caller, filter.include_inactive);
    Ok(plans::list(db.read(), &filter, after, limit).await?)
}

/// One plan; also an inactive one, because orders go on naming it.
pub async fn get_plan(db: &Db, caller: &Caller, id: &str) -> Result<Plan, Error> {
    caller.may("CatalogService/GetPlan")?;
    let plan = plans::find(db.read(), id).await?;
    plan.ok_or_else(|| not_found(id))
}

/// Adds a plan.
pub async fn create_plan(
    db: &Db,
    caller: &Caller,
    plan: Plan,
    request_id: Option<Uuid>,
) -> Result<Plan, Error> {
    const METHOD: &str = "CatalogService/CreatePlan";
    caller.may(METHOD)?;
    let request = repeatable(caller, METHOD, request_id, &plan)?;
    let (plan, request) = (&plan, request.as_ref());
    db.tx(|tx| async move {
        lock(&tx).await?;
        let now_us = db.now_in(&tx).await?;
        if let Some(id) = earlier(request, &tx, now_us).await? {
            return stored(&tx, &id).await;
        }
        let mut plan = plan.clone();
        require_valid(&tx, &plan, Violations::default()).await?;
        if plans::find(&*tx, &plan.id).await?.is_some() {
            return Err(exists(Kind::Plan, &plan.id).into());
        }
        require_free_prices(&tx, OwnerKind::Plan, &plan.id, &plan.prices).await?;
        plan.prices.sort_by_key(|price| price.term);
        (plan.created_us, plan.updated_us) = (now_us, now_us);
        plan.etag = next_etag("", now_us, &plan)?;
        plans::insert(&tx, &plan).await?;
        remember(request, &tx, &plan.id, now_us).await?;
        stored(&tx, &plan.id).await
    })
    .await
}

/// Changes the named fields of a plan. Orders keep what they were sold.
pub async fn update_plan(
    db: &Db,
    caller: &Caller,
    update: Update<Plan, PlanField>,
    request_id: Option<Uuid>,
) -> Result<Plan, Error> {
    const METHOD: &str = "CatalogService/UpdatePlan";
    caller.may(METHOD)?;
    let body = (
        &update.value,
        names(&update.fields, PlanField::as_str),
        &update.etag,
    );
    let request = repeatable(caller, METHOD, request_id, &body)?;
    let (update, request) = (&update, update.request(request.as_ref()));
    db.tx(|tx| async move {
        lock(&tx).await?;
        let now_us = db.now_in(&tx).await?;
        if let Some(id) = earlier(request, &tx, now_us).await? {
            return stored(&tx, &id).await;
        }
        let mut plan = stored(&tx, &update.value.id).await?;
        update.require_etag(Kind::Plan, &plan.id, &plan.etag)?;
        plan.take(&update.value, &update.fields);
        require_valid(&tx, &plan, update.violations()).await?;
        require_free_prices(&tx, OwnerKind::Plan, &plan.id, &plan.prices).await?;
        plan.prices.sort_by_key(|price| price.term);
        plan.updated_us = now_us;
        plan.etag = next_etag(&plan.etag, now_us, &plan)?;
        plans::update(&tx, &plan).await?;
        remember(request, &tx, &plan.id, now_us).await?;
        stored(&tx, &plan.id).await
    })
    .await
}

async fn require_valid(tx: &Tx, plan: &Plan, mut violations: Violations) -> Result<(), Error> {
    plan.check(&mut violations, "plan", PricePath::Index);
    violations.finish()?;
    if let Some(game) = &plan.game
        && games::find(&**tx, game).await?.is_none()
    {
        return Err(domain::Error::not_found(Kind::Game, game).into());
    }
    Ok(())
}

async fn stored(tx: &Tx, id: &str) -> Result<Plan, Error> {
    plans::find(&**tx, id).await?.ok_or_else(|| not_found(id))
}

fn not_found(id: &str) -> Error {
    domain::Error::not_found(Kind::Plan, id).into()
}
