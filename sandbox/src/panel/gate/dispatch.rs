//! Which handler serves which endpoint. Those that wait for a daemon or a race take the shared state,
//! the others run under its lock.

use super::Arrival;
use crate::faults::Moment;
use crate::panel::auth::bearer;
use crate::panel::context::{Context, Handled};
use crate::panel::errors::Refusal;
use crate::panel::routes::Endpoint;
use crate::panel::state::Shared;
use crate::panel::{allocations, nests, nodes, servers, users};

pub(super) async fn dispatch(
    shared: &Shared,
    endpoint: Endpoint,
    ctx: &Context,
    arrival: &Arrival,
) -> Handled {
    if !in_one_go(endpoint) {
        return handle(shared, endpoint, ctx, arrival).await;
    }
    ctx.reach(shared, Moment::BeforeCommit).await?;
    let reply = handle(shared, endpoint, ctx, arrival).await?;
    ctx.reach(shared, Moment::AfterCommit).await?;
    Ok(reply)
}

/// Writes that nobody else is told of: their inner moments lie around the whole of them.
fn in_one_go(endpoint: Endpoint) -> bool {
    matches!(
        endpoint,
        Endpoint::UpdateUser
            | Endpoint::DeleteUser
            | Endpoint::CreateAllocations
            | Endpoint::DeleteAllocation
            | Endpoint::UpdateStartup
    )
}

async fn handle(shared: &Shared, endpoint: Endpoint, ctx: &Context, arrival: &Arrival) -> Handled {
    let state = || shared.lock();
    match endpoint {
        Endpoint::ListUsers => users::list(&state(), ctx),
        Endpoint::ViewUser => users::view(&state(), ctx),
        Endpoint::ViewUserExternal => users::view_external(&state(), ctx),
        Endpoint::CreateUser => users::create(shared, ctx).await,
        Endpoint::UpdateUser => users::update(&mut state(), ctx),
        Endpoint::DeleteUser => users::delete(&mut state(), ctx),
        Endpoint::ListNodes => nodes::list(&state(), ctx),
        Endpoint::ViewNode => nodes::view(&state(), ctx),
        Endpoint::DeployableNodes => nodes::deployable(&state(), ctx),
        Endpoint::ListAllocations => allocations::list(&state(), ctx),
        Endpoint::CreateAllocations => allocations::create(&mut state(), ctx),
        Endpoint::DeleteAllocation => allocations::delete(&mut state(), ctx),
        Endpoint::ListLocations => nodes::list_locations(&state(), ctx),
        Endpoint::ViewLocation => nodes::view_location(&state(), ctx),
        Endpoint::ListNests => nests::list_nests(&state(), ctx),
        Endpoint::ViewNest => nests::view_nest(&state(), ctx),
        Endpoint::ListEggs => nests::list_eggs(&state(), ctx),
        Endpoint::ViewEgg => nests::view_egg(&state(), ctx),
        Endpoint::ListServers => servers::list(&state(), ctx),
        Endpoint::ViewServer => servers::view(&state(), ctx),
        Endpoint::ViewServerExternal => servers::view_external(&state(), ctx),
        Endpoint::CreateServer => servers::create::create(shared, ctx).await,
        Endpoint::UpdateDetails => servers::updates::details(shared, ctx).await,
        Endpoint::UpdateBuild => servers::updates::build(shared, ctx).await,
        Endpoint::UpdateStartup => servers::updates::startup(&mut state(), ctx),
        Endpoint::Suspend => servers::lifecycle::set_suspended(shared, ctx, true).await,
        Endpoint::Unsuspend => servers::lifecycle::set_suspended(shared, ctx, false).await,
        Endpoint::Reinstall => servers::lifecycle::reinstall(shared, ctx).await,
        Endpoint::DeleteServer => servers::lifecycle::delete(shared, ctx).await,
        Endpoint::ListDatabases => servers::list_databases(),
        Endpoint::CreateDatabase => servers::create_database(ctx),
        Endpoint::InstallReport => {
            let token = bearer(arrival.authorization.as_deref());
            servers::lifecycle::install_report(&mut state(), ctx, token)
        }
        Endpoint::ClientApi => Err(Refusal::missing_model().into()),
    }
}
