//! Users: look-ups, lists, create with its checks and races, update, delete.

use serde_json::{Value, json};
use uuid::Uuid;

use super::context::{Context, Handled, Reply, missing, ok};
use super::errors::{Failure, Refusal};
use super::input::{boolean, folded, text};
use super::listing::{Filters, SortKey, page, sort};
use super::races::{RaceLoss, RaceTable, meet};
use super::render::Renderer;
use super::rows::User;
use super::state::{Outage, Shared, State};
use super::validate::{Form, Rule};
use crate::faults::Moment;

const FILTERS: [&str; 4] = ["email", "uuid", "username", "external_id"];

pub(crate) fn list(state: &State, ctx: &Context) -> Handled {
    let filters = Filters::read(ctx, &FILTERS)?;
    let mut rows: Vec<&User> = state
        .users
        .values()
        .filter(|user| {
            filters.partial("email", Some(&user.email))
                && filters.partial("uuid", Some(&user.uuid.to_string()))
                && filters.partial("username", Some(&user.username))
                && filters.partial("external_id", user.external_id.as_deref())
        })
        .collect();
    sort(
        ctx,
        &["id", "uuid"],
        &mut rows,
        |user, column| match column {
            "uuid" => SortKey::Text(user.uuid.to_string()),
            _ => SortKey::Number(user.id),
        },
    )?;
    let renderer = Renderer {
        state,
        grants: ctx.grants,
    };
    ok(page(ctx, rows, |user| renderer.user(user, &ctx.includes))?)
}

pub(crate) fn view(state: &State, ctx: &Context) -> Handled {
    show(state, ctx, ctx.id())
}

/// The first user with this external id: the database does not keep them unique.
pub(crate) fn view_external(state: &State, ctx: &Context) -> Handled {
    let wanted = folded(ctx.params.first().map_or("", String::as_str));
    let same = |user: &&User| user.external_id.as_deref().map(folded) == Some(wanted.clone());
    let found = state.users.values().find(same).map(|user| user.id);
    show(state, ctx, found.ok_or_else(missing)?)
}

fn show(state: &State, ctx: &Context, id: i64) -> Handled {
    let user = state.users.get(&id).ok_or_else(missing)?;
    ok(Renderer {
        state,
        grants: ctx.grants,
    }
    .user(user, &ctx.includes))
}

/// Checks, rests, checks as the model does, rests, inserts: two at once can lose in three ways.
pub(crate) async fn create(shared: &Shared, ctx: &Context) -> Handled {
    let wanted = {
        let mut state = shared.lock();
        validate(&state, ctx, None)?;
        let uuid = state.new_uuid();
        Wanted::read(ctx, uuid)
    };
    let turn = meet(shared, RaceTable::Users, RaceLoss::ModelCheck).await;
    shared.race_pause().await;
    if let Some(field) = wanted.taken(&shared.lock(), true) {
        return Err(Refusal::model_check("Pterodactyl\\Models\\User", field).into());
    }
    drop(meet(shared, RaceTable::Users, RaceLoss::Insert).await);
    shared.race_pause().await;
    let reached = ctx.reach(shared, Moment::BeforeCommit).await;
    let id = insert(&mut shared.lock(), &wanted, ctx, reached)?;
    drop(turn);
    ctx.reach(shared, Moment::AfterCommit).await?;
    let state = shared.lock();
    if state.outage == Some(Outage::Mail) {
        return Err(Refusal::internal("TransportException").into());
    }
    let user = state.users.get(&id).ok_or_else(missing)?;
    let mut body = Renderer {
        state: &state,
        grants: ctx.grants,
    }
    .user(user, &ctx.includes);
    body["meta"] = json!({ "resource": format!("{}/api/application/users/{id}", ctx.base_url) });
    Ok(Reply::Json(201, body))
}

/// An insert that fails uses up an id, whether the database refuses it or it is rolled back.
fn insert(
    state: &mut State,
    wanted: &Wanted,
    ctx: &Context,
    reached: Result<(), Failure>,
) -> Result<i64, Failure> {
    state.sequences.user += 1;
    reached?;
    if wanted.taken(state, false).is_some() {
        return Err(Refusal::internal("QueryException").into());
    }
    let id = state.sequences.user;
    let user = wanted.row(id, ctx);
    state.users.insert(id, user);
    Ok(id)
}

/// A full update of the required fields; optional ones that are left out stay.
pub(crate) fn update(state: &mut State, ctx: &Context) -> Handled {
    let id = ctx.id();
    validate(state, ctx, Some(id))?;
    let user = state.users.get_mut(&id).ok_or_else(missing)?;
    let wanted = Wanted::read(ctx, user.uuid);
    user.email = wanted.email;
    user.username = wanted.username;
    user.first_name = text(ctx.field("first_name")).unwrap_or_default();
    user.last_name = text(ctx.field("last_name")).unwrap_or_default();
    if ctx.field("external_id").is_some() {
        user.external_id = wanted.external_id;
    }
    if let Some(root_admin) = boolean(ctx.field("root_admin")) {
        user.root_admin = root_admin;
    }
    user.updated_at = ctx.now;
    show(state, ctx, id)
}

pub(crate) fn delete(state: &mut State, ctx: &Context) -> Handled {
    let id = ctx.id();
    if state.servers.values().any(|server| server.owner_id == id) {
        let detail = "Cannot delete a user with active servers attached to their account. \
                      Please delete their servers before continuing.";
        return Err(Refusal::display(400, "DisplayException", detail).into());
    }
    state.users.remove(&id);
    Ok(Reply::NoContent)
}

fn validate(state: &State, ctx: &Context, existing: Option<i64>) -> Result<(), Failure> {
    // The username rule lower-cases its value and cannot take a list.
    if matches!(
        ctx.field("username"),
        Some(Value::Array(_) | Value::Object(_))
    ) {
        return Err(Refusal::internal("TypeError").into());
    }
    let unique = |column: fn(&User) -> Option<&str>| {
        Rule::Unique(Box::new(move |value: &Value| {
            let wanted = text(Some(value)).map(|text| folded(&text));
            let mut others = state
                .users
                .values()
                .filter(|user| Some(user.id) != existing);
            wanted.is_some() && others.any(|user| column(user).map(folded) == wanted)
        }))
    };
    let name = || vec![Rule::Required, Rule::String, Rule::Between(1.0, 191.0)];
    let language = vec!["en".to_owned()];
    let form: Form<'_> = ctx
        .form()
        .field(
            "email",
            vec![
                Rule::Required,
                Rule::Email,
                Rule::Between(1.0, 191.0),
                unique(|user| Some(&user.email)),
            ],
        )
        .labelled(
            "external_id",
            "Third Party Identifier",
            vec![
                Rule::Sometimes,
                Rule::Nullable,
                Rule::String,
                Rule::Max(191.0),
                unique(|user| user.external_id.as_deref()),
            ],
        )
        .field(
            "username",
            vec![
                Rule::Required,
                Rule::Between(1.0, 191.0),
                unique(|user| Some(&user.username)),
                Rule::Username,
            ],
        )
        .field(
            "password",
            vec![Rule::Sometimes, Rule::Nullable, Rule::String],
        )
        .labelled(
            "root_admin",
            "Root Administrator Status",
            vec![Rule::Boolean],
        )
        .field("language", vec![Rule::String, Rule::In(language)])
        .field("first_name", name())
        .field("last_name", name());
    Ok(form.check()?)
}

/// What a create or update would store in the unique columns.
struct Wanted {
    uuid: Uuid,
    email: String,
    username: String,
    external_id: Option<String>,
}

impl Wanted {
    fn read(ctx: &Context, uuid: Uuid) -> Self {
        Self {
            uuid,
            email: text(ctx.field("email")).unwrap_or_default(),
            username: text(ctx.field("username"))
                .unwrap_or_default()
                .to_lowercase(),
            external_id: text(ctx.field("external_id")),
        }
    }

    /// The first taken column. Only the model's check knows of external ids; the database does not.
    fn taken(&self, state: &State, with_external_id: bool) -> Option<&'static str> {
        let same = |a: &str, b: &str| folded(a) == folded(b);
        state.users.values().find_map(|user| {
            let external = match (&user.external_id, &self.external_id) {
                (Some(theirs), Some(ours)) => with_external_id && same(theirs, ours),
                _ => false,
            };
            [
                (same(&user.email, &self.email), "email"),
                (external, "external_id"),
                (same(&user.username, &self.username), "username"),
            ]
            .into_iter()
            .find_map(|(taken, column)| taken.then_some(column))
        })
    }

    fn row(&self, id: i64, ctx: &Context) -> User {
        User {
            id,
            external_id: self.external_id.clone(),
            uuid: self.uuid,
            username: self.username.clone(),
            email: self.email.clone(),
            first_name: text(ctx.field("first_name")).unwrap_or_default(),
            last_name: text(ctx.field("last_name")).unwrap_or_default(),
            language: text(ctx.field("language")).unwrap_or_else(|| "en".to_owned()),
            root_admin: boolean(ctx.field("root_admin")).unwrap_or(false),
            created_at: ctx.now,
            updated_at: ctx.now,
        }
    }
}
