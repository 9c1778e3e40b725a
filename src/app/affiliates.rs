//! Affiliates: who sends customers, and what comes of it.

use uuid::Uuid;

use super::{App, Caller, Error, Scope, requests::Request};
use crate::{
    db::{
        Tx,
        affiliates::{self, commissions, referrals},
        profiles,
    },
    domain::{
        self, Listed, UserId,
        affiliate::{Affiliate, Commission, generated, refers_self},
        error::{Kind, Violations},
        order::Facts,
    },
};

/// Codes of fifty random bits: two that meet are one more try.
const TRIES: usize = 5;

/// Makes a user an affiliate with this code, or with one made of `random`. A user has one for
/// good.
pub async fn create_affiliate(
    app: &App,
    caller: &Caller,
    user_id: UserId,
    code: Option<&str>,
    request_id: Option<Uuid>,
    random: impl Fn() -> [u8; 10] + Sync,
) -> Result<Affiliate, Error> {
    const METHOD: &str = "OrderService/CreateAffiliate";
    let scope = caller.may(METHOD)?;
    if !scope.covers(user_id) {
        let mut violations = Violations::default();
        violations.add("user_id", "must be the user this call is made for");
        violations.finish()?;
    }
    let request = &request_id.map(|given| {
        let asked = format!("{user_id} {}", code.unwrap_or_default());
        Request::new(caller, METHOD, given, asked.as_bytes())
    });
    let random = &random;
    let attempt = || {
        app.db.tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            // Under the profile's lock, so that two calls at once make one code.
            if profiles::lock(&tx, user_id).await?.is_none() {
                return Err(domain::Error::not_found(Kind::Profile, user_id).into());
            }
            if let Some(request) = request
                && request.earlier(&*tx, now_us).await?.is_some()
            {
                return stored(&tx, user_id).await;
            }
            make(&tx, user_id, code, random).await?;
            if let Some(request) = request {
                let made = user_id.to_string();
                request.remember(&tx, &made, now_us).await?;
            }
            stored(&tx, user_id).await
        })
    };
    match attempt().await {
        // The other of two calls with one id was for another user.
        Err(Error::Store(error)) if error.conflicts_on("request_keys") => attempt().await,
        other => other,
    }
}

async fn make(
    tx: &Tx,
    user_id: UserId,
    code: Option<&str>,
    random: &(impl Fn() -> [u8; 10] + Sync),
) -> Result<(), Error> {
    let own = affiliates::find(&**tx, user_id).await?;
    if let Some(own) = own.as_ref().filter(|own| !own.is_erased()) {
        if code.is_none_or(|code| code == own.code) {
            return Ok(());
        }
        return Err(domain::Error::Exists {
            reason: "RESOURCE_EXISTS",
            message: "the user has another code".to_owned(),
            metadata: vec![("user_id", user_id.to_string())],
        }
        .into());
    }
    let again = own.is_some();
    let have = async |code: &str| {
        if again {
            affiliates::set_code(tx, user_id, code).await
        } else {
            affiliates::insert(tx, user_id, code).await
        }
    };
    let Some(code) = code else {
        for _ in 0..TRIES {
            if have(&generated(random())).await? {
                return Ok(());
            }
        }
        return Err(Error::Internal("no code is free".to_owned()));
    };
    if have(code).await? {
        return Ok(());
    }
    Err(domain::Error::Exists {
        reason: "CODE_TAKEN",
        message: format!("the code {code} is taken"),
        metadata: vec![("code", code.to_owned())],
    }
    .into())
}

async fn stored(tx: &Tx, user_id: UserId) -> Result<Affiliate, Error> {
    let found = affiliates::find(&**tx, user_id).await?;
    found.ok_or_else(|| not_found(user_id))
}

fn not_found(user_id: UserId) -> Error {
    domain::Error::not_found(Kind::Affiliate, user_id).into()
}

/// A user's code and counters.
pub async fn get_affiliate(
    app: &App,
    caller: &Caller,
    user_id: UserId,
) -> Result<Affiliate, Error> {
    let scope = caller.may("OrderService/GetAffiliate")?;
    visible(app, scope, user_id).await
}

async fn visible(app: &App, scope: Scope, user_id: UserId) -> Result<Affiliate, Error> {
    let found = affiliates::find(app.db.read(), user_id).await?;
    let found = found.filter(|found| scope.covers(found.user_id));
    found.ok_or_else(|| not_found(user_id))
}

/// Counts a visit, and tells whether the caller may see more of the affiliate than the code: a
/// storefront calls for a visitor, who is a stranger.
pub async fn record_affiliate_click(
    app: &App,
    caller: &Caller,
    code: &str,
) -> Result<(Affiliate, bool), Error> {
    caller.may("OrderService/RecordAffiliateClick")?;
    let clicked = affiliates::click(&app.db, code).await?;
    let clicked = clicked.ok_or_else(|| domain::Error::not_found(Kind::AffiliateCode, code))?;
    let own = caller.sees(clicked.user_id);
    Ok((clicked, own))
}

/// What a user's code has earned, the last one first, older than `after`.
pub async fn list_affiliate_commissions(
    app: &App,
    caller: &Caller,
    user_id: UserId,
    after: Option<i64>,
    limit: u64,
) -> Result<Listed<Commission>, Error> {
    let scope = caller.may("OrderService/ListAffiliateCommissions")?;
    visible(app, scope, user_id).await?;
    let rows = commissions::list(app.db.read(), user_id, after, limit + 1).await?;
    Ok(Listed::cut(rows, limit))
}

/// Follows a read of an order's billing, in the transaction that stores it: the one that confirms
/// the first payment decides who sent the customer, and later ones have its invoices looked at.
/// An unknown code and one's own earn nothing, and hold up nothing.
pub(crate) async fn follow(
    app: &App,
    tx: &Tx,
    before: &Facts,
    confirmed: bool,
    now_us: i64,
) -> Result<(), Error> {
    let order = &before.order;
    if order.referral_code.is_empty() {
        return Ok(());
    }
    if before.billing.confirmed() {
        return Ok(referrals::hear(tx, order.id, now_us).await?);
    }
    if !confirmed {
        return Ok(());
    }
    let Some(affiliate) = affiliates::find_by_code(&**tx, &order.referral_code).await? else {
        return Ok(());
    };
    let buyer = profiles::find(&**tx, order.user_id).await?;
    let seller = profiles::find(&**tx, affiliate.user_id).await?;
    let (Some(buyer), Some(seller)) = (buyer, seller) else {
        return Ok(());
    };
    if refers_self(&buyer, &seller) {
        tracing::info!(order_id = %order.id, "a referral of one's own earns nothing");
        return Ok(());
    }
    let terms = &app.settings.affiliates;
    Ok(referrals::insert(tx, order.id, affiliate.user_id, terms, now_us).await?)
}
