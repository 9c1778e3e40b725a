//! What customers change of what they have.

use spawnpoint::rpc::proto;
use tonic::Status;
use uuid::Uuid;

use super::live::Live;

/// Asks for another plan, as an operator.
pub async fn ask(
    live: &Live,
    order_id: &str,
    plan_id: &str,
    addon_ids: &[&str],
) -> Result<proto::Order, Status> {
    let message = proto::ChangePlanRequest {
        order_id: order_id.to_owned(),
        plan_id: plan_id.to_owned(),
        addon_ids: addon_ids.iter().map(|id| (*id).to_owned()).collect(),
        request_id: Uuid::new_v4().to_string(),
    };
    let answer = live.orders().change_plan(live.operator(message)).await?;
    Ok(answer.into_inner().order.unwrap())
}

/// Has a server installed again, as an operator.
pub async fn reinstall(live: &Live, order_id: &str) -> Result<proto::Order, Status> {
    let message = proto::ReinstallServerRequest {
        order_id: order_id.to_owned(),
        request_id: String::new(),
    };
    let mut client = live.provisioning();
    let answer = client.reinstall_server(live.operator(message)).await?;
    Ok(answer.into_inner().order.unwrap())
}

/// Has a server stand still, as an operator.
pub async fn suspend(live: &Live, order_id: &str) {
    let message = proto::SuspendServerRequest {
        order_id: order_id.to_owned(),
        ..proto::SuspendServerRequest::default()
    };
    let mut client = live.provisioning();
    let stopped = client.suspend_server(live.operator(message)).await;
    stopped.unwrap();
}

/// Lets it go on, as an operator.
pub async fn unsuspend(live: &Live, order_id: &str) {
    let message = proto::UnsuspendServerRequest {
        order_id: order_id.to_owned(),
        ..proto::UnsuspendServerRequest::default()
    };
    let mut client = live.provisioning();
    let going_on = client.unsuspend_server(live.operator(message)).await;
    going_on.unwrap();
}

/// Gives a server another name, as an operator.
pub async fn rename(live: &Live, order_id: &str, name: &str) -> Result<proto::Order, Status> {
    let message = proto::RenameServerRequest {
        order_id: order_id.to_owned(),
        server_name: name.to_owned(),
        request_id: String::new(),
    };
    let answer = live.orders().rename_server(live.operator(message)).await?;
    Ok(answer.into_inner().order.unwrap())
}

/// Ends an order and deletes its server at once, as an operator.
pub async fn terminate(live: &Live, order_id: &str) {
    let message = proto::TerminateServerRequest {
        order_id: order_id.to_owned(),
        ..proto::TerminateServerRequest::default()
    };
    let mut client = live.provisioning();
    let ended = client.terminate_server(live.operator(message)).await;
    ended.unwrap();
}
