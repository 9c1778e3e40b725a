//! Every refusal of CreateCheckoutSession: its reason, its code, what it names, and that
//! nothing was made, neither here nor at Stripe.

use sandbox::stripe::{Effect, Fault, Interval, PriceSpec};
use spawnpoint::rpc::proto::{self, CreateCheckoutSessionRequest, ItemType, Term};
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, reason},
    refused::{addon, assert_refused, case, plan},
    till, wait,
};

both_engines!(
    what_cannot_be_sold_is_refused_before_any_money,
    what_stripe_would_charge_otherwise_is_refused,
);

const MINDUSTRY: (&str, &str) = ("ptero_egg_id = 29", "ptero_egg_id = 929");
const BASIC_VPS: (&str, &str) = (
    "vcores = 2\nssd_gb = 40\nis_active = false # no price yet",
    "vcores = 2\nssd_gb = 40\n\
     prices.monthly = { stripe_price_id = \"price_test_vps_basic\", amount = 999 }",
);
const VPS_BACKUP: (&str, &str) = (
    "display_name = \"VPS backup\"\nmanual = true\nis_active = false # no price yet",
    "display_name = \"VPS backup\"\nmanual = true\n\
     prices.monthly = { stripe_price_id = \"price_test_vps_backup\", amount = 99 }",
);
const NO_YEAR: (&str, &str) = (
    "prices.yearly     = { stripe_price_id = \"price_test_mc_4gb_yearly\", amount = 13430 }\n",
    "",
);
const NO_HALF_YEAR: (&str, &str) = (
    "prices.semiannual = { stripe_price_id = \"price_test_extra_port_semiannual\", amount = 1075 }\n",
    "",
);
const SMALL_WEST: (&str, &str) = (
    "region = \"us-west\"\nmax_ram_gb = 64",
    "region = \"us-west\"\nmax_ram_gb = 6",
);

/// Finding 6: the storefront, the seed and the API each had names of their own for the
/// regions, and that no node fits was found out after the payment.
/// Finding 59: a VPS was charged although nothing could ever deliver it.
async fn what_cannot_be_sold_is_refused_before_any_money(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.catalog = till::catalog_with(&[
            MINDUSTRY,
            BASIC_VPS,
            VPS_BACKUP,
            NO_YEAR,
            NO_HALF_YEAR,
            SMALL_WEST,
        ]);
    })
    .await;
    till::wait_warm(&live, &["mindustry-2gb"]).await;
    let region = |region: &str| CreateCheckoutSessionRequest {
        region: region.to_owned(),
        ..plan("mc-2gb")
    };
    let of_type = |plan_id: &str, item_type: ItemType| CreateCheckoutSessionRequest {
        item_type: item_type as i32,
        ..plan(plan_id)
    };
    let term = |cart: CreateCheckoutSessionRequest, term: Term| CreateCheckoutSessionRequest {
        term: term as i32,
        ..cart
    };
    let west = CreateCheckoutSessionRequest {
        region: "us-west".to_owned(),
        ..plan("mc-8gb")
    };
    let (missing, unmet, invalid) = (
        Code::NotFound,
        Code::FailedPrecondition,
        Code::InvalidArgument,
    );
    for case in [
        case(
            plan("mc-3gb"),
            missing,
            "PLAN_NOT_FOUND",
            &[("plan_id", "mc-3gb")],
        ),
        case(
            plan("mc-16gb"),
            unmet,
            "PLAN_INACTIVE",
            &[("plan_id", "mc-16gb")],
        ),
        case(
            of_type("mc-2gb", ItemType::Vps),
            invalid,
            "ITEM_TYPE_MISMATCH",
            &[("plan_id", "mc-2gb"), ("item_type", "game")],
        ),
        case(
            addon("vps-backup"),
            invalid,
            "ITEM_TYPE_MISMATCH",
            &[("addon_id", "vps-backup"), ("plan_id", "mc-2gb")],
        ),
        case(
            term(plan("mc-4gb"), Term::Yearly),
            unmet,
            "TERM_NOT_OFFERED",
            &[("plan_id", "mc-4gb"), ("term", "yearly")],
        ),
        case(
            term(addon("extra-port"), Term::Semiannual),
            unmet,
            "TERM_NOT_OFFERED",
            &[("addon_id", "extra-port"), ("term", "semiannual")],
        ),
        case(
            addon("no-such"),
            missing,
            "ADDON_NOT_FOUND",
            &[("addon_id", "no-such")],
        ),
        // Known, but not sold.
        case(
            addon("backup-daily"),
            missing,
            "ADDON_NOT_FOUND",
            &[("addon_id", "backup-daily")],
        ),
        case(
            region("east"),
            missing,
            "REGION_NOT_FOUND",
            &[("region", "east")],
        ),
        case(
            region("us-central"),
            missing,
            "REGION_NOT_FOUND",
            &[("region", "us-central")],
        ),
        case(
            west,
            unmet,
            "NO_CAPACITY",
            &[("region", "us-west"), ("plan_id", "mc-8gb")],
        ),
        case(
            of_type("vps-basic", ItemType::Vps),
            unmet,
            "NOT_PROVISIONABLE",
            &[("plan_id", "vps-basic")],
        ),
        case(
            plan("mindustry-2gb"),
            unmet,
            "EGG_NOT_FOUND",
            &[
                ("plan_id", "mindustry-2gb"),
                ("game", "mindustry"),
                ("ptero_egg_id", "929"),
            ],
        ),
    ] {
        assert_refused(&live, case).await;
    }
    assert_eq!(live.world.stripe.sessions(), []);
    live.close().await;
}

async fn what_stripe_would_charge_otherwise_is_refused(engine: Engine) {
    let live = Live::open(engine).await;
    till::wait_warm(&live, &["teeworlds-1gb", "terraria-1gb", "rust-3gb"]).await;
    let price = |id: &str, amount| PriceSpec::recurring(id, amount, Interval::Month, 1);
    let inactive = PriceSpec {
        active: false,
        ..price("price_test_teeworlds_1gb_monthly", 249)
    };
    let euro = PriceSpec {
        currency: "eur".to_owned(),
        ..price("price_test_terraria_1gb_monthly", 299)
    };
    let once = PriceSpec {
        interval: None,
        ..price("price_test_terraria_4gb_monthly", 799)
    };
    let stripe = &live.world.stripe;
    stripe.add_price(inactive);
    stripe.add_price(price("price_test_teeworlds_2gb_monthly", 398));
    stripe.add_price(PriceSpec::recurring(
        "price_test_teeworlds_4gb_monthly",
        699,
        Interval::Month,
        3,
    ));
    stripe.add_price(euro);
    stripe.add_price(once);
    stripe.add_price(price("price_test_extra_port_monthly", 0));
    // An operator names a price that Stripe does not have.
    let wrong = till::catalog_with(&[("\"price_test_terraria_2gb_monthly\"", "\"price_gone\"")]);
    spawnpoint::app::catalog::file::apply(&live.store.db, &wrong)
        .await
        .unwrap();

    let unmet = Code::FailedPrecondition;
    for (cart, id) in [
        (plan("teeworlds-1gb"), "price_test_teeworlds_1gb_monthly"),
        (plan("teeworlds-2gb"), "price_test_teeworlds_2gb_monthly"),
        (plan("teeworlds-4gb"), "price_test_teeworlds_4gb_monthly"),
        (plan("terraria-1gb"), "price_test_terraria_1gb_monthly"),
        (plan("terraria-2gb"), "price_gone"),
        (plan("terraria-4gb"), "price_test_terraria_4gb_monthly"),
        (addon("extra-port"), "price_test_extra_port_monthly"),
    ] {
        let names = [("stripe_price_id", id), ("term", "monthly")];
        assert_refused(&live, case(cart, unmet, "STRIPE_PRICE_INVALID", &names)).await;
    }

    // Stripe does not answer: the caller may come back, and nothing was made meanwhile.
    let down = Effect::Status {
        status: 503,
        body: None,
    };
    let fault = stripe.inject(Fault::on("GET", "/v1/prices", down).always());
    let refused = case(
        plan("rust-3gb"),
        Code::Unavailable,
        "STRIPE_UNAVAILABLE",
        &[],
    );
    let status = assert_refused(&live, refused).await;
    assert!(
        status
            .get_details_retry_info()
            .unwrap()
            .retry_delay
            .is_some()
    );
    assert!(stripe.fired(fault) > 0);
    stripe.clear_faults();
    let order = live
        .checkout(plan("rust-3gb"))
        .await
        .unwrap()
        .order
        .unwrap();

    // Believed a moment ago, refused by Stripe now: the order ends and holds nothing.
    stripe.add_price(PriceSpec {
        active: false,
        ..price("price_test_rust_3gb_monthly", 899)
    });
    let status = live.checkout(plan("rust-3gb")).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (unmet, "STRIPE_PRICE_INVALID")
    );
    let info = status.get_details_error_info().unwrap();
    let ended = live
        .wait_order(&info.metadata["order_id"], "the order has ended", |order| {
            order.status() == proto::OrderStatus::Canceled
        })
        .await;
    assert_eq!(ended.error_reason, "STRIPE_PRICE_INVALID");
    wait::until("only the sold one is held", PATIENCE, || async {
        till::rows(&live, "holds").await == 1
    })
    .await;
    assert_eq!(
        live.order(&order.id).await.status(),
        proto::OrderStatus::Pending
    );
    assert_eq!(stripe.sessions().len(), 1);
    // From now on the price is looked up again, before anything is made.
    let names = [("stripe_price_id", "price_test_rust_3gb_monthly")];
    let refused = case(plan("rust-3gb"), unmet, "STRIPE_PRICE_INVALID", &names);
    assert_refused(&live, refused).await;
    live.close().await;
}
