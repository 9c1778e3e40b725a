//! Creating a server: checks, insert, the daemon's word, and the clean-up when the daemon fails.
//!
//! Nothing is locked between the steps, so two creates can meet in every way they do on a real panel:
//! a refused check, a failed model check, a broken unique key.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::{deploy, environment, request};
use crate::faults::Moment;
use crate::panel::context::{Context, Handled, Reply, missing};
use crate::panel::daemon;
use crate::panel::errors::{Failure, Refusal};
use crate::panel::input::{boolean, folded, integer, text};
use crate::panel::races::{RaceLoss, RaceTable, meet};
use crate::panel::render::Renderer;
use crate::panel::rows::{FeatureLimits, Limits, Server, Status};
use crate::panel::state::{Shared, State};

pub(crate) async fn create(shared: &Shared, ctx: &Context) -> Handled {
    let plan = Plan::make(&mut shared.lock(), ctx)?;
    let turn = meet(shared, RaceTable::Servers, RaceLoss::ModelCheck).await;
    shared.race_pause().await;
    if let Some(column) = plan.taken(&shared.lock()) {
        return Err(Refusal::model_check("Pterodactyl\\Models\\Server", column).into());
    }
    drop(meet(shared, RaceTable::Servers, RaceLoss::Insert).await);
    shared.race_pause().await;
    if let Err(failure) = ctx.reach(shared, Moment::BeforeCommit).await {
        // What is rolled back has used up an id.
        shared.lock().sequences.server += 1;
        return Err(failure);
    }
    let server = plan.insert(&mut shared.lock(), ctx)?;
    drop(turn);
    ctx.reach(shared, Moment::AfterCommit).await?;
    let starts = boolean(ctx.field("start_on_completion")).unwrap_or(false);
    install(shared, &server, starts).await?;
    let state = shared.lock();
    // The row may be gone by now; the answer is still about what was created.
    let row = state.servers.get(&server.id).unwrap_or(&server);
    let body = Renderer {
        state: &state,
        grants: ctx.grants,
    }
    .server(row, &ctx.includes);
    Ok(Reply::Json(201, body))
}

/// Tells the daemon to install; if it fails the row goes again, whatever the clean-up call says.
async fn install(shared: &Shared, server: &Server, starts: bool) -> Result<(), Failure> {
    let failure = match daemon::install(shared, server.node_id, server.uuid, starts).await {
        Ok(status) => {
            // A redirect counts as success, but nobody installs and nobody will report.
            if status < 300 {
                shared
                    .lock()
                    .schedule_install(server.id, false, shared.clock.now());
            }
            return Ok(());
        }
        Err(daemon::DaemonFailure::WorkerKilled) => return Err(Failure::WorkerKilled),
        Err(failure) => failure,
    };
    let path = format!("/api/servers/{}", server.uuid);
    let clean_up = daemon::call(shared, server.node_id, "DELETE", &path).await;
    let mut state = shared.lock();
    if !matches!(clean_up, Err(daemon::DaemonFailure::WorkerKilled)) {
        state.remove_server(server.id);
    }
    let request_id = state.new_uuid().to_string();
    Err(failure.into_failure(&request_id))
}

/// Another writer of the panel takes an additional port away, if one is about: the last blanket
/// update wins.
fn steal(state: &mut State, port: i64, robbed: &Server) {
    let Some(left) = state.thefts.left.checked_sub(1) else {
        return;
    };
    state.thefts.left = left;
    state.thefts.fired += 1;
    state.sequences.server += 1;
    let id = state.sequences.server;
    let free = state.allocations.values();
    let own = free
        .filter(|row| row.node_id == robbed.node_id && row.server_id.is_none())
        .map(|row| row.id)
        .next();
    let thief = Server {
        id,
        external_id: None,
        uuid: state.new_uuid(),
        name: "Somebody else's".to_owned(),
        status: Status::Normal,
        allocation_id: own.unwrap_or(port),
        install: None,
        ..robbed.clone()
    };
    for taken in [port, thief.allocation_id] {
        if let Some(row) = state.allocations.get_mut(&taken) {
            row.server_id = Some(id);
        }
    }
    state.servers.insert(id, thief);
}

/// A create that passed both validations.
struct Plan {
    uuid: Uuid,
    external_id: Option<String>,
    node: i64,
    egg: i64,
    default: i64,
    additional: Vec<i64>,
    values: BTreeMap<i64, String>,
}

impl Plan {
    fn make(state: &mut State, ctx: &Context) -> Result<Self, Failure> {
        request::validate_create(state, ctx)?;
        let default = if request::deploys(ctx) {
            deploy::draw(state, ctx)?
        } else {
            integer(ctx.field("allocation.default")).unwrap_or_default()
        };
        let node = state
            .allocations
            .get(&default)
            .map(|row| row.node_id)
            .ok_or_else(missing)?;
        let egg = integer(ctx.field("egg")).unwrap_or_default();
        let values = environment::check(state, egg, ctx.field("environment"))?;
        let additional = ctx.field("allocation.additional").and_then(Value::as_array);
        let additional = additional.map_or(&[][..], Vec::as_slice).iter();
        let uuid = match state.scripted_uuids.pop_front() {
            Some(scripted) => scripted,
            None => state.new_uuid(),
        };
        Ok(Self {
            uuid,
            external_id: text(ctx.field("external_id")),
            node,
            egg,
            default,
            additional: additional.filter_map(|id| integer(Some(id))).collect(),
            values,
        })
    }

    /// The first column that another server has meanwhile taken.
    fn taken(&self, state: &State) -> Option<&'static str> {
        let wanted = self.external_id.as_deref().map(folded);
        state.servers.values().find_map(|server| {
            let theirs = server.external_id.as_deref().map(folded);
            if wanted.is_some() && theirs == wanted {
                Some("external_id")
            } else if server.allocation_id == self.default {
                Some("allocation_id")
            } else {
                None
            }
        })
    }

    /// Inserts the row and takes the ports by a blanket update, from whoever has them.
    fn insert(self, state: &mut State, ctx: &Context) -> Result<Server, Failure> {
        state.sequences.server += 1;
        let id = state.sequences.server;
        let gone = !state.allocations.contains_key(&self.default);
        if gone || self.taken(state).is_some() {
            return Err(Refusal::internal("QueryException").into());
        }
        let ports = std::iter::once(self.default).chain(self.additional.iter().copied());
        for port in ports {
            if let Some(row) = state.allocations.get_mut(&port) {
                row.server_id = Some(id);
            }
        }
        let additional = self.additional.first().copied();
        let server = self.row(id, ctx);
        state.servers.insert(id, server.clone());
        if let Some(port) = additional {
            steal(state, port, &server);
        }
        Ok(server)
    }

    fn row(self, id: i64, ctx: &Context) -> Server {
        Server {
            id,
            external_id: self.external_id,
            uuid: self.uuid,
            name: text(ctx.field("name")).unwrap_or_default(),
            description: text(ctx.field("description")).unwrap_or_default(),
            status: Status::Installing,
            owner_id: integer(ctx.field("user")).unwrap_or_default(),
            node_id: self.node,
            allocation_id: self.default,
            egg_id: self.egg,
            startup: text(ctx.field("startup")).unwrap_or_default(),
            image: text(ctx.field("docker_image")).unwrap_or_default(),
            limits: limits(ctx),
            features: FeatureLimits {
                databases: Some(integer(ctx.field("feature_limits.databases")).unwrap_or(0)),
                allocations: Some(integer(ctx.field("feature_limits.allocations")).unwrap_or(0)),
                backups: integer(ctx.field("feature_limits.backups")).unwrap_or(0),
            },
            values: self.values,
            install: None,
            transferring: false,
            database_host_down: false,
            created_at: ctx.now,
            updated_at: ctx.now,
        }
    }
}

fn limits(ctx: &Context) -> Limits {
    let limit = |name: &str| integer(ctx.field(&format!("limits.{name}"))).unwrap_or_default();
    Limits {
        memory: limit("memory"),
        swap: limit("swap"),
        disk: limit("disk"),
        io: limit("io"),
        cpu: limit("cpu"),
        threads: text(ctx.field("limits.threads")),
        oom_disabled: boolean(ctx.field("oom_disabled")).unwrap_or(true),
    }
}
