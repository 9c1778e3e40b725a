//! CreateAffiliate, GetAffiliate, RecordAffiliateClick and ListAffiliateCommissions.

use crate::{
    app::{App, Caller, Error, affiliates},
    domain::error::Violations,
    rpc::{
        call::page,
        convert::affiliates::{affiliate_to, code_to, commission_to},
        page::next,
        proto, validate,
    },
};

pub(super) async fn create(
    app: &App,
    caller: Caller,
    message: proto::CreateAffiliateRequest,
) -> Result<proto::CreateAffiliateResponse, Error> {
    let mut violations = Violations::default();
    let v = &mut violations;
    let user_id = validate::user_id(v, &message.user_id);
    let request_id = validate::optional_uuid(v, "request_id", &message.request_id);
    let code =
        (!message.code.is_empty()).then(|| validate::affiliate_code(v, "code", &message.code));
    violations.finish()?;
    let random = rand::random::<[u8; 10]>;
    let code = code.as_deref();
    let made =
        affiliates::create_affiliate(app, &caller, user_id, code, request_id, random).await?;
    Ok(proto::CreateAffiliateResponse {
        affiliate: Some(affiliate_to(made)),
    })
}

pub(super) async fn get(
    app: &App,
    caller: Caller,
    message: proto::GetAffiliateRequest,
) -> Result<proto::GetAffiliateResponse, Error> {
    let mut violations = Violations::default();
    let user_id = validate::user_id(&mut violations, &message.user_id);
    violations.finish()?;
    let found = affiliates::get_affiliate(app, &caller, user_id).await?;
    Ok(proto::GetAffiliateResponse {
        affiliate: Some(affiliate_to(found)),
    })
}

pub(super) async fn click(
    app: &App,
    caller: Caller,
    message: proto::RecordAffiliateClickRequest,
) -> Result<proto::RecordAffiliateClickResponse, Error> {
    let mut violations = Violations::default();
    let code = validate::affiliate_code(&mut violations, "code", &message.code);
    violations.finish()?;
    let (clicked, own) = affiliates::record_affiliate_click(app, &caller, &code).await?;
    let shown = if own { affiliate_to } else { code_to };
    Ok(proto::RecordAffiliateClickResponse {
        affiliate: Some(shown(clicked)),
    })
}

pub(super) async fn list(
    app: &App,
    caller: Caller,
    message: proto::ListAffiliateCommissionsRequest,
) -> Result<proto::ListAffiliateCommissionsResponse, Error> {
    let mut violations = Violations::default();
    let user_id = validate::user_id(&mut violations, &message.user_id);
    let scope = ["ListAffiliateCommissions", &message.user_id];
    let page = page(
        &mut violations,
        message.page_size,
        &message.page_token,
        &scope,
    )?;
    violations.finish()?;
    let after = page.after.as_deref().and_then(|text| text.parse().ok());
    let listed =
        affiliates::list_affiliate_commissions(app, &caller, user_id, after, page.limit).await?;
    let last = listed.rows.last().filter(|_| listed.more);
    let last = last.map(|commission| commission.id.to_string());
    Ok(proto::ListAffiliateCommissionsResponse {
        next_page_token: next(&scope, last.as_deref()),
        commissions: listed.rows.into_iter().map(commission_to).collect(),
    })
}
