//! Add-ons.

use uuid::Uuid;

use super::{
    Update, earlier, exists, names, next_etag, remember, repeatable, require_free_prices,
    sees_inactive,
};
use crate::{
    app::{Caller, Error},
    db::{
        Db, Tx,
        catalog::{addons, lock, prices::OwnerKind},
    },
    domain::{
        self, Listed,
        catalog::{Addon, AddonField, AddonFilter, PricePath},
        error::{Kind, Violations},
    },
};

/// Add-ons by id, after `after`.
pub async fn list_addons(
    db: &Db,
    caller: &Caller,
    mut filter: AddonFilter,
    after: Option<&str>,
    limit: u64,
) -> Result<Listed<Addon>, Error> {
    caller.may("CatalogService/ListAddons")?;
    filter.include_inactive = sees_inactive(caller, filter.include_inactive);
    Ok(addons::list(db.read(), &filter, after, limit).await?)
}

/// One add-on; also an inactive one, because orders go on naming it.
pub async fn get_addon(db: &Db, caller: &Caller, id: &str) -> Result<Addon, Error> {
    caller.may("CatalogService/GetAddon")?;
    let addon = addons::find(db.read(), id).await?;
    addon.ok_or_else(|| not_found(id))
}

/// Adds an add-on.
pub async fn create_addon(
    db: &Db,
    caller: &Caller,
    addon: Addon,
    request_id: Option<Uuid>,
) -> Result<Addon, Error> {
    const METHOD: &str = "CatalogService/CreateAddon";
    caller.may(METHOD)?;
    let request = repeatable(caller, METHOD, request_id, &addon)?;
    let (addon, request) = (&addon, request.as_ref());
    db.tx(|tx| async move {
        lock(&tx).await?;
        let now_us = db.now_in(&tx).await?;
        if let Some(id) = earlier(request, &tx, now_us).await? {
            return stored(&tx, &id).await;
        }
        let mut addon = addon.clone();
        require_valid(&addon, Violations::default())?;
        if addons::find(&*tx, &addon.id).await?.is_some() {
            return Err(exists(Kind::Addon, &addon.id).into());
        }
        require_free_prices(&tx, OwnerKind::Addon, &addon.id, &addon.prices).await?;
        addon.prices.sort_by_key(|price| price.term);
        (addon.created_us, addon.updated_us) = (now_us, now_us);
        addon.etag = next_etag("", now_us, &addon)?;
        addons::insert(&tx, &addon).await?;
        remember(request, &tx, &addon.id, now_us).await?;
        stored(&tx, &addon.id).await
    })
    .await
}

/// Changes the named fields of an add-on. Orders keep what they were sold.
pub async fn update_addon(
    db: &Db,
    caller: &Caller,
    update: Update<Addon, AddonField>,
    request_id: Option<Uuid>,
) -> Result<Addon, Error> {
    const METHOD: &str = "CatalogService/UpdateAddon";
    caller.may(METHOD)?;
    let body = (
        &update.value,
        names(&update.fields, AddonField::as_str),
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
        let mut addon = stored(&tx, &update.value.id).await?;
        update.require_etag(Kind::Addon, &addon.id, &addon.etag)?;
        addon.take(&update.value, &update.fields);
        require_valid(&addon, update.violations())?;
        require_free_prices(&tx, OwnerKind::Addon, &addon.id, &addon.prices).await?;
        addon.prices.sort_by_key(|price| price.term);
        addon.updated_us = now_us;
        addon.etag = next_etag(&addon.etag, now_us, &addon)?;
        addons::update(&tx, &addon).await?;
        remember(request, &tx, &addon.id, now_us).await?;
        stored(&tx, &addon.id).await
    })
    .await
}

fn require_valid(addon: &Addon, mut violations: Violations) -> Result<(), domain::Error> {
    addon.check(&mut violations, "addon", PricePath::Index);
    violations.finish()?;
    addon.require_effect()
}

async fn stored(tx: &Tx, id: &str) -> Result<Addon, Error> {
    addons::find(&**tx, id).await?.ok_or_else(|| not_found(id))
}

fn not_found(id: &str) -> Error {
    domain::Error::not_found(Kind::Addon, id).into()
}
