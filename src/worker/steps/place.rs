//! Place: from room and ports held to an exact create request, stored before it is
//! sent. The node held at checkout is kept unless it cannot take the server now;
//! another is chosen only while no create is in doubt.

use std::collections::BTreeMap;

use rand::distr::{Alphanumeric, SampleString};

use crate::{
    app::{App, Error},
    db::{Tx, allocations, catalog, eggs, holds, nodes, orders, servers},
    domain::{
        self, OrderId,
        catalog::{Game, Spec},
        egg::{self, Egg, SECRET_LENGTH},
        order::{ErrorReason, Facts, WaitingReason},
        placement::{self, Node, Obstacle, Verdict},
        port::Port,
        step::Step,
    },
    panel::{self, Features, Limits, NewServer},
    worker::{claim::Work, driver::Outcome, micros},
};

/// Block IO weight of every server: the panel's own default.
const IO_WEIGHT: i64 = 500;
/// An order whose creates failed by their node so often goes to another, if one takes it.
pub(super) const ELSEWHERE: i32 = 5;
/// An egg read longer ago is read again before a server is made from it.
const EGG_BELIEVED: std::time::Duration = std::time::Duration::from_secs(3600);

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let spec = &facts.order.spec;
    let game = catalog::games::find(work.app.db.read(), &spec.game).await?;
    let game =
        game.ok_or_else(|| Error::Internal(format!("game {} is not in the catalog", spec.game)))?;
    let egg = match current_egg(work, &game).await? {
        Ok(egg) => egg,
        Err(outcome) => return Ok(outcome),
    };
    let Some(owner) = facts.panel_user else {
        return Ok(Outcome::Again);
    };
    let chosen = orders::environment(work.app.db.read(), work.id()).await?;
    let (app, id, attempt) = (&work.app, work.id(), facts.server.attempt + 1);
    let context = &Context {
        facts,
        game: &game,
        egg: &egg,
        owner,
        chosen: &chosen,
    };
    let placed = work
        .store(Step::Place, |tx, now_us| async move {
            let node_id = room(app, &tx, context.facts, now_us).await?;
            let ports = allocations::of_order(&*tx, id).await?;
            let request = context
                .request(id, &ports)
                .ok_or_else(|| Error::Internal("held ports are missing".to_owned()))?;
            orders::clear_waiting(&tx, id).await?;
            Ok(servers::set_attempt(&tx, id, attempt, node_id, &request).await?)
        })
        .await;
    match placed {
        Ok(_) => Ok(Outcome::Again),
        Err(Error::Refused(refusal)) => {
            tracing::warn!(%refusal, "order cannot be placed now");
            Ok(work.later(waiting(&refusal)))
        }
        Err(error) => Err(error),
    }
}

fn waiting(refusal: &domain::Error) -> WaitingReason {
    match refusal.reason() {
        "NO_PORTS" => WaitingReason::NoPorts,
        "PANEL_CHANGED" => WaitingReason::PanelChanged,
        "PANEL_UNAVAILABLE" => WaitingReason::PanelUnavailable,
        _ => WaitingReason::NoCapacity,
    }
}

/// The egg from the cache, or read now where the cache has none or an old one.
async fn current_egg(work: &Work, game: &Game) -> Result<Result<Egg, Outcome>, Error> {
    let now_us = work.app.db.now().await?;
    let cached = eggs::find(work.app.db.read(), game.ptero_egg_id).await?;
    if let Some(egg) = cached.as_ref().filter(|egg| {
        egg.found
            && egg.nest_id == game.ptero_nest_id
            && now_us - egg.read_us < micros(EGG_BELIEVED)
    }) {
        return Ok(Ok(egg.clone()));
    }
    match work
        .app
        .panel
        .egg(game.ptero_nest_id, game.ptero_egg_id)
        .await
    {
        Ok(read) => {
            let egg = &crate::worker::sweeps::egg(&read, now_us);
            work.app
                .db
                .tx(|tx| async move { eggs::save(&tx, egg).await })
                .await?;
            Ok(Ok(egg.clone()))
        }
        Err(panel::Error::NotFound) => Ok(Err(Outcome::Park {
            reason: ErrorReason::EggNotFound,
            message: format!(
                "the panel has no egg {} in nest {}",
                game.ptero_egg_id, game.ptero_nest_id
            ),
        })),
        // Old knowledge is better than none: the panel itself is the judge of a create.
        Err(error) => match cached.filter(|egg| egg.found) {
            Some(egg) => Ok(Ok(egg)),
            None => Ok(Err(work.panel_failed(&error))),
        },
    }
}

/// The node whose room and ports the order holds, after a move where one is due.
async fn room(app: &App, tx: &Tx, facts: &Facts, now_us: i64) -> Result<i32, Error> {
    let (id, region, spec) = (facts.order.id, &facts.order.region, &facts.order.spec);
    let views = nodes::views(&**tx, Some(region)).await?;
    let held = holds::find(&**tx, id).await?.map(|(node_id, _)| node_id);
    let held_ports = allocations::of_order(&**tx, id).await?;
    let whole = held_ports.len() >= usize::try_from(spec.ports).unwrap_or(usize::MAX);
    let blocked = held.and_then(|node_id| blocked(&views, node_id, now_us));
    let placed =
        |views: &[Node]| placement::rank(views, spec.need(), app.settings.placement, now_us);
    // Only if another one takes it: what it holds was good enough to be sold.
    let elsewhere = facts.server.node_failures >= ELSEWHERE
        && placed(&views)
            .iter()
            .any(|verdict| verdict.fits() && Some(verdict.node_id) != held);
    if let (Some(node_id), true, None, false) = (held, whole, blocked, elsewhere) {
        return Ok(node_id);
    }
    // Given back and taken again in one transaction: if nothing else fits it is rolled
    // back, and the order still holds what it held.
    nodes::lock_region(tx, region).await?;
    holds::release(tx, id).await?;
    let views = nodes::views(&**tx, Some(region)).await?;
    let mut ranked = placed(&views);
    ranked.sort_by_key(|verdict| (Some(verdict.node_id) == held) == elsewhere);
    for verdict in ranked.iter().filter(|verdict| verdict.fits()) {
        if holds::take(tx, id, verdict.node_id, spec.need(), now_us).await? {
            return Ok(verdict.node_id);
        }
    }
    Err(nowhere(&ranked, blocked, region))
}

/// Why the held node cannot take the server now, apart from what it holds.
fn blocked(views: &[Node], node_id: i32, now_us: i64) -> Option<Obstacle> {
    let node = views.iter().find(|node| node.id == node_id)?;
    if node.panel_changed {
        Some(Obstacle::PanelChanged)
    } else if node.maintenance {
        Some(Obstacle::Maintenance)
    } else if node.avoided_until_us > now_us {
        Some(Obstacle::Avoided)
    } else {
        None
    }
}

fn nowhere(ranked: &[Verdict], blocked: Option<Obstacle>, region: &str) -> Error {
    let only_ports = ranked
        .iter()
        .any(|verdict| verdict.obstacles == [Obstacle::Ports]);
    let reason = match blocked {
        Some(Obstacle::PanelChanged) => "PANEL_CHANGED",
        Some(_) => "PANEL_UNAVAILABLE",
        None if only_ports => "NO_PORTS",
        None => "NO_CAPACITY",
    };
    let metadata = vec![("region", region.to_owned())];
    domain::Error::precondition(reason, "no node takes the server now", metadata).into()
}

/// What a create request is made of.
struct Context<'a> {
    facts: &'a Facts,
    game: &'a Game,
    egg: &'a Egg,
    owner: i64,
    chosen: &'a BTreeMap<String, String>,
}

impl Context<'_> {
    fn request(&self, id: OrderId, ports: &[Port]) -> Option<NewServer> {
        let spec: &Spec = &self.facts.order.spec;
        let (first, further) = ports.split_first()?;
        let numbers: Vec<i32> = further.iter().map(|port| port.port).collect();
        let secret = || Alphanumeric.sample_string(&mut rand::rng(), SECRET_LENGTH);
        Some(NewServer {
            external_id: id.to_string(),
            name: self.facts.order.server_name.clone(),
            user: self.owner,
            egg: self.egg.egg_id,
            docker_image: self.egg.docker_image.clone(),
            startup: self.egg.startup.clone(),
            environment: egg::environment(self.egg, self.game, self.chosen, &numbers, secret),
            limits: Limits {
                memory: spec.ram_mb,
                swap: spec.swap_mb,
                disk: spec.disk_mb,
                io: IO_WEIGHT,
                cpu: spec.cpu_percent,
            },
            features: Features {
                databases: i64::from(spec.databases),
                allocations: i64::from(spec.ports + spec.allocations),
                backups: i64::from(spec.backups),
            },
            allocation: first.panel_id,
            additional: further.iter().map(|port| port.panel_id).collect(),
            oom_disabled: self.game.oom_disabled,
        })
    }
}
