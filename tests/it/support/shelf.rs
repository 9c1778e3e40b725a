//! Plans to put on the shop's shelf, and the calls that do it.

use prost_types::FieldMask;
use spawnpoint::rpc::proto;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::live::{Live, reason};

/// A refusal with this code and reason, in our domain.
pub fn assert_refused<T>(answer: Result<T, Status>, code: Code, wanted: &str) -> Status {
    let Err(status) = answer else {
        panic!("{wanted} was expected")
    };
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (code, wanted),
        "{status:?}"
    );
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, "spawnpoint");
    status
}

pub fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    })
}

pub fn price(id: &str, term: proto::Term, amount_minor: i64) -> proto::PlanPrice {
    proto::PlanPrice {
        term: term.into(),
        stripe_price_id: id.to_owned(),
        amount: Some(proto::Money {
            amount_minor,
            currency: "usd".to_owned(),
        }),
    }
}

pub fn plan(id: &str) -> proto::Plan {
    proto::Plan {
        id: id.to_owned(),
        item_type: proto::ItemType::Game.into(),
        game: "minecraft".to_owned(),
        display_name: format!("Plan {id}"),
        ram_gb: 2,
        vcores: 1,
        ssd_gb: 10,
        prices: vec![price(&format!("price_{id}"), proto::Term::Monthly, 500)],
        is_active: true,
        ..Default::default()
    }
}

pub async fn create(live: &Live, plan: proto::Plan, id: &str) -> Result<proto::Plan, Status> {
    let request = proto::CreatePlanRequest {
        plan: Some(plan),
        request_id: id.to_owned(),
    };
    let answer = live.catalog().create_plan(live.operator(request)).await?;
    Ok(answer.into_inner().plan.unwrap())
}

pub async fn update(
    live: &Live,
    plan: proto::Plan,
    paths: &[&str],
    etag: &str,
) -> Result<proto::Plan, Status> {
    let request = proto::UpdatePlanRequest {
        plan: Some(plan),
        update_mask: mask(paths),
        etag: etag.to_owned(),
        request_id: String::new(),
    };
    let answer = live.catalog().update_plan(live.operator(request)).await?;
    Ok(answer.into_inner().plan.unwrap())
}

pub async fn get(live: &Live, id: &str) -> Result<proto::Plan, Status> {
    let request = proto::GetPlanRequest {
        plan_id: id.to_owned(),
    };
    let answer = live.catalog().get_plan(live.operator(request)).await?;
    Ok(answer.into_inner().plan.unwrap())
}
