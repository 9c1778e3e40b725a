//! What a profile cannot be.

use std::collections::BTreeSet;

use prost_types::FieldMask;
use spawnpoint::rpc::proto;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::{Wanted, profile, request, send, stripe_changes};
use crate::support::{
    db::Engine,
    live::{Live, cart, reason},
};

both_engines!(bad_input_is_refused_with_all_that_is_wrong);

async fn bad_input_is_refused_with_all_that_is_wrong(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    live.reserve(cart(user)).await;
    let before = profile(&live, user).await;
    let paths = ["email", "first_name", "last_name", "stripe_customer_id", ""];
    let wrong = proto::UpdateProfileRequest {
        profile: Some(proto::Profile {
            user_id: user.to_string().to_uppercase(),
            email: "nobody".to_owned(),
            first_name: "x".repeat(101),
            last_name: "a\u{7}".to_owned(),
            ..proto::Profile::default()
        }),
        update_mask: Some(FieldMask {
            paths: paths.map(str::to_owned).to_vec(),
        }),
        request_id: "1".to_owned(),
    };
    let fields = |status: &Status| -> BTreeSet<String> {
        assert_eq!(
            (status.code(), reason(status).as_str()),
            (Code::InvalidArgument, "FIELD_INVALID")
        );
        let request = status.get_details_bad_request().unwrap();
        let fields = request.field_violations.into_iter();
        fields.map(|violation| violation.field).collect()
    };
    let set = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect();
    let refused = send(&live, user, wrong).await.unwrap_err();
    let wanted: BTreeSet<String> = set(&[
        "profile.user_id",
        "profile.email",
        "profile.first_name",
        "profile.last_name",
        "update_mask.paths[3]",
        "update_mask.paths[4]",
        "request_id",
    ]);
    assert_eq!(fields(&refused), wanted);
    let nothing = request(user, &Wanted::default());
    let refused = send(&live, user, nothing).await.unwrap_err();
    assert_eq!(fields(&refused), set(&["update_mask"]));
    let nobody = proto::UpdateProfileRequest {
        profile: None,
        ..request(user, &Wanted::default())
    };
    let refused = send(&live, user, nobody).await.unwrap_err();
    assert_eq!(fields(&refused), set(&["update_mask", "profile"]));
    let empty = Wanted {
        email: Some(""),
        ..Wanted::default()
    };
    let refused = send(&live, user, request(user, &empty)).await.unwrap_err();
    assert_eq!(fields(&refused), set(&["profile.email"]));
    assert_eq!(profile(&live, user).await, before);
    assert_eq!(stripe_changes(&live), 0);
    live.close().await;
}
