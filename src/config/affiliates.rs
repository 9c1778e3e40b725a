//! `AFFILIATE_*`: what affiliates are promised.

use super::reader::Reader;

/// What affiliates are promised. A promise holds for the orders whose first payment is confirmed
/// while it is made.
#[derive(Clone, Debug)]
pub struct Affiliates {
    /// Of each paid invoice without its tax; 0 is off: codes, visits and sign-ups are counted, and
    /// nothing is earned.
    pub percent: u32,
    /// Months from an order's first payment in which its invoices earn.
    pub months: u32,
    /// Days that a commission waits, in case that its payment goes back.
    pub refund_days: u32,
}

impl Default for Affiliates {
    fn default() -> Self {
        Self {
            percent: 0,
            months: 12,
            refund_days: 14,
        }
    }
}

impl Affiliates {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let defaults = Self::default();
        Self {
            percent: reader.number("AFFILIATE_PERCENT", defaults.percent, 0..=100),
            months: reader.number("AFFILIATE_MONTHS", defaults.months, 1..=1200),
            refund_days: reader.number("AFFILIATE_REFUND_DAYS", defaults.refund_days, 0..=365),
        }
    }
}
