//! Nodes: what operators say of the machines that servers are placed on. What
//! is held of them, and what the panel tells of them, have other writers.

use uuid::Uuid;

use super::{
    Caller, Error,
    catalog::{Update, earlier, names, remember, repeatable},
};
use crate::{
    db::{Db, Tx, catalog::lock, nodes},
    domain::{
        self, Listed,
        error::{Kind, Violations},
        node::{NewNode, Node, NodeField},
    },
};

/// Nodes by id, after `after`.
pub async fn list_nodes(
    db: &Db,
    caller: &Caller,
    region: Option<&str>,
    after: Option<i32>,
    limit: u64,
) -> Result<Listed<Node>, Error> {
    caller.may("ProvisioningService/ListNodes")?;
    Ok(nodes::list(db.read(), region, after, limit).await?)
}

/// One node.
pub async fn get_node(db: &Db, caller: &Caller, id: i32) -> Result<Node, Error> {
    caller.may("ProvisioningService/GetNode")?;
    let node = nodes::find(db.read(), id).await?;
    node.ok_or_else(|| not_found(id))
}

/// Adds a node of the panel.
pub async fn create_node(
    db: &Db,
    caller: &Caller,
    node: NewNode,
    request_id: Option<Uuid>,
) -> Result<Node, Error> {
    const METHOD: &str = "ProvisioningService/CreateNode";
    caller.may(METHOD)?;
    require_valid(&node, Violations::default())?;
    let request = repeatable(caller, METHOD, request_id, &node)?;
    let (node, request) = (&node, request.as_ref());
    db.tx(|tx| async move {
        lock(&tx).await?;
        let now_us = db.now_in(&tx).await?;
        if let Some(id) = earlier(request, &tx, now_us).await? {
            return stored_as(&tx, &id).await;
        }
        let panel_id = node.pterodactyl_node_id;
        if nodes::find_by_panel_id(&*tx, panel_id).await?.is_some() {
            let refusal = domain::Error::Exists {
                reason: "RESOURCE_EXISTS",
                message: format!("node {panel_id} of the panel exists already"),
                metadata: vec![("pterodactyl_node_id", panel_id.to_string())],
            };
            return Err(refusal.into());
        }
        let id = nodes::insert(&tx, node, now_us).await?;
        remember(request, &tx, &id.to_string(), now_us).await?;
        stored(&tx, id).await
    })
    .await
}

/// Changes the named fields of node `id`.
pub async fn update_node(
    db: &Db,
    caller: &Caller,
    id: i32,
    update: Update<NewNode, NodeField>,
    request_id: Option<Uuid>,
) -> Result<Node, Error> {
    const METHOD: &str = "ProvisioningService/UpdateNode";
    caller.may(METHOD)?;
    let body = (id, &update.value, names(&update.fields, NodeField::as_str));
    let request = repeatable(caller, METHOD, request_id, &body)?;
    let (update, request) = (&update, update.request(request.as_ref()));
    db.tx(|tx| async move {
        lock(&tx).await?;
        let now_us = db.now_in(&tx).await?;
        if let Some(id) = earlier(request, &tx, now_us).await? {
            return stored_as(&tx, &id).await;
        }
        let mut node = stored(&tx, id).await?;
        node.set.take(&update.value, &update.fields);
        require_valid(&node.set, update.violations())?;
        nodes::update(&tx, id, &node.set, now_us).await?;
        remember(request, &tx, &id.to_string(), now_us).await?;
        stored(&tx, id).await
    })
    .await
}

fn require_valid(node: &NewNode, mut violations: Violations) -> Result<(), domain::Error> {
    node.check(&mut violations, "node");
    violations.finish()
}

async fn stored(tx: &Tx, id: i32) -> Result<Node, Error> {
    nodes::find(&**tx, id).await?.ok_or_else(|| not_found(id))
}

/// The node that a request key names.
async fn stored_as(tx: &Tx, id: &str) -> Result<Node, Error> {
    let id = id
        .parse()
        .map_err(|_| Error::Internal("a request key names no node".to_owned()))?;
    stored(tx, id).await
}

fn not_found(id: i32) -> Error {
    domain::Error::not_found(Kind::Node, id).into()
}

#[cfg(test)]
mod tests;
