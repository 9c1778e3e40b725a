//! Affiliates: their codes, whom they may not refer, and what a paid invoice earns them.
//!
//! Amounts are minor units and rounded down. What an affiliate is promised is fixed for an order
//! when its first payment is confirmed: a later change of the shop's mind is for later orders.

use time::{Date, Month, OffsetDateTime};

use super::{DAY_US, OrderId, SECOND_US, UserId, catalog::Money, profile::Profile, words::words};

words! {
    /// Where a commission stands.
    CommissionState {
        /// The payment may still go back.
        Pending = "pending",
        /// It counts.
        Earned = "earned",
        /// The payment went back.
        Reversed = "reversed",
    }
}

/// Characters of a code.
const CODE_CHARS: std::ops::RangeInclusive<usize> = 3..=32;
/// Completes "the code".
pub const CODE_PROBLEM: &str = "must be 3 to 32 letters, digits or dashes";
/// No letters that are taken for others.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// What the shop's owner promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Of what was paid without tax; none is paid at 0.
    pub percent: i32,
    /// For how long after an order's first payment.
    pub months: i32,
    /// How long a commission waits, in case that its payment goes back.
    pub refund_us: i64,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            percent: 0,
            months: 12,
            refund_us: 14 * DAY_US,
        }
    }
}

/// A user who sends customers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affiliate {
    /// Who.
    pub user_id: UserId,
    /// In lower case.
    pub code: String,
    /// Visits.
    pub clicks: i32,
    /// Orders that were paid.
    pub signups: i32,
    /// Earned commissions of one currency, minor units.
    pub credits_minor: i64,
}

/// No code that anybody chooses or names begins so.
pub const ERASED: char = '~';

impl Affiliate {
    /// Whether its code was erased with its user.
    pub fn is_erased(&self) -> bool {
        self.code.starts_with(ERASED)
    }
}

/// What an affiliate gets for one paid invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commission {
    /// Its place in lists.
    pub id: i64,
    /// The order.
    pub order_id: OrderId,
    /// `in_...`.
    pub invoice_id: String,
    /// How much.
    pub amount: Money,
    /// Whether it counts.
    pub state: CommissionState,
    /// When the invoice was first seen.
    pub seen_us: i64,
    /// From when on it counts, unless the payment went back.
    pub earns_us: i64,
}

/// An order whose customer an affiliate sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referral {
    /// The order.
    pub order_id: OrderId,
    /// Who sent its customer.
    pub affiliate: UserId,
    /// When its first payment was confirmed.
    pub referred_us: i64,
    /// What was promised then.
    pub percent: i32,
    /// And for how long.
    pub months: i32,
    /// When our last read of its billing was.
    pub heard_us: i64,
    /// Which of these reads its invoices were looked at after.
    pub looked_us: Option<i64>,
}

impl Referral {
    /// Something was read of it that its invoices were not looked at after.
    pub fn has_news(&self) -> bool {
        self.looked_us
            .is_none_or(|looked_us| looked_us < self.heard_us)
    }
}

/// A code in the form that is stored and compared, if it is one.
pub fn code(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let sound = CODE_CHARS.contains(&text.len()) && text.bytes().all(plain);
    sound.then(|| text.to_ascii_lowercase())
}

/// A code that nobody chose.
pub fn generated(random: [u8; 10]) -> String {
    let letter = |byte: u8| char::from(ALPHABET[usize::from(byte % 32)]);
    random.into_iter().map(letter).collect()
}

/// Whether a buyer uses a code of their own: the same user, or another one with the same address.
pub fn refers_self(buyer: &Profile, affiliate: &Profile) -> bool {
    let address = |profile: &Profile| profile.email.trim().to_lowercase();
    // One that was deleted has no address.
    let same = !affiliate.email.is_empty() && address(buyer) == address(affiliate);
    buyer.user_id == affiliate.user_id || same
}

/// What was really paid of an invoice, without the tax in it: credits and balances pay a part of
/// the tax too.
pub fn paid_without_tax(paid_minor: i64, total_minor: i64, untaxed_minor: i64) -> i64 {
    if paid_minor <= 0 || total_minor <= 0 || untaxed_minor <= 0 {
        return 0;
    }
    let untaxed = untaxed_minor.min(total_minor);
    part(paid_minor.min(total_minor), untaxed, total_minor)
}

/// The commission for an amount.
pub fn commission(base_minor: i64, percent: i32) -> i64 {
    part(base_minor.max(0), i64::from(percent.clamp(0, 100)), 100)
}

/// `whole * of / over`, rounded down; `of` is no more than `over`, and none is below zero.
fn part(whole: i64, of: i64, over: i64) -> i64 {
    let exact = i128::from(whole) * i128::from(of) / i128::from(over);
    i64::try_from(exact).unwrap_or(i64::MAX)
}

/// When so many months are over: as Stripe counts periods, a day that a month does not have is its
/// last one.
pub fn months_after(start_us: i64, months: i32) -> i64 {
    let later = || {
        let seconds = start_us.div_euclid(SECOND_US);
        let start = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
        let index = start.year() * 12 + i32::from(u8::from(start.month())) - 1 + months;
        let month = u8::try_from(index.rem_euclid(12) + 1).ok()?;
        let (year, month) = (index.div_euclid(12), Month::try_from(month).ok()?);
        let day = start.day().min(month.length(year));
        let date = Date::from_calendar_date(year, month, day).ok()?;
        let end_us = start.replace_date(date).unix_timestamp() * SECOND_US;
        Some(end_us + start_us.rem_euclid(SECOND_US))
    };
    later().unwrap_or(i64::MAX)
}

/// When a referral's invoices are looked at next, if ever: at the time of the next commission, and
/// each day while something may come, because the events that tell of it may be lost.
pub fn next_look(now_us: i64, lives: bool, next_earns_us: Option<i64>) -> Option<i64> {
    let tomorrow_us = now_us + DAY_US;
    match next_earns_us {
        // What should have been earned by now waits for something.
        Some(earns_us) if earns_us > now_us => Some(earns_us.min(tomorrow_us)),
        Some(_) => Some(tomorrow_us),
        None => lives.then_some(tomorrow_us),
    }
}

#[cfg(test)]
mod tests;
