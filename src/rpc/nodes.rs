//! The Node methods of ProvisioningService.

use super::{
    call::{page, resource},
    convert::{
        fields,
        nodes::{node_from, node_to},
    },
    page::next,
    proto, validate,
};
use crate::{
    app::{App, Caller, Error, catalog::Update, nodes},
    domain::{self, error::Violations, node::NodeField},
};

/// ListNodes.
pub async fn list_nodes(
    app: &App,
    caller: &Caller,
    message: proto::ListNodesRequest,
) -> Result<proto::ListNodesResponse, Error> {
    caller.may("ProvisioningService/ListNodes")?;
    let mut violations = Violations::default();
    let region = Some(message.region).filter(|region| !region.is_empty());
    if let Some(region) = &region {
        validate::region(&mut violations, "region", region);
    }
    let scope = ["ListNodes", region.as_deref().unwrap_or_default()];
    let page = page(
        &mut violations,
        message.page_size,
        &message.page_token,
        &scope,
    )?;
    violations.finish()?;
    let after = page.after.as_deref().map(node_id_of_token).transpose()?;
    let listed = nodes::list_nodes(&app.db, caller, region.as_deref(), after, page.limit).await?;
    let last = listed
        .rows
        .last()
        .filter(|_| listed.more)
        .map(|node| node.id.to_string());
    Ok(proto::ListNodesResponse {
        next_page_token: next(&scope, last.as_deref()),
        nodes: listed.rows.into_iter().map(node_to).collect(),
    })
}

/// GetNode.
pub async fn get_node(
    app: &App,
    caller: &Caller,
    message: proto::GetNodeRequest,
) -> Result<proto::GetNodeResponse, Error> {
    caller.may("ProvisioningService/GetNode")?;
    let mut violations = Violations::default();
    violations.require(message.node_id > 0, "node_id", "must be the id of a node");
    violations.finish()?;
    let node = nodes::get_node(&app.db, caller, message.node_id).await?;
    Ok(proto::GetNodeResponse {
        node: Some(node_to(node)),
    })
}

/// CreateNode.
pub async fn create_node(
    app: &App,
    caller: &Caller,
    message: proto::CreateNodeRequest,
) -> Result<proto::CreateNodeResponse, Error> {
    caller.may("ProvisioningService/CreateNode")?;
    let mut violations = Violations::default();
    let request_id = validate::optional_uuid(&mut violations, "request_id", &message.request_id);
    let node = node_from(resource(&mut violations, "node", message.node)?);
    node.check(&mut violations, "node");
    violations.finish()?;
    let node = nodes::create_node(&app.db, caller, node, request_id).await?;
    Ok(proto::CreateNodeResponse {
        node: Some(node_to(node)),
    })
}

/// UpdateNode.
pub async fn update_node(
    app: &App,
    caller: &Caller,
    message: proto::UpdateNodeRequest,
) -> Result<proto::UpdateNodeResponse, Error> {
    caller.may("ProvisioningService/UpdateNode")?;
    let mut violations = Violations::default();
    let request_id = validate::optional_uuid(&mut violations, "request_id", &message.request_id);
    let fields = fields(&mut violations, message.update_mask, NodeField::parse);
    let sent = resource(&mut violations, "node", message.node)?;
    violations.require(sent.id > 0, "node.id", "must be the id of a node");
    violations.finish()?;
    let id = sent.id;
    let update = Update {
        value: node_from(sent),
        fields,
        etag: None,
        unreadable: Vec::new(),
    };
    let node = nodes::update_node(&app.db, caller, id, update, request_id).await?;
    Ok(proto::UpdateNodeResponse {
        node: Some(node_to(node)),
    })
}

fn node_id_of_token(last_id: &str) -> Result<i32, domain::Error> {
    last_id.parse().map_err(|_| domain::Error::BadRequest {
        reason: "PAGE_TOKEN_INVALID",
        message: "page_token is not one of this list".to_owned(),
        metadata: vec![("field", "page_token".to_owned())],
    })
}
