//! How many fit where, or why none does.

use super::*;

async fn save_egg(db: &Db, found: bool, default: &str) {
    let egg = Egg {
        egg_id: 39,
        nest_id: 16,
        found,
        docker_image: "image".to_owned(),
        startup: "start".to_owned(),
        variables: vec![Variable {
            name: "BUILD_NUMBER".to_owned(),
            default: default.to_owned(),
            editable: true,
            rules: "required|string|max:20".to_owned(),
        }],
        read_us: 1,
    };
    db.tx(|tx| {
        let egg = &egg;
        async move { eggs::save(&tx, egg).await }
    })
    .await
    .unwrap();
}

async fn set_node(db: &Db, node_id: i32, column: ptero_nodes::Column, value: i64) {
    db.tx(|tx| async move {
        ptero_nodes::Entity::update_many()
            .col_expr(column, Expr::value(value))
            .filter(ptero_nodes::Column::Id.eq(node_id))
            .exec(&*tx)
            .await?;
        Ok::<_, crate::db::Error>(())
    })
    .await
    .unwrap();
}

async fn add_port(db: &Db, node_id: i32, port: i32) {
    db.tx(|tx| async move {
        let row = allocations::Model {
            id: 0,
            pterodactyl_allocation_id: i64::from(node_id * 100_000 + port),
            node_id,
            ip: "10.0.0.1".to_owned(),
            alias: String::new(),
            port,
            order_id: None,
            slot: None,
            state: "free".to_owned(),
            seen_us: 1,
        };
        let mut row = row.into_active_model().reset_all();
        row.id = NotSet;
        row.insert(&*tx).await?;
        Ok::<_, crate::db::Error>(())
    })
    .await
    .unwrap();
}

async fn available(db: &Db, plan: &str, addons: &[&str]) -> Vec<(String, i32, &'static str)> {
    let addons: Vec<String> = addons.iter().map(|id| (*id).to_owned()).collect();
    let found = check_availability(db, &operator(), plan, &addons, None)
        .await
        .unwrap();
    found
        .into_iter()
        .map(|one| (one.region, one.remaining, one.reason))
        .collect()
}

#[tokio::test]
async fn availability_tells_how_many_fit_or_why_none_does() {
    let db = shop().await;
    let east = |remaining, reason| ("us-east".to_owned(), remaining, reason);
    assert_eq!(
        available(&db, "mc-16gb", &[]).await[0],
        east(0, "PLAN_INACTIVE")
    );
    assert_eq!(
        available(&db, "mc-2gb", &[]).await[0],
        east(0, "WARMING_UP")
    );
    save_egg(&db, false, "latest").await;
    assert_eq!(
        available(&db, "mc-2gb", &[]).await[0],
        east(0, "EGG_NOT_FOUND")
    );
    save_egg(&db, true, "").await;
    assert_eq!(
        available(&db, "mc-2gb", &[]).await[0],
        east(0, "NOT_PROVISIONABLE")
    );
    save_egg(&db, true, "latest").await;
    assert_eq!(
        available(&db, "mc-2gb", &[]).await[0],
        east(0, "WARMING_UP")
    );
    set_node(&db, 1, ptero_nodes::Column::PortsReadUs, 1).await;
    assert_eq!(available(&db, "mc-2gb", &[]).await[0], east(0, "NO_PORTS"));
    for port in 25_000..25_050 {
        add_port(&db, 1, port).await;
    }
    // 62 GiB for 2 each: memory is the limit; with 50 GiB more disk each, the disk is.
    assert_eq!(available(&db, "mc-2gb", &[]).await[0], east(31, ""));
    assert_eq!(
        available(&db, "mc-2gb", &["additional-ssd"]).await[0],
        east(14, "")
    );
    set_node(&db, 1, ptero_nodes::Column::HeldRamGb, 61).await;
    assert_eq!(
        available(&db, "mc-2gb", &[]).await[0],
        east(0, "NO_CAPACITY")
    );
    assert_eq!(available(&db, "mc-1gb", &[]).await[0], east(1, ""));
    // The other region has its own answer.
    assert_eq!(available(&db, "mc-1gb", &[]).await[1].2, "WARMING_UP");
}

#[tokio::test]
async fn availability_refuses_what_it_does_not_know() {
    let db = shop().await;
    let ask = |plan: &'static str, addon: &'static str, region: &'static str| {
        let db = &db;
        async move {
            let addons: Vec<String> = Some(addon)
                .filter(|id| !id.is_empty())
                .map(str::to_owned)
                .into_iter()
                .collect();
            reason(check_availability(db, &operator(), plan, &addons, Some(region)).await)
        }
    };
    assert_eq!(ask("mc-99gb", "", "us-east").await, "PLAN_NOT_FOUND");
    assert_eq!(ask("mc-2gb", "nope", "us-east").await, "ADDON_NOT_FOUND");
    assert_eq!(
        ask("mc-2gb", "ddos-protection", "us-east").await,
        "ADDON_NOT_FOUND"
    );
    assert_eq!(
        ask("vps-basic", "additional-ssd", "us-east").await,
        "ITEM_TYPE_MISMATCH"
    );
    assert_eq!(ask("mc-2gb", "", "mars").await, "REGION_NOT_FOUND");
    let gateway = caller(Role::Gateway);
    let asked = check_availability(&db, &gateway, "mc-2gb", &[], None).await;
    assert_eq!(reason(asked), "ROLE_FORBIDDEN");
}

#[tokio::test]
async fn a_vps_without_a_game_cannot_be_provisioned() {
    let db = shop().await;
    let mut plan = get_plan(&db, &operator(), "vps-basic").await.unwrap();
    plan.prices = vec![price(Term::Monthly, "price_vps")];
    plan.is_active = true;
    let update = change(plan, vec![PlanField::Prices, PlanField::IsActive]);
    update_plan(&db, &operator(), update, None).await.unwrap();
    assert_eq!(
        available(&db, "vps-basic", &[]).await[0].2,
        "NOT_PROVISIONABLE"
    );
}
