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
    /// Since when Stripe is to have what was changed here, while it has not.
    pub stripe_follow_us: Option<i64>,
    /// Why it never will, if it refused that.
    pub stripe_problem: Option<Problem>,
    /// As `stripe_follow_us`, of a panel account that we made.
    pub panel_follow_us: Option<i64>,
    /// As `stripe_problem`, and why an account that was to be deleted was left.
    pub panel_problem: Option<Problem>,
    /// The panel account that is being deleted: until it is gone the user gets no other one.
    pub panel_leaving_id: Option<i64>,
    /// When it was deleted: it says nothing of who the user is.
    pub deleted_us: Option<i64>,
}

words! {
    /// Why somebody does not follow a profile.
    Problem {
        /// It refuses the data.
        Refused = "REFUSED",
        /// It has no such customer or account.
        Missing = "MISSING",
        /// Another account bears the user's id.
        Foreign = "FOREIGN",
        /// The account is an administrator's by now, and is left alone.
        Administrator = "ADMINISTRATOR",
        /// The account owns servers that are not ours, and stays with them.
        HasServers = "HAS_SERVERS",
    }
}

words! {
    /// What of a profile can be changed.
    ProfileField {
        /// See [`Profile::email`].
        Email = "email",
        /// See [`Profile::email_verified`].
        EmailVerified = "email_verified",
        /// See [`Profile::first_name`].
        FirstName = "first_name",
        /// See [`Profile::last_name`].
        LastName = "last_name",
    }
}

/// A change of a profile; what is not named stays.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Another address.
    pub email: Option<String>,
    /// Whether the identity provider has verified it.
    pub email_verified: Option<bool>,
    /// May be empty.
    pub first_name: Option<String>,
    /// May be empty.
    pub last_name: Option<String>,
}

impl Profile {
    /// The profile with a change. Another address is not verified unless somebody says so.
    pub fn with(&self, changes: &Changes) -> Self {
        let mut with = self.clone();
        if let Some(email) = changes.email.as_ref().filter(|email| **email != self.email) {
            with.email.clone_from(email);
            with.email_verified = false;
        }
        with.email_verified = changes.email_verified.unwrap_or(with.email_verified);
        for (name, changed) in [
            (&mut with.first_name, &changes.first_name),
            (&mut with.last_name, &changes.last_name),
        ] {
            if let Some(changed) = changed {
                name.clone_from(changed);
            }
        }
        with
    }

    /// What Stripe and the panel know of a user, compared.
    pub fn is_told_as(&self, other: &Self) -> bool {
        let told = |profile: &Self| {
            let Self {
                email,
                first_name,
                last_name,
                ..
            } = profile.clone();
            (email, first_name, last_name)
        };
        told(self) == told(other)
    }
}

/// Both names in one line; empty where there is none.
pub fn full_name(first_name: &str, last_name: &str) -> String {
    format!("{first_name} {last_name}").trim().to_owned()
}

/// The panel's longest name.
const PANEL_NAME_CHARS: usize = 191;

/// The names of a user as the panel has them: it wants both, the shop does not.
pub fn panel_names(profile: &Profile) -> (String, String) {
    let or = |name: &str, fallback: &str| {
        let name: String = name.trim().chars().take(PANEL_NAME_CHARS).collect();
        if name.is_empty() {
            fallback.to_owned()
        } else {
            name
        }
    };
    (
        or(&profile.first_name, "Player"),
        or(&profile.last_name, "One"),
    )
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
pub(crate) mod tests {
    use super::*;

    pub(crate) fn profile() -> Profile {
        Profile {
            user_id: UserId(uuid::Uuid::from_u128(1)),
            email: "a@x.example".to_owned(),
            email_verified: true,
            first_name: "Al".to_owned(),
            last_name: String::new(),
            stripe_customer_id: None,
            created_us: 1,
            updated_us: 1,
            stripe_follow_us: None,
            stripe_problem: None,
            panel_follow_us: None,
            panel_problem: None,
            panel_leaving_id: None,
            deleted_us: None,
        }
    }

    #[test]
    fn another_address_is_not_verified_unless_somebody_says_so() {
        let told = |email: &str, email_verified| Changes {
            email: Some(email.to_owned()),
            email_verified,
            ..Changes::default()
        };
        for (email, said, verified) in [
            ("b@x.example", None, false),
            ("b@x.example", Some(true), true),
            ("a@x.example", None, true),
            ("a@x.example", Some(false), false),
        ] {
            let changed = profile().with(&told(email, said));
            assert_eq!(
                (changed.email.as_str(), changed.email_verified),
                (email, verified)
            );
            assert_eq!(changed.first_name, "Al", "what is not named stays");
            assert_eq!(changed.is_told_as(&profile()), email == "a@x.example");
        }
    }

    #[test]
    fn names_are_what_each_side_takes() {
        assert_eq!(full_name("Al", ""), "Al");
        assert_eq!(full_name(" ", ""), "");
        assert_eq!(panel_names(&profile()), ("Al".to_owned(), "One".to_owned()));
        let long = Profile {
            first_name: "x".repeat(300),
            ..profile()
        };
        assert_eq!(panel_names(&long).0.len(), PANEL_NAME_CHARS);
    }

    #[test]
    fn a_username_is_the_id_and_obeys_the_panels_rule() {
        let name = panel_username(UserId(uuid::Uuid::from_u128(0x0192)));
        assert_eq!(name, "00000000000000000000000000000192");
        assert!(name.len() >= 3 && name.bytes().all(|b| b.is_ascii_hexdigit()));
    }
}
