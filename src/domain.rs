//! The rules of the shop: pure and synchronous.
//!
//! Nothing here knows of gRPC, SQL, HTTP or a clock. Times are microseconds
//! since the Unix epoch, handed in by the caller; sizes carry their unit in
//! their name.

pub mod affiliate;
pub mod catalog;
pub mod dispute;
pub mod egg;
pub mod entitlement;
pub mod error;
pub mod guard;
pub mod ids;
pub mod lenience;
pub mod listed;
pub mod node;
pub mod order;
pub mod placement;
pub mod plan_change;
pub mod port;
pub mod profile;
pub mod refund;
pub mod step;
pub(crate) mod words;

pub use error::{Error, Violation};
pub use ids::{OrderId, UserId};
pub use listed::Listed;

/// One second in the unit of every stored time.
pub const SECOND_US: i64 = 1_000_000;
/// One minute in the unit of every stored time.
pub const MINUTE_US: i64 = 60 * SECOND_US;
/// One day in the unit of every stored time.
pub const DAY_US: i64 = 24 * 60 * MINUTE_US;
