//! ProvisioningService: reads the call, lets the app decide, sends what it says.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{
    call::{answer, page},
    convert::{
        orders::order_to,
        servers::{allocation_to, explained_to, external_account_to, server_to, sweep_to},
    },
    nodes,
    orders::order_id,
    page::next,
    proto::{self, provisioning_service_server::ProvisioningService},
    validate,
};
use crate::{
    app::{App, Caller, Error, orders, placement, profiles, servers, sweeps},
    domain::error::Violations,
};

mod stopping;

/// The service.
#[derive(Clone)]
pub struct ProvisioningRpc {
    /// Handles to everything that a verb needs.
    pub app: Arc<App>,
}

#[tonic::async_trait]
impl ProvisioningService for ProvisioningRpc {
    async fn provision_order(
        &self,
        request: Request<proto::ProvisionOrderRequest>,
    ) -> Result<Response<proto::ProvisionOrderResponse>, Status> {
        answer(
            "ProvisioningService/ProvisionOrder",
            request,
            |caller, message| async move {
                let mut violations = Violations::default();
                let id = validate::order_id(&mut violations, &message.order_id);
                let request_id =
                    validate::optional_uuid(&mut violations, "request_id", &message.request_id);
                violations.finish()?;
                let facts = orders::provision_order(&self.app, &caller, id, request_id).await?;
                Ok(proto::ProvisionOrderResponse {
                    order: Some(order_to(&facts)),
                })
            },
        )
        .await
    }

    async fn get_server(
        &self,
        request: Request<proto::GetServerRequest>,
    ) -> Result<Response<proto::GetServerResponse>, Status> {
        answer(
            "ProvisioningService/GetServer",
            request,
            |caller, message| async move {
                let id = order_id(&message.order_id)?;
                let shown = servers::get_server(&self.app, &caller, id).await?;
                Ok(proto::GetServerResponse {
                    server: Some(server_to(shown)),
                })
            },
        )
        .await
    }

    async fn reveal_server_secrets(
        &self,
        request: Request<proto::RevealServerSecretsRequest>,
    ) -> Result<Response<proto::RevealServerSecretsResponse>, Status> {
        answer(
            "ProvisioningService/RevealServerSecrets",
            request,
            |caller, message| async move {
                let id = order_id(&message.order_id)?;
                let environment = servers::reveal_server_secrets(&self.app, &caller, id).await?;
                Ok(proto::RevealServerSecretsResponse {
                    environment: environment.into_iter().collect(),
                })
            },
        )
        .await
    }

    async fn suspend_server(
        &self,
        request: Request<proto::SuspendServerRequest>,
    ) -> Result<Response<proto::SuspendServerResponse>, Status> {
        answer(
            "ProvisioningService/SuspendServer",
            request,
            |caller, message| stopping::suspend(&self.app, caller, message),
        )
        .await
    }

    async fn unsuspend_server(
        &self,
        request: Request<proto::UnsuspendServerRequest>,
    ) -> Result<Response<proto::UnsuspendServerResponse>, Status> {
        answer(
            "ProvisioningService/UnsuspendServer",
            request,
            |caller, message| stopping::unsuspend(&self.app, caller, message),
        )
        .await
    }

    async fn reinstall_server(
        &self,
        request: Request<proto::ReinstallServerRequest>,
    ) -> Result<Response<proto::ReinstallServerResponse>, Status> {
        answer(
            "ProvisioningService/ReinstallServer",
            request,
            |caller, message| stopping::reinstall(&self.app, caller, message),
        )
        .await
    }

    async fn terminate_server(
        &self,
        request: Request<proto::TerminateServerRequest>,
    ) -> Result<Response<proto::TerminateServerResponse>, Status> {
        answer(
            "ProvisioningService/TerminateServer",
            request,
            |caller, message| stopping::terminate(&self.app, caller, message),
        )
        .await
    }

    async fn list_sweeps(
        &self,
        request: Request<proto::ListSweepsRequest>,
    ) -> Result<Response<proto::ListSweepsResponse>, Status> {
        answer(
            "ProvisioningService/ListSweeps",
            request,
            |caller, _| async move {
                let listed = sweeps::list_sweeps(&self.app, &caller).await?;
                Ok(proto::ListSweepsResponse {
                    sweeps: listed.into_iter().map(sweep_to).collect(),
                })
            },
        )
        .await
    }

    async fn release_guard(
        &self,
        request: Request<proto::ReleaseGuardRequest>,
    ) -> Result<Response<proto::ReleaseGuardResponse>, Status> {
        answer(
            "ProvisioningService/ReleaseGuard",
            request,
            |caller, message| release_guard(&self.app, caller, message),
        )
        .await
    }

    async fn list_nodes(
        &self,
        request: Request<proto::ListNodesRequest>,
    ) -> Result<Response<proto::ListNodesResponse>, Status> {
        answer(
            "ProvisioningService/ListNodes",
            request,
            |caller, message| async move { nodes::list_nodes(&self.app, &caller, message).await },
        )
        .await
    }

    async fn get_node(
        &self,
        request: Request<proto::GetNodeRequest>,
    ) -> Result<Response<proto::GetNodeResponse>, Status> {
        answer(
            "ProvisioningService/GetNode",
            request,
            |caller, message| async move { nodes::get_node(&self.app, &caller, message).await },
        )
        .await
    }

    async fn create_node(
        &self,
        request: Request<proto::CreateNodeRequest>,
    ) -> Result<Response<proto::CreateNodeResponse>, Status> {
        answer(
            "ProvisioningService/CreateNode",
            request,
            |caller, message| async move { nodes::create_node(&self.app, &caller, message).await },
        )
        .await
    }

    async fn update_node(
        &self,
        request: Request<proto::UpdateNodeRequest>,
    ) -> Result<Response<proto::UpdateNodeResponse>, Status> {
        answer(
            "ProvisioningService/UpdateNode",
            request,
            |caller, message| async move { nodes::update_node(&self.app, &caller, message).await },
        )
        .await
    }

    async fn list_allocations(
        &self,
        request: Request<proto::ListAllocationsRequest>,
    ) -> Result<Response<proto::ListAllocationsResponse>, Status> {
        answer(
            "ProvisioningService/ListAllocations",
            request,
            |caller, message| list_allocations(&self.app, caller, message),
        )
        .await
    }

    async fn explain_placement(
        &self,
        request: Request<proto::ExplainPlacementRequest>,
    ) -> Result<Response<proto::ExplainPlacementResponse>, Status> {
        answer(
            "ProvisioningService/ExplainPlacement",
            request,
            |caller, message| explain_placement(&self.app, caller, message),
        )
        .await
    }

    async fn get_external_account(
        &self,
        request: Request<proto::GetExternalAccountRequest>,
    ) -> Result<Response<proto::GetExternalAccountResponse>, Status> {
        answer(
            "ProvisioningService/GetExternalAccount",
            request,
            |caller, message| async move {
                let mut violations = Violations::default();
                let user_id = validate::user_id(&mut violations, &message.user_id);
                violations.finish()?;
                let account = profiles::get_external_account(&self.app, &caller, user_id).await?;
                Ok(proto::GetExternalAccountResponse {
                    external_account: Some(external_account_to(account)),
                })
            },
        )
        .await
    }
}

const SWEEP_CHARS: usize = 64;

async fn release_guard(
    app: &Arc<App>,
    caller: Caller,
    message: proto::ReleaseGuardRequest,
) -> Result<proto::ReleaseGuardResponse, Error> {
    let mut violations = Violations::default();
    validate::text(&mut violations, "sweep", &message.sweep, 1, SWEEP_CHARS);
    let request_id = validate::optional_uuid(&mut violations, "request_id", &message.request_id);
    violations.finish()?;
    let sweep = sweeps::release_guard(app, &caller, &message.sweep, request_id).await?;
    Ok(proto::ReleaseGuardResponse {
        sweep: Some(sweep_to(sweep)),
    })
}

const ALLOCATION_STATES: [&str; 5] = ["free", "held", "assigned", "foreign", "gone"];

async fn list_allocations(
    app: &App,
    caller: Caller,
    message: proto::ListAllocationsRequest,
) -> Result<proto::ListAllocationsResponse, Error> {
    let mut violations = Violations::default();
    violations.require(message.node_id > 0, "node_id", "must be the id of a node");
    let state = Some(message.state.as_str()).filter(|state| !state.is_empty());
    violations.require(
        state.is_none_or(|state| ALLOCATION_STATES.contains(&state)),
        "state",
        "must be free, held, assigned, foreign or gone, or empty",
    );
    let node = message.node_id.to_string();
    let scope = ["ListAllocations", node.as_str(), message.state.as_str()];
    let page = page(
        &mut violations,
        message.page_size,
        &message.page_token,
        &scope,
    )?;
    violations.finish()?;
    let after = page.after.as_deref().and_then(|text| text.parse().ok());
    let listed =
        placement::list_allocations(app, &caller, message.node_id, state, after, page.limit)
            .await?;
    let last = listed
        .rows
        .last()
        .filter(|_| listed.more)
        .map(|port| port.id.to_string());
    Ok(proto::ListAllocationsResponse {
        next_page_token: next(&scope, last.as_deref()),
        allocations: listed.rows.into_iter().map(allocation_to).collect(),
    })
}

async fn explain_placement(
    app: &App,
    caller: Caller,
    message: proto::ExplainPlacementRequest,
) -> Result<proto::ExplainPlacementResponse, Error> {
    let mut violations = Violations::default();
    validate::id(&mut violations, "plan_id", &message.plan_id);
    for (index, id) in message.addon_ids.iter().enumerate() {
        validate::id(&mut violations, &format!("addon_ids[{index}]"), id);
    }
    validate::region(&mut violations, "region", &message.region);
    violations.finish()?;
    let explained = placement::explain_placement(
        app,
        &caller,
        &message.plan_id,
        &message.addon_ids,
        &message.region,
    )
    .await?;
    Ok(explained_to(explained))
}
