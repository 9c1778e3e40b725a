//! The methods about profiles.

use std::sync::Arc;

use crate::{
    app::{App, Caller, Error, Role, profiles},
    domain::{
        UserId,
        error::Violations,
        profile::{Changes, ProfileField},
    },
    rpc::{
        call::resource,
        convert::{fields, orders::profile_to},
        orders::checkout::NAME_CHARS,
        proto, validate,
    },
};

pub(super) async fn get(
    app: &App,
    caller: Caller,
    message: proto::GetProfileRequest,
) -> Result<proto::GetProfileResponse, Error> {
    let user_id = user_id(&message.user_id)?;
    let profile = profiles::get_profile(app, &caller, user_id).await?;
    Ok(proto::GetProfileResponse {
        profile: Some(profile_to(profile)),
    })
}

pub(super) async fn update(
    app: &Arc<App>,
    caller: Caller,
    message: proto::UpdateProfileRequest,
) -> Result<proto::UpdateProfileResponse, Error> {
    let mut violations = Violations::default();
    let v = &mut violations;
    let request_id = validate::optional_uuid(v, "request_id", &message.request_id);
    let fields = fields(v, message.update_mask, ProfileField::parse);
    let sent = resource(v, "profile", message.profile)?;
    let user_id = UserId(validate::uuid(v, "profile.user_id", &sent.user_id));
    let mut changes = Changes::default();
    for field in fields {
        match field {
            // A customer's is in the token.
            ProfileField::Email if caller.role == Role::Customer && sent.email.is_empty() => {}
            ProfileField::Email => {
                validate::email(v, "profile.email", &sent.email);
                changes.email = Some(sent.email.clone());
            }
            ProfileField::EmailVerified => changes.email_verified = Some(sent.email_verified),
            ProfileField::FirstName => {
                validate::text(v, "profile.first_name", &sent.first_name, 0, NAME_CHARS);
                changes.first_name = Some(sent.first_name.clone());
            }
            ProfileField::LastName => {
                validate::text(v, "profile.last_name", &sent.last_name, 0, NAME_CHARS);
                changes.last_name = Some(sent.last_name.clone());
            }
        }
    }
    violations.finish()?;
    let profile = profiles::update_profile(app, &caller, user_id, &changes, request_id).await?;
    Ok(proto::UpdateProfileResponse {
        profile: Some(profile_to(profile)),
    })
}

pub(super) async fn export(
    app: &App,
    caller: Caller,
    message: proto::ExportProfileRequest,
) -> Result<proto::ExportProfileResponse, Error> {
    let user_id = user_id(&message.user_id)?;
    let document = profiles::export_profile(app, &caller, user_id).await?;
    Ok(proto::ExportProfileResponse { document })
}

pub(super) async fn delete(
    app: &Arc<App>,
    caller: Caller,
    message: proto::DeleteProfileRequest,
) -> Result<proto::DeleteProfileResponse, Error> {
    let mut violations = Violations::default();
    let user_id = validate::user_id(&mut violations, &message.user_id);
    let request_id = validate::optional_uuid(&mut violations, "request_id", &message.request_id);
    violations.finish()?;
    let profile = profiles::delete_profile(app, &caller, user_id, request_id).await?;
    Ok(proto::DeleteProfileResponse {
        profile: Some(profile_to(profile)),
    })
}

/// The field `user_id` where it is the only one.
fn user_id(text: &str) -> Result<UserId, Error> {
    let mut violations = Violations::default();
    let id = validate::user_id(&mut violations, text);
    violations.finish()?;
    Ok(id)
}
