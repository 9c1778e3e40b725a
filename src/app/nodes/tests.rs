use uuid::Uuid;

use super::*;
use crate::{app::Role, db::testing};

fn operator() -> Caller {
    Caller {
        role: Role::Operator,
        user: None,
        trace_id: "t".to_owned(),
    }
}

fn node() -> NewNode {
    NewNode {
        pterodactyl_node_id: 5,
        name: "Five".to_owned(),
        region: "eu".to_owned(),
        fqdn: String::new(),
        max_ram_gb: 64,
        max_disk_gb: 1000,
        max_vcores: Some(16),
        reserved_headroom_gb: 2,
        enabled: true,
        maintenance: false,
        weight: 100,
    }
}

fn change(value: NewNode, fields: Vec<NodeField>) -> Update<NewNode, NodeField> {
    Update {
        value,
        fields,
        etag: None,
        unreadable: Vec::new(),
    }
}

fn reason<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    match result.unwrap_err() {
        Error::Refused(error) => error.reason(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_node_is_made_once_and_changed_by_name_of_field() {
    let db = testing::open().await;
    let id = Some(Uuid::from_u128(1));
    let made = create_node(&db, &operator(), node(), id).await.unwrap();
    assert_eq!(made.set, node());
    assert_eq!(
        create_node(&db, &operator(), node(), id).await.unwrap(),
        made
    );
    assert_eq!(
        reason(create_node(&db, &operator(), node(), None).await),
        "RESOURCE_EXISTS"
    );
    let other = NewNode {
        weight: 7,
        ..node()
    };
    assert_eq!(
        reason(create_node(&db, &operator(), other, id).await),
        "REQUEST_ID_REUSED"
    );

    let wish = NewNode {
        max_vcores: None,
        max_ram_gb: 1,
        ..node()
    };
    let update = change(wish.clone(), vec![NodeField::MaxVcores]);
    let changed = update_node(&db, &operator(), made.id, update, None)
        .await
        .unwrap();
    assert_eq!(
        changed.set,
        NewNode {
            max_vcores: None,
            ..node()
        }
    );
    // One GiB in all is less than what is kept free.
    let update = change(wish, vec![NodeField::MaxRamGb]);
    assert_eq!(
        reason(update_node(&db, &operator(), made.id, update.clone(), None).await),
        "FIELD_INVALID"
    );
    assert_eq!(
        reason(update_node(&db, &operator(), made.id + 1, update, None).await),
        "NODE_NOT_FOUND"
    );
    assert_eq!(get_node(&db, &operator(), made.id).await.unwrap(), changed);
}

#[tokio::test]
async fn only_staff_sees_nodes_and_only_operators_change_them() {
    let db = testing::open().await;
    for (role, reads) in [
        (Role::Viewer, true),
        (Role::Storefront, false),
        (Role::Gateway, false),
    ] {
        let caller = Caller { role, ..operator() };
        assert_eq!(
            list_nodes(&db, &caller, None, None, 5).await.is_ok(),
            reads,
            "{role}"
        );
        assert_eq!(
            reason(create_node(&db, &caller, node(), None).await),
            "ROLE_FORBIDDEN"
        );
    }
}
