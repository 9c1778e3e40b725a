//! The bodies that we send.
//!
//! Optional fields that we have nothing to say about are left out: the panel
//! answers 422 to an explicit null.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::panel::{Build, Details, Features, Limits, NewServer, NewUser, User};

/// Body of a user's creation, without a password: the panel mails a set-up link.
pub(in crate::panel) fn user_body(user: &NewUser) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Body<'a> {
        external_id: &'a str,
        username: &'a str,
        email: &'a str,
        first_name: &'a str,
        last_name: &'a str,
    }
    let NewUser {
        external_id,
        username,
        email,
        first_name,
        last_name,
    } = user;
    serde_json::to_vec(&Body {
        external_id,
        username,
        email,
        first_name,
        last_name,
    })
}

/// Body that rewrites a user as it was read, with this external id.
///
/// The panel wants every required field again. A name that an old row lacks is
/// filled with the user name, as an empty one would be refused.
pub(in crate::panel) fn user_rewrite_body(
    user: &User,
    external_id: &str,
) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Body<'a> {
        email: &'a str,
        username: &'a str,
        first_name: &'a str,
        last_name: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        language: &'a str,
        external_id: &'a str,
    }
    let name_or_username = |name: &'_ Option<String>| -> String {
        let known = name.as_deref().filter(|name| !name.trim().is_empty());
        known.unwrap_or(&user.username).to_owned()
    };
    serde_json::to_vec(&Body {
        email: &user.email,
        username: &user.username,
        first_name: &name_or_username(&user.first_name),
        last_name: &name_or_username(&user.last_name),
        language: &user.language,
        external_id,
    })
}

/// Body of a server's creation on explicit ports; it starts when it is installed.
pub(in crate::panel) fn server_body(server: &NewServer) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Body<'a> {
        external_id: &'a str,
        name: &'a str,
        user: i64,
        egg: i64,
        docker_image: &'a str,
        startup: &'a str,
        environment: &'a BTreeMap<String, String>,
        limits: Limits,
        feature_limits: Features,
        allocation: Ports<'a>,
        oom_disabled: bool,
        start_on_completion: bool,
    }
    #[derive(Serialize)]
    struct Ports<'a> {
        default: i64,
        #[serde(skip_serializing_if = "<[i64]>::is_empty")]
        additional: &'a [i64],
    }
    serde_json::to_vec(&Body {
        external_id: &server.external_id,
        name: &server.name,
        user: server.user,
        egg: server.egg,
        docker_image: &server.docker_image,
        startup: &server.startup,
        environment: &server.environment,
        limits: server.limits,
        feature_limits: server.features,
        allocation: Ports {
            default: server.allocation,
            additional: &server.additional,
        },
        oom_disabled: server.oom_disabled,
        start_on_completion: true,
    })
}

/// Body that gives a server its limits, and leaves its ports and all else as they are.
pub(in crate::panel) fn build_body(build: &Build) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Body {
        allocation: i64,
        limits: Limits,
        feature_limits: Features,
    }
    serde_json::to_vec(&Body {
        allocation: build.allocation,
        limits: build.limits,
        feature_limits: build.features,
    })
}

/// Body of a server's details, none of them ever left out: the panel would clear it.
pub(in crate::panel) fn details_body(details: &Details) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Body<'a> {
        name: &'a str,
        user: i64,
        external_id: &'a str,
        description: &'a str,
    }
    let Details {
        name,
        user,
        external_id,
        description,
    } = details;
    serde_json::to_vec(&Body {
        name,
        user: *user,
        external_id,
        description,
    })
}
