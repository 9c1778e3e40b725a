//! The Addon methods.

use crate::{
    app::{
        Caller, Error,
        catalog::{self, Update},
    },
    db::Db,
    domain::{
        catalog::{AddonField, AddonFilter, PricePath},
        error::Violations,
    },
    rpc::{
        call::{given, page, resource},
        convert::{
            catalog::{addon_from, addon_to, item_type_filter},
            fields,
        },
        page::next,
        proto, validate,
    },
};

pub(super) async fn list(
    db: &Db,
    caller: &Caller,
    message: proto::ListAddonsRequest,
) -> Result<proto::ListAddonsResponse, Error> {
    let mut violations = Violations::default();
    let filter = AddonFilter {
        item_type: item_type_filter(&mut violations, message.item_type),
        include_inactive: message.include_inactive,
    };
    let scope = [
        "ListAddons",
        filter.item_type.map_or("", |item_type| item_type.as_str()),
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
    let listed = catalog::list_addons(db, caller, filter, after, page.limit).await?;
    let last = listed.rows.last().filter(|_| listed.more);
    let next_page_token = next(&scope, last.map(|addon| addon.id.as_str()));
    Ok(proto::ListAddonsResponse {
        addons: listed.rows.into_iter().map(addon_to).collect(),
        next_page_token,
    })
}

pub(super) async fn get(
    db: &Db,
    caller: &Caller,
    message: proto::GetAddonRequest,
) -> Result<proto::GetAddonResponse, Error> {
    let mut violations = Violations::default();
    validate::id(&mut violations, "addon_id", &message.addon_id);
    violations.finish()?;
    let addon = catalog::get_addon(db, caller, &message.addon_id).await?;
    Ok(proto::GetAddonResponse {
        addon: Some(addon_to(addon)),
    })
}

pub(super) async fn create(
    db: &Db,
    caller: &Caller,
    message: proto::CreateAddonRequest,
) -> Result<proto::CreateAddonResponse, Error> {
    let mut violations = Violations::default();
    let request_id = validate::optional_uuid(&mut violations, "request_id", &message.request_id);
    let sent = resource(&mut violations, "addon", message.addon)?;
    let addon = addon_from(&mut violations, sent, true);
    addon.check(&mut violations, "addon", PricePath::Index);
    violations.finish()?;
    let addon = catalog::create_addon(db, caller, addon, request_id).await?;
    Ok(proto::CreateAddonResponse {
        addon: Some(addon_to(addon)),
    })
}

pub(super) async fn update(
    db: &Db,
    caller: &Caller,
    message: proto::UpdateAddonRequest,
) -> Result<proto::UpdateAddonResponse, Error> {
    let mut violations = Violations::default();
    let request_id = validate::optional_uuid(&mut violations, "request_id", &message.request_id);
    let fields = fields(&mut violations, message.update_mask, AddonField::parse);
    let sent = resource(&mut violations, "addon", message.addon)?;
    validate::id(&mut violations, "addon.id", &sent.id);
    violations.finish()?;
    let mut unreadable = Violations::default();
    let prices_count = fields.contains(&AddonField::Prices);
    let sent = if prices_count {
        sent
    } else {
        proto::Addon {
            prices: Vec::new(),
            ..sent
        }
    };
    let value = addon_from(
        &mut unreadable,
        sent,
        fields.contains(&AddonField::ItemType),
    );
    let unreadable = unreadable.into_vec();
    let update = Update {
        value,
        fields,
        etag: given(message.etag),
        unreadable,
    };
    let addon = catalog::update_addon(db, caller, update, request_id).await?;
    Ok(proto::UpdateAddonResponse {
        addon: Some(addon_to(addon)),
    })
}
