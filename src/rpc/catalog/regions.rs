//! Regions, and what can be sold there.

use crate::{
    app::{Caller, Error, catalog},
    db::Db,
    domain::error::Violations,
    rpc::{
        call::{given, page},
        convert::catalog::{availability_to, region_to},
        page::next,
        proto, validate,
    },
};

pub(super) async fn list(
    db: &Db,
    caller: &Caller,
    message: proto::ListRegionsRequest,
) -> Result<proto::ListRegionsResponse, Error> {
    let mut violations = Violations::default();
    let scope = ["ListRegions"];
    let page = page(
        &mut violations,
        message.page_size,
        &message.page_token,
        &scope,
    )?;
    violations.finish()?;
    let listed = catalog::list_regions(db, caller, page.after.as_deref(), page.limit).await?;
    let last = listed.rows.last().filter(|_| listed.more);
    let next_page_token = next(&scope, last.map(|region| region.id.as_str()));
    Ok(proto::ListRegionsResponse {
        regions: listed.rows.into_iter().map(region_to).collect(),
        next_page_token,
    })
}

pub(super) async fn check_availability(
    db: &Db,
    caller: &Caller,
    message: proto::CheckAvailabilityRequest,
) -> Result<proto::CheckAvailabilityResponse, Error> {
    let mut violations = Violations::default();
    validate::id(&mut violations, "plan_id", &message.plan_id);
    validate::addon_ids(&mut violations, &message.addon_ids);
    let region = given(message.region);
    if let Some(region) = &region {
        validate::region(&mut violations, "region", region);
    }
    violations.finish()?;
    let found = catalog::check_availability(
        db,
        caller,
        &message.plan_id,
        &message.addon_ids,
        region.as_deref(),
    )
    .await?;
    let availability = found.into_iter().map(availability_to).collect();
    Ok(proto::CheckAvailabilityResponse { availability })
}
