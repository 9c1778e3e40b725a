//! Placement as operators see it: the same code as checkout, and the mirror of ports.

use super::{App, Caller, Error, catalog::basket};
use crate::{
    db::{allocations, nodes},
    domain::{
        self, Listed,
        error::Kind,
        placement::{Node, Verdict, rank},
        port::Port,
    },
};

/// How placement sees the nodes of a region, best first.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The node that would be chosen.
    pub chosen: Option<i32>,
    /// Every node with its verdict.
    pub nodes: Vec<(Node, Verdict)>,
}

/// Why placement would choose a node for a plan with add-ons, or none.
pub async fn explain_placement(
    app: &App,
    caller: &Caller,
    plan_id: &str,
    addon_ids: &[String],
    region: &str,
) -> Result<Explained, Error> {
    caller.may("ProvisioningService/ExplainPlacement")?;
    let basket = basket(&app.db, plan_id, addon_ids).await?;
    let spec = basket.spec().ok_or_else(|| {
        domain::Error::precondition(
            "NOT_PROVISIONABLE",
            format!("plan {plan_id} has no game to install"),
            vec![("plan_id", plan_id.to_owned())],
        )
    })?;
    let views = nodes::views(app.db.read(), Some(region)).await?;
    if views.is_empty() {
        return Err(domain::Error::not_found(Kind::Region, region).into());
    }
    let now_us = app.db.now().await?;
    let ranked = rank(&views, spec.need(), app.settings.placement, now_us);
    let chosen = ranked
        .iter()
        .find(|verdict| verdict.sellable())
        .map(|verdict| verdict.node_id);
    let nodes = ranked
        .into_iter()
        .filter_map(|verdict| {
            let node = views.iter().find(|node| node.id == verdict.node_id)?;
            Some((node.clone(), verdict))
        })
        .collect();
    Ok(Explained { chosen, nodes })
}

/// Our mirror of a node's ports.
pub async fn list_allocations(
    app: &App,
    caller: &Caller,
    node_id: i32,
    state: Option<&str>,
    after: Option<i32>,
    limit: u64,
) -> Result<Listed<Port>, Error> {
    caller.may("ProvisioningService/ListAllocations")?;
    if nodes::find(app.db.read(), node_id).await?.is_none() {
        return Err(domain::Error::not_found(Kind::Node, node_id).into());
    }
    let rows = allocations::list(app.db.read(), node_id, state, after, limit + 1).await?;
    Ok(Listed::cut(rows, limit))
}
