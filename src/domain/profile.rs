//! Customers, and the panel accounts that their servers belong to.

use super::{UserId, words::words};

/// A customer as checkout knows them.
#[derive(Clone, PartialEq, Eq)]
pub struct Profile {
    /// The identity provider's id.
    pub user_id: UserId,
    /// E-mail address.
    pub email: String,
    /// Whether the identity provider has verified it.
    pub email_verified: bool,
    /// May be empty.
    pub first_name: String,
    /// May be empty.
    pub last_name: String,
    /// `cus_...`.
    pub stripe_customer_id: Option<String>,
    /// When it was made.
    pub created_us: i64,
    /// When it last changed.
    pub updated_us: i64,
}

// Personal data stays out of logs.
impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile")
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

words! {
    /// How we came to a panel account.
    Origin {
        /// We made it.
        Created = "created",
        /// An operator named it.
        Linked = "linked",
        /// It was there, with the customer's verified e-mail address.
        Adopted = "adopted",
    }
}

/// The panel account of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Whose it is.
    pub user_id: UserId,
    /// The panel's id.
    pub panel_id: i64,
    /// Login name on the panel.
    pub username: String,
    /// How we came to it.
    pub origin: Origin,
    /// When it was last compared with the panel.
    pub synced_us: i64,
}

/// The panel username of a user: from the id alone, so that two Johns never
/// collide and a repeated create meets its own unique key. 32 hexadecimal digits
/// satisfy the panel's rule (a-z, 0-9, at least 3).
pub fn panel_username(user_id: UserId) -> String {
    user_id.0.as_simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_is_the_id_and_obeys_the_panels_rule() {
        let name = panel_username(UserId(uuid::Uuid::from_u128(0x0192)));
        assert_eq!(name, "00000000000000000000000000000192");
        assert!(name.len() >= 3 && name.bytes().all(|b| b.is_ascii_hexdigit()));
    }
}
