//! Suspend, unsuspend, reinstall, delete and the daemon's install report.
//!
//! One status column: suspending forgets an install, a failed suspension leaves "normal" behind.

use crate::faults::Moment;
use crate::panel::context::{Context, Handled, Reply, missing};
use crate::panel::daemon;
use crate::panel::errors::{Failure, Refusal};
use crate::panel::input::boolean;
use crate::panel::rows::{Server, Status};
use crate::panel::state::{Shared, State, apply_report};

/// What a call to the daemon needs to know of a server.
struct Target {
    id: i64,
    node: i64,
    path: String,
}

impl Target {
    fn of(server: &Server) -> Self {
        let path = format!("/api/servers/{}", server.uuid);
        Self {
            id: server.id,
            node: server.node_id,
            path,
        }
    }
}

/// Makes a server suspended or not; without a change nobody is told.
pub(crate) async fn set_suspended(shared: &Shared, ctx: &Context, suspend: bool) -> Handled {
    {
        let state = shared.lock();
        let server = state.servers.get(&ctx.id()).ok_or_else(missing)?;
        if suspend == (server.status == Status::Suspended) {
            return Ok(Reply::NoContent);
        }
        if server.transferring {
            let detail = "Cannot toggle suspension status on a server that is currently being \
                          transferred.";
            return Err(Refusal::new(409, "ConflictHttpException", detail).into());
        }
    }
    ctx.reach(shared, Moment::BeforeCommit).await?;
    let target = {
        let mut state = shared.lock();
        let server = state.servers.get_mut(&ctx.id()).ok_or_else(missing)?;
        // Of several at once, the first has told the daemon.
        if suspend == (server.status == Status::Suspended) {
            return Ok(Reply::NoContent);
        }
        server.status = if suspend {
            Status::Suspended
        } else {
            Status::Normal
        };
        server.updated_at = ctx.now;
        Target::of(server)
    };
    ctx.reach(shared, Moment::AfterCommit).await?;
    let sync = format!("{}/sync", target.path);
    match daemon::call(shared, target.node, "POST", &sync).await {
        Ok(_) => Ok(Reply::NoContent),
        Err(daemon::DaemonFailure::WorkerKilled) => Err(Failure::WorkerKilled),
        Err(failure) => {
            let mut state = shared.lock();
            if let Some(server) = state.servers.get_mut(&target.id) {
                // What it was before, such as an install, is not remembered.
                server.status = if suspend {
                    Status::Normal
                } else {
                    Status::Suspended
                };
            }
            Err(refused(&mut state, failure))
        }
    }
}

/// From any state; the row changes only with the daemon's consent.
pub(crate) async fn reinstall(shared: &Shared, ctx: &Context) -> Handled {
    let target = target(&shared.lock(), ctx)?;
    let path = format!("{}/reinstall", target.path);
    match daemon::call(shared, target.node, "POST", &path).await {
        Ok(status) => {
            // The daemon is asked inside of the transaction: a worker that dies here leaves a row
            // that knows nothing of the install.
            ctx.reach(shared, Moment::BeforeCommit).await?;
            begin_again(shared, target.id, status);
            ctx.reach(shared, Moment::AfterCommit).await?;
            Ok(Reply::NoContent)
        }
        Err(failure) => Err(refused(&mut shared.lock(), failure)),
    }
}

/// A redirect counts as consent, but then nobody installs and nobody will report.
fn begin_again(shared: &Shared, id: i64, status: u16) {
    let now = shared.clock.now();
    let mut state = shared.lock();
    if let Some(server) = state.servers.get_mut(&id) {
        server.status = Status::Installing;
        server.updated_at = now;
    }
    if status < 300 {
        state.schedule_install(id, true, now);
    }
}

/// The daemon first, then the databases, then the row. Only the exact word `force` forces.
pub(crate) async fn delete(shared: &Shared, ctx: &Context) -> Handled {
    let force = ctx.params.get(1).is_some_and(|word| word == "force");
    let target = target(&shared.lock(), ctx)?;
    let told = daemon::call(shared, target.node, "DELETE", &target.path).await;
    match told {
        Err(daemon::DaemonFailure::WorkerKilled) => return Err(Failure::WorkerKilled),
        Err(failure) if !force && !failure.is_missing() => {
            return Err(refused(&mut shared.lock(), failure));
        }
        _ => {}
    }
    ctx.reach(shared, Moment::BeforeCommit).await?;
    remove(&mut shared.lock(), target.id, force)?;
    ctx.reach(shared, Moment::AfterCommit).await?;
    Ok(Reply::NoContent)
}

/// The databases, then the row.
fn remove(state: &mut State, id: i64, force: bool) -> Result<(), Failure> {
    let stuck = state
        .servers
        .get(&id)
        .is_some_and(|server| server.database_host_down);
    if stuck && !force {
        return Err(Refusal::internal("QueryException").into());
    }
    state.remove_server(id);
    Ok(())
}

/// A daemon's report on an install, sent with the node's own token.
pub(crate) fn install_report(state: &mut State, ctx: &Context, token: Option<&str>) -> Handled {
    let node = state
        .nodes
        .values()
        .find(|node| Some(node.daemon_token.as_str()) == token);
    let node = node
        .map(|node| node.id)
        .ok_or_else(Refusal::unauthenticated)?;
    let uuid = ctx.params.first().map_or("", String::as_str);
    let server = state
        .servers
        .values_mut()
        .find(|server| server.uuid.to_string() == uuid && server.node_id == node)
        .ok_or_else(missing)?;
    let successful = boolean(ctx.field("successful")).unwrap_or(false);
    let reinstall = boolean(ctx.field("reinstall")).unwrap_or(false);
    apply_report(server, successful, reinstall, ctx.now);
    match successful {
        true => state.installs.finished += 1,
        false => state.installs.failed += 1,
    }
    Ok(Reply::NoContent)
}

fn target(state: &State, ctx: &Context) -> Result<Target, Failure> {
    state
        .servers
        .get(&ctx.id())
        .map(Target::of)
        .ok_or_else(missing)
}

fn refused(state: &mut State, failure: daemon::DaemonFailure) -> Failure {
    let request_id = state.new_uuid().to_string();
    failure.into_failure(&request_id)
}
