//! Queries of `sweeps`: one replica at a time runs a sweep, by lease.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect, UpdateMany,
    sea_query::{Expr, OnConflict},
};

use super::{Db, Error, Tx, entity::sweeps};

/// Whether a sweep's turn was had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It was, and goes on at this cursor.
    Taken(String),
    /// It is not due, or somebody else's.
    NotYet {
        /// In how many microseconds it is due, as far as is known.
        due_in_us: Option<i64>,
    },
}

/// Takes a sweep's turn if its period has passed since its last run and nobody else has
/// it. An owner takes its turns one after the other: what it still has is a turn whose end
/// could not be stored. A look that comes too early only reads. Without a period it is always
/// time; and where the clock was set back, its last run lies in the future and says nothing.
pub async fn take(
    db: &Db,
    name: &str,
    owner: &str,
    period_us: i64,
    lease_us: i64,
    now_us: i64,
) -> Result<Turn, Error> {
    match sweeps::Entity::find_by_id(name).one(db.read()).await? {
        None => insert(db.write(), name).await?,
        Some(row) => {
            let mine = row.lease_owner.as_deref() == Some(owner);
            if !mine && row.lease_until_us > now_us {
                return Ok(Turn::NotYet { due_in_us: None });
            }
            let ran_us = row
                .last_run_us
                .filter(|last_us| period_us > 0 && *last_us <= now_us + lease_us);
            let due_us = ran_us.map_or(now_us, |last_us| last_us + period_us);
            if due_us > now_us {
                let due_in_us = Some(due_us - now_us);
                return Ok(Turn::NotYet { due_in_us });
            }
        }
    }
    let idle = Condition::all()
        .add(
            Condition::any()
                .add(sweeps::Column::LeaseUntilUs.lte(now_us))
                .add(sweeps::Column::LeaseOwner.eq(owner)),
        )
        .add_option((period_us > 0).then(|| {
            Condition::any()
                .add(sweeps::Column::LastRunUs.is_null())
                .add(sweeps::Column::LastRunUs.lte(now_us - period_us))
                .add(sweeps::Column::LastRunUs.gt(now_us + lease_us))
        }));
    let taken = sweeps::Entity::update_many()
        .col_expr(sweeps::Column::LeaseOwner, Expr::value(owner))
        .col_expr(sweeps::Column::LeaseUntilUs, Expr::value(now_us + lease_us))
        .filter(sweeps::Column::Name.eq(name))
        .filter(idle)
        .exec_with_returning(db.write())
        .await?;
    let taken = taken.into_iter().next();
    Ok(taken.map_or(Turn::NotYet { due_in_us: None }, |row| {
        Turn::Taken(row.cursor)
    }))
}

/// A sweep that never had a turn.
async fn insert(connection: &impl ConnectionTrait, name: &str) -> Result<(), Error> {
    let fresh = sweeps::Model {
        name: name.to_owned(),
        cursor: String::new(),
        lease_owner: None,
        lease_until_us: 0,
        last_run_us: None,
        duration_ms: 0,
        finds: 0,
        guard: String::new(),
    };
    sweeps::Entity::insert(fresh.into_active_model().reset_all())
        .on_conflict(
            OnConflict::column(sweeps::Column::Name)
                .do_nothing()
                .to_owned(),
        )
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

/// A sweep as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// When its last run began.
    pub last_run_us: Option<i64>,
    /// How long that took.
    pub duration_ms: i64,
    /// What that found to do.
    pub finds: i32,
    /// Why it is held, if it is.
    pub guard: String,
    /// Where the next run goes on.
    pub cursor: String,
}

/// Every sweep that ever had a turn, by name.
pub async fn list(connection: &impl ConnectionTrait) -> Result<Vec<Shown>, Error> {
    let rows = sweeps::Entity::find()
        .order_by_asc(sweeps::Column::Name)
        .all(connection)
        .await?;
    Ok(rows.into_iter().map(shown).collect())
}

fn shown(row: sweeps::Model) -> Shown {
    Shown {
        name: row.name,
        last_run_us: row.last_run_us,
        duration_ms: row.duration_ms,
        finds: row.finds,
        guard: row.guard,
        cursor: row.cursor,
    }
}

/// Whether a sweep is held. Only a hint: under [`lock`] it is certain.
pub async fn is_held(connection: &impl ConnectionTrait, name: &str) -> Result<bool, Error> {
    let row = sweeps::Entity::find_by_id(name).one(connection).await?;
    Ok(row.is_some_and(|row| !row.guard.is_empty()))
}

/// Locks a sweep that ever had a turn: whoever asks its guard, or releases it, does so one after
/// the other. Taken behind orders, never before one.
pub async fn lock(tx: &Tx, name: &str) -> Result<Option<Shown>, Error> {
    let row = sweeps::Entity::find_by_id(name)
        .lock_exclusive()
        .one(&**tx)
        .await?;
    Ok(row.map(shown))
}

/// As [`lock`], and makes it where it never had one.
pub(super) async fn lock_made(tx: &Tx, name: &str) -> Result<Shown, Error> {
    if let Some(shown) = lock(tx, name).await? {
        return Ok(shown);
    }
    insert(&**tx, name).await?;
    let made = lock(tx, name).await?;
    made.ok_or_else(|| Error::Corrupt(format!("sweep {name} vanished")))
}

/// Stores why a sweep is held; empty: it is not. Call it under [`lock`].
pub(super) async fn set_guard(tx: &Tx, name: &str, guard: &str) -> Result<(), Error> {
    sweeps::Entity::update_many()
        .col_expr(sweeps::Column::Guard, Expr::value(guard))
        .filter(sweeps::Column::Name.eq(name))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Has the next run go on there, whatever one that is under way stores. Call it under [`lock`].
pub async fn set_cursor(tx: &Tx, name: &str, cursor: &str) -> Result<(), Error> {
    sweeps::Entity::update_many()
        .col_expr(sweeps::Column::Cursor, Expr::value(cursor))
        .filter(sweeps::Column::Name.eq(name))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// How a run of a sweep ended.
#[derive(Clone, Debug)]
pub struct Run {
    /// When it began.
    pub began_us: i64,
    /// How long it took.
    pub duration_ms: i64,
    /// What it found to do.
    pub finds: i32,
    /// Where it went on, and where the next one does; what was stored meanwhile stays.
    pub cursors: (String, String),
}

/// Prolongs a turn, if it is the owner's still.
pub async fn renew(db: &Db, name: &str, owner: &str, until_us: i64) -> Result<(), Error> {
    sweeps::Entity::update_many()
        .col_expr(sweeps::Column::LeaseUntilUs, Expr::value(until_us))
        .filter(sweeps::Column::Name.eq(name))
        .filter(sweeps::Column::LeaseOwner.eq(owner))
        .exec(db.write())
        .await?;
    Ok(())
}

/// Ends a turn.
pub async fn finish(db: &Db, name: &str, owner: &str, run: &Run) -> Result<(), Error> {
    ending(name, owner, run)
        .col_expr(sweeps::Column::LastRunUs, Expr::value(run.began_us))
        .exec(db.write())
        .await?;
    Ok(())
}

/// Ends a turn that has left something to the next one. Only where a look came to its end its sweep
/// has run: so it stays due, and whoever comes first goes on with it.
pub async fn break_off(db: &Db, name: &str, owner: &str, run: &Run) -> Result<(), Error> {
    ending(name, owner, run).exec(db.write()).await?;
    Ok(())
}

fn ending(name: &str, owner: &str, run: &Run) -> UpdateMany<sweeps::Entity> {
    let (before, after) = &run.cursors;
    let cursor = Expr::case(sweeps::Column::Cursor.eq(before), after.as_str())
        .finally(Expr::col(sweeps::Column::Cursor));
    sweeps::Entity::update_many()
        .col_expr(sweeps::Column::LeaseOwner, Expr::value(None::<String>))
        .col_expr(sweeps::Column::LeaseUntilUs, Expr::value(0_i64))
        .col_expr(sweeps::Column::DurationMs, Expr::value(run.duration_ms))
        .col_expr(sweeps::Column::Finds, Expr::value(run.finds))
        .col_expr(sweeps::Column::Cursor, cursor.into())
        .filter(sweeps::Column::Name.eq(name))
        .filter(sweeps::Column::LeaseOwner.eq(owner))
}

/// Frees every lease. Only for SQLite at start-up: its one process has just begun.
pub async fn clear_all(db: &Db) -> Result<(), Error> {
    sweeps::Entity::update_many()
        .col_expr(sweeps::Column::LeaseOwner, Expr::value(None::<String>))
        .col_expr(sweeps::Column::LeaseUntilUs, Expr::value(0_i64))
        .filter(sweeps::Column::LeaseUntilUs.gt(0))
        .exec(db.write())
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::db::testing::{self, TestDb};

    const PERIOD_US: i64 = 60_000_000;
    const LEASE_US: i64 = 30_000_000;
    const NOW_US: i64 = 1_000_000_000_000;

    async fn takes(db: &TestDb, period_us: i64, now_us: i64) -> bool {
        let turn = take(db, "sweep", "me", period_us, LEASE_US, now_us).await;
        matches!(turn.unwrap(), Turn::Taken(_))
    }

    async fn ran(db: &TestDb, began_us: i64) {
        let run = Run {
            began_us,
            duration_ms: 1,
            finds: 0,
            cursors: (String::new(), String::new()),
        };
        finish(db, "sweep", "me", &run).await.unwrap();
    }

    #[tokio::test]
    async fn a_clock_that_was_set_back_holds_up_no_sweep() {
        let db = testing::open().await;
        assert!(takes(&db, PERIOD_US, NOW_US).await);
        ran(&db, NOW_US).await;
        assert!(!takes(&db, PERIOD_US, NOW_US + PERIOD_US - 1).await);
        // Two replicas' clocks differ by less than a lease.
        assert!(!takes(&db, PERIOD_US, NOW_US - LEASE_US).await);
        let hour_us = 3_600_000_000;
        assert!(takes(&db, PERIOD_US, NOW_US - hour_us).await);
        ran(&db, NOW_US - hour_us).await;
        assert!(!takes(&db, PERIOD_US, NOW_US - hour_us + 1).await);
    }

    /// Whoever of these gets the turn, all asking at the same time.
    async fn takers(db: &TestDb, owners: &[&str], now_us: i64) -> Vec<String> {
        let takes = owners.iter().map(|owner| async move {
            let turn = take(db, "sweep", owner, PERIOD_US, LEASE_US, now_us).await;
            matches!(turn.unwrap(), Turn::Taken(_)).then(|| (*owner).to_owned())
        });
        join_all(takes).await.into_iter().flatten().collect()
    }

    #[tokio::test]
    async fn a_turn_that_left_something_makes_the_next_one_due_for_anybody() {
        let db = testing::open().await;
        let run = |began_us, cursor: &str| Run {
            began_us,
            duration_ms: 1,
            finds: 2,
            cursors: (String::new(), cursor.to_owned()),
        };
        for began_us in [NOW_US, NOW_US + 2 * PERIOD_US] {
            assert_eq!(takers(&db, &["one", "two"], began_us).await.len(), 1);
            for owner in ["one", "two"] {
                let run = run(began_us, "here");
                break_off(&db, "sweep", owner, &run).await.unwrap();
            }
            let next = take(&db, "sweep", "three", PERIOD_US, LEASE_US, began_us + 1).await;
            assert_eq!(next.unwrap(), Turn::Taken("here".to_owned()));
            assert!(takers(&db, &["one", "two"], began_us + 1).await.is_empty());
            let through = run(began_us + 1, "");
            finish(&db, "sweep", "three", &through).await.unwrap();
            assert!(takers(&db, &["one", "two"], began_us + 2).await.is_empty());
        }
    }

    #[tokio::test]
    async fn without_a_period_it_is_always_time() {
        let db = testing::open().await;
        for now_us in [NOW_US, NOW_US - 1, NOW_US - LEASE_US / 2] {
            assert!(takes(&db, 0, now_us).await);
            ran(&db, NOW_US).await;
        }
    }
}
