//! Schema of Spawnpoint, step by step, for SQLite and PostgreSQL.
//!
//! A step is SQL text with placeholders for the few types whose names differ
//! between the engines, because CHECKs and partial indexes matter more here
//! than a builder's portability. Released steps are never edited: a later one
//! expands, backfills, then contracts.

pub use sea_orm_migration::{MigrationTrait, MigratorTrait, prelude::DbErr};

mod ddl;
mod m20261122_000001_catalog;
mod m20261122_000002_customers;
mod m20261122_000003_nodes;
mod m20261122_000004_orders;
mod m20261122_000005_servers;
mod m20261122_000006_ledger;
mod m20261128_000007_failing;
mod m20261129_000008_suspension;
mod m20261129_000009_endings;
mod m20261129_000010_refunds;
mod m20261129_000011_plan_changes;
mod m20261129_000012_reinstalls;
mod m20261129_000013_disputes;
mod m20261129_000014_profiles;
mod m20261129_000015_affiliates;
mod m20261129_000016_guards;
mod m20261129_000017_lenience;
mod m20261129_000018_missing;
mod m20261130_000019_forced;
mod m20261130_000020_standing;

/// All steps, oldest first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_catalog::Step),
            Box::new(m20261122_000002_customers::Step),
            Box::new(m20261122_000003_nodes::Step),
            Box::new(m20261122_000004_orders::Step),
            Box::new(m20261122_000005_servers::Step),
            Box::new(m20261122_000006_ledger::Step),
            Box::new(m20261128_000007_failing::Step),
            Box::new(m20261129_000008_suspension::Step),
            Box::new(m20261129_000009_endings::Step),
            Box::new(m20261129_000010_refunds::Step),
            Box::new(m20261129_000011_plan_changes::Step),
            Box::new(m20261129_000012_reinstalls::Step),
            Box::new(m20261129_000013_disputes::Step),
            Box::new(m20261129_000014_profiles::Step),
            Box::new(m20261129_000015_affiliates::Step),
            Box::new(m20261129_000016_guards::Step),
            Box::new(m20261129_000017_lenience::Step),
            Box::new(m20261129_000018_missing::Step),
            Box::new(m20261130_000019_forced::Step),
            Box::new(m20261130_000020_standing::Step),
        ]
    }
}
