//! Carts that are refused: how, and that nothing was made.

use spawnpoint::rpc::proto::CreateCheckoutSessionRequest;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::{
    live::{Live, cart, reason},
    till,
};

/// A refused cart, and how it is refused.
pub struct Case {
    pub cart: CreateCheckoutSessionRequest,
    pub code: Code,
    pub reason: &'static str,
    pub names: Vec<(&'static str, &'static str)>,
}

/// The cart is refused with this code and reason, and these values are named.
pub fn case(
    cart: CreateCheckoutSessionRequest,
    code: Code,
    reason: &'static str,
    names: &[(&'static str, &'static str)],
) -> Case {
    Case {
        cart,
        code,
        reason,
        names: names.to_vec(),
    }
}

/// The default cart with another plan.
pub fn plan(plan_id: &str) -> CreateCheckoutSessionRequest {
    CreateCheckoutSessionRequest {
        plan_id: plan_id.to_owned(),
        ..cart(Uuid::new_v4())
    }
}

/// The default cart with an add-on.
pub fn addon(addon_id: &str) -> CreateCheckoutSessionRequest {
    CreateCheckoutSessionRequest {
        addon_ids: vec![addon_id.to_owned()],
        ..plan("mc-2gb")
    }
}

/// The shop refuses the cart as expected, and makes nothing.
pub async fn assert_refused(live: &Live, case: Case) -> Status {
    let before = till::made(live).await;
    let what = format!("{} {:?}", case.cart.plan_id, case.cart.addon_ids);
    let status = live.checkout(case.cart).await.expect_err(&what);
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (case.code, case.reason),
        "{what}"
    );
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, "spawnpoint");
    for (key, value) in case.names {
        let told = info.metadata.get(key).map(String::as_str);
        assert_eq!(told, Some(value), "{what}: {key} of {}", case.reason);
    }
    assert_eq!(
        till::made(live).await,
        before,
        "{what}: {} made something",
        case.reason
    );
    status
}
