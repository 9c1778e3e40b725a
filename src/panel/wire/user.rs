//! Users, as the panel writes them.

use serde::Deserialize;

use super::{Flaw, Resource, lenient};
use crate::panel::User;

#[derive(Deserialize)]
pub(in crate::panel) struct UserAttributes {
    #[serde(deserialize_with = "lenient::int")]
    id: i64,
    #[serde(default)]
    external_id: Option<String>,
    username: String,
    email: String,
    #[serde(default)]
    first_name: Option<String>,
    #[serde(default)]
    last_name: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    language: String,
    #[serde(deserialize_with = "lenient::flag")]
    root_admin: bool,
}

impl Resource for User {
    const OBJECT: &'static str = "user";
    type Attributes = UserAttributes;

    fn id(&self) -> i64 {
        self.id
    }

    fn take(user: UserAttributes) -> Result<Self, Flaw> {
        let UserAttributes {
            id,
            external_id,
            username,
            email,
            first_name,
            last_name,
            language,
            root_admin,
        } = user;
        Ok(Self {
            id,
            external_id,
            username,
            email,
            first_name,
            last_name,
            language,
            root_admin,
        })
    }
}
