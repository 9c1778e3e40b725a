//! What the shop sells: the verbs of CatalogService, and the catalog file.
//!
//! They need nothing but the store. Writes queue behind one lock, because their
//! rules span rows: a price id has one owner, a plan names a game. An etag
//! changes with every write and with nothing else.

use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Caller, Error, Role, requests::Request};
use crate::{
    db::{
        Tx,
        catalog::prices::{self, OwnerKind},
    },
    domain::{
        self, Violation,
        catalog::Price,
        error::{Kind, Violations},
    },
};

mod addons;
mod availability;
pub mod file;
mod games;
mod plans;

pub use addons::{create_addon, get_addon, list_addons, update_addon};
pub use availability::{Availability, Basket, basket, check_availability, list_regions};
pub use games::{create_game, get_game, list_games, update_game};
pub use plans::{create_plan, get_plan, list_plans, update_plan};

/// A change of one row: the named fields take their values from `value`.
#[derive(Clone, Debug)]
pub struct Update<T, F> {
    /// Its id tells which row; other fields count where they are named.
    pub value: T,
    /// What changes.
    pub fields: Vec<F>,
    /// The etag that the caller read, where it cares for a lost race.
    pub etag: Option<String>,
    /// What could not be read of the call. `value` has stand-ins there; told
    /// together with the rules that the changed row breaks.
    pub unreadable: Vec<Violation>,
}

impl<T, F> Update<T, F> {
    /// Nothing is repeated or remembered for a call that could not be read.
    pub(super) fn request<'a>(&self, request: Option<&'a Request>) -> Option<&'a Request> {
        request.filter(|_| self.unreadable.is_empty())
    }

    /// What could not be read, for further violations.
    pub(super) fn violations(&self) -> Violations {
        let mut violations = Violations::default();
        for Violation { field, problem } in &self.unreadable {
            violations.add(field, problem);
        }
        violations
    }

    /// Refuses where the row has changed since the caller read it.
    fn require_etag(&self, kind: Kind, id: &str, stored: &str) -> Result<(), domain::Error> {
        match &self.etag {
            Some(etag) if etag != stored => Err(domain::Error::EtagMismatch {
                what: kind,
                id: id.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// The call as one that can be repeated, where it has a request id. `body` is
/// all it says apart from that id; maps in it must be sorted.
pub(super) fn repeatable(
    caller: &Caller,
    method: &'static str,
    request_id: Option<Uuid>,
    body: &impl Serialize,
) -> Result<Option<Request>, Error> {
    let Some(id) = request_id else {
        return Ok(None);
    };
    let body = serde_json::to_vec(body).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(Some(Request::new(caller, method, id, &body)))
}

/// The id of what an earlier call with this request id made.
pub(super) async fn earlier(
    request: Option<&Request>,
    tx: &Tx,
    now_us: i64,
) -> Result<Option<String>, Error> {
    match request {
        Some(request) => request.earlier(&**tx, now_us).await,
        None => Ok(None),
    }
}

/// Stores what the call made, where it has a request id.
pub(super) async fn remember(
    request: Option<&Request>,
    tx: &Tx,
    id: &str,
    now_us: i64,
) -> Result<(), Error> {
    match request {
        Some(request) => request.remember(tx, id, now_us).await,
        None => Ok(()),
    }
}

/// The names of fields, sorted: the same set in another order is the same call.
pub(super) fn names<F: Copy>(fields: &[F], name: fn(F) -> &'static str) -> Vec<&'static str> {
    let mut names: Vec<_> = fields.iter().map(|field| name(*field)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// An etag that no earlier state of the row had: it depends on all of them.
fn next_etag(previous: &str, now_us: i64, content: &impl Serialize) -> Result<String, Error> {
    let content =
        serde_json::to_vec(content).map_err(|error| Error::Internal(error.to_string()))?;
    let mut hash = Sha256::new();
    hash.update(previous.as_bytes());
    hash.update(now_us.to_be_bytes());
    hash.update(&content);
    Ok(hex::encode(&hash.finalize()[..12]))
}

/// Inactive rows are shown to those who run the shop only.
fn sees_inactive(caller: &Caller, wanted: bool) -> bool {
    wanted && matches!(caller.role, Role::Operator | Role::Viewer)
}

fn exists(kind: Kind, id: &str) -> domain::Error {
    domain::Error::Exists {
        reason: "RESOURCE_EXISTS",
        message: format!("{kind} {id} exists already"),
        metadata: vec![(kind.id_field(), id.to_owned())],
    }
}

/// Refuses price ids that another row has. Call it under the catalog's lock.
async fn require_free_prices(
    tx: &Tx,
    kind: OwnerKind,
    id: &str,
    wanted: &[Price],
) -> Result<(), Error> {
    let ids: Vec<String> = wanted
        .iter()
        .map(|price| price.stripe_price_id.clone())
        .collect();
    let owners = prices::owners(&**tx, &ids).await?;
    let Some(taken) = owners
        .into_iter()
        .find(|owned| (owned.kind, &*owned.owner) != (kind, id))
    else {
        return Ok(());
    };
    let owner_field = match taken.kind {
        OwnerKind::Plan => "plan_id",
        OwnerKind::Addon => "addon_id",
    };
    let refusal = domain::Error::precondition(
        "PRICE_IN_USE",
        format!("price {} belongs to {}", taken.stripe_price_id, taken.owner),
        vec![
            ("stripe_price_id", taken.stripe_price_id),
            (owner_field, taken.owner),
        ],
    );
    Err(refusal.into())
}

#[cfg(test)]
mod tests;
