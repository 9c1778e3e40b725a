//! The ledger itself: what many write at once is there once, and sums are of one currency.

use spawnpoint::{
    db::{
        Db, Error,
        affiliates::{self, commissions, referrals},
    },
    domain::{
        OrderId, UserId,
        affiliate::{Affiliate, Referral, Terms},
        catalog::Money,
    },
};

use super::*;
use crate::support::{
    db::TestDb,
    shop::{self, Shop},
};

both_engines!(
    many_replicas_write_one_row,
    amounts_of_two_currencies_are_not_added_up,
    sums_follow_many_orders_at_once,
);

const TERMS: Terms = Terms {
    percent: 10,
    months: 12,
    refund_us: 0,
};

fn found(invoice_id: &str, amount_minor: i64, currency: &str) -> commissions::Found {
    commissions::Found {
        invoice_id: invoice_id.to_owned(),
        amount: Money {
            amount_minor,
            currency: currency.to_owned(),
        },
    }
}

/// An affiliate who has brought these orders.
async fn referred(db: &Db, orders: &[OrderId]) -> (UserId, Vec<Referral>) {
    db.tx(|tx| async move {
        let user = shop::user(&tx, 1).await?;
        assert!(affiliates::insert(&tx, user, "friend").await?);
        let mut all = Vec::new();
        for id in orders {
            referrals::insert(&tx, *id, user, &TERMS, 1).await?;
            all.extend(referrals::find(&*tx, *id).await?);
        }
        Ok::<_, Error>((user, all))
    })
    .await
    .unwrap()
}

async fn affiliate_of(db: &Db, user: UserId) -> Affiliate {
    affiliates::find(db.read(), user).await.unwrap().unwrap()
}

async fn insert(db: &Db, referral: &Referral, rows: &[commissions::Found]) -> u64 {
    let inserted = db.tx(|tx| async move {
        let inserted = commissions::insert(&tx, referral, rows, 1, 2).await?;
        Ok::<_, Error>(inserted)
    });
    inserted.await.unwrap()
}

async fn earn(db: &Db, referral: &Referral, invoice_ids: &[String]) -> u64 {
    let earned = db.tx(|tx| async move {
        let earned = commissions::earn(&tx, referral, invoice_ids, 2).await?;
        Ok::<_, Error>(earned)
    });
    earned.await.unwrap()
}

/// Without the order's lock, which keeps them apart otherwise.
async fn many_replicas_write_one_row(engine: Engine) {
    let test = TestDb::new(engine).await;
    let replica = test.replica().await;
    let shop = Shop::open(&test.db).await;
    let (user, all) = referred(&test.db, &[shop.order().await]).await;
    let (referral, rows) = (&all[0], [found("in_1", 69, "usd")]);
    let dbs = [&test.db, &replica].into_iter().cycle().take(8);
    let new: u64 = join_all(dbs.clone().map(|db| insert(db, referral, &rows)))
        .await
        .iter()
        .sum();
    assert_eq!(new, 1);
    let ids = ["in_1".to_owned()];
    let earned: u64 = join_all(dbs.map(|db| earn(db, referral, &ids)))
        .await
        .iter()
        .sum();
    assert_eq!(earned, 1);
    assert_eq!(affiliate_of(&test.db, user).await.credits_minor, 69);
    let count = "SELECT count(*) FROM affiliate_commissions";
    assert_eq!(sql::count(&test.db, count).await, 1);
}

async fn amounts_of_two_currencies_are_not_added_up(engine: Engine) {
    let test = TestDb::new(engine).await;
    let shop = Shop::open(&test.db).await;
    let (user, all) = referred(&test.db, &[shop.order().await]).await;
    let rows = [found("in_1", 69, "eur"), found("in_2", 1000, "jpy")];
    assert_eq!(insert(&test.db, &all[0], &rows).await, 2);
    let ids = ["in_1", "in_2"].map(str::to_owned);
    assert_eq!(earn(&test.db, &all[0], &ids).await, 2);
    assert_eq!(affiliate_of(&test.db, user).await.credits_minor, 69);
    let listed = commissions::list(test.db.read(), user, None, 9)
        .await
        .unwrap();
    let amounts: Vec<i64> = listed.iter().map(|one| one.amount.amount_minor).collect();
    assert_eq!(amounts, [1000, 69], "both are shown");
}

/// Finding 36: affiliates wrote their own credits. Here those are the sum of rows that no call
/// writes.
/// Each in a transaction of its own; and taken back as one, or one by one.
async fn sums_follow_many_orders_at_once(engine: Engine) {
    const ORDERS: usize = 6;
    let test = TestDb::new(engine).await;
    let replica = test.replica().await;
    let shop = Shop::open(&test.db).await;
    let orders = shop.orders(ORDERS, i64::MAX).await;
    let (user, all) = referred(&test.db, &orders).await;
    assert_eq!(affiliate_of(&test.db, user).await.signups, 6);
    let dbs = [&test.db, &replica].into_iter().cycle();
    let written = all.iter().zip(dbs).map(|(referral, db)| async move {
        let ids = ["a", "b"].map(|letter| format!("in_{letter}_{}", referral.order_id));
        let rows = [found(&ids[0], 10, "usd"), found(&ids[1], 1, "usd")];
        insert(db, referral, &rows).await;
        assert_eq!(earn(db, referral, &ids).await, 2);
    });
    join_all(written).await;
    assert_eq!(affiliate_of(&test.db, user).await.credits_minor, 66);

    let (one, other) = (orders[0], orders[1]);
    let invoice = &format!("in_b_{other}");
    let reversed = test.db.tx(|tx| async move {
        let all = affiliates::reverse(&tx, one, None).await?;
        let again = affiliates::reverse(&tx, one, None).await?;
        let single = affiliates::reverse(&tx, other, Some(invoice)).await?;
        Ok::<_, Error>((all, again, single))
    });
    assert_eq!(reversed.await.unwrap(), (2, 0, 1));
    assert_eq!(
        affiliate_of(&test.db, user).await.credits_minor,
        66 - 11 - 1
    );
    // What is reversed stays so.
    let referral = &all[0];
    assert_eq!(earn(&test.db, referral, &[format!("in_a_{one}")]).await, 0);
    assert_eq!(
        insert(
            &test.db,
            referral,
            &[found(&format!("in_a_{one}"), 10, "usd")]
        )
        .await,
        0
    );
    assert_eq!(affiliate_of(&test.db, user).await.credits_minor, 54);
}
