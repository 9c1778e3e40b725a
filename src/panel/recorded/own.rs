//! The calls of the trait that recorded exchanges belong to: what the client itself makes of an
//! answer, its checks of identity included.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{exchange::Exchange, rows, told, told_egg, told_server, told_user};
use crate::panel::{Build, Details, Error, HttpPanel, NewServer, NewUser, Panel, Server, User};

/// A call of the trait, with what decides how its answer is read.
#[derive(Debug)]
pub(super) enum Own {
    Nodes,
    Allocations {
        node: i64,
        page: u32,
    },
    Egg {
        nest: i64,
        egg: i64,
    },
    UserByExternalId(String),
    UserByEmail(String),
    CreateUser(String),
    /// Both calls that rewrite a user.
    UpdateUser {
        id: i64,
        external_id: String,
    },
    DeleteUser(i64),
    CreateServer(String),
    ServerByExternalId(String),
    /// Both calls that read a server by its id.
    Server(i64),
    Servers {
        page: u32,
    },
    SetBuild(i64),
    SetDetails {
        id: i64,
        external_id: String,
    },
    Reinstall(i64),
    Delete(i64),
    ForceDelete(i64),
}

impl Own {
    /// How many there are, and all are recorded.
    pub(super) const KINDS: usize = 17;

    /// The call of the client that would have got this answer; none where the client has no such
    /// call, or never asks for such a thing.
    pub(super) fn of(exchange: &Exchange<'_>) -> Option<Self> {
        let id = |text: &str| text.parse::<i64>().ok();
        Some(match (exchange.method(), exchange.route().as_slice()) {
            ("GET", ["nodes"]) => Self::Nodes,
            ("GET", ["nodes", node, "allocations"]) => Self::Allocations {
                node: id(node)?,
                page: exchange.page(),
            },
            ("GET", ["nests", nest, "eggs", egg]) => Self::Egg {
                nest: id(nest)?,
                egg: id(egg)?,
            },
            ("GET", ["users"]) => Self::UserByEmail(address(exchange)?),
            ("GET", ["users", "external", given]) => Self::UserByExternalId(plain(given)?),
            ("POST", ["users"]) => Self::CreateUser(external_id(exchange)?),
            ("PATCH", ["users", user]) => Self::UpdateUser {
                id: id(user)?,
                external_id: external_id(exchange)?,
            },
            ("DELETE", ["users", user]) => Self::DeleteUser(id(user)?),
            ("POST", ["servers"]) => Self::CreateServer(external_id(exchange)?),
            ("GET", ["servers", "external", given]) => Self::ServerByExternalId(plain(given)?),
            ("GET", ["servers", server]) => Self::Server(id(server)?),
            ("GET", ["servers"]) => Self::Servers {
                page: exchange.page(),
            },
            ("PATCH", ["servers", server, "build"]) => Self::SetBuild(id(server)?),
            ("PATCH", ["servers", server, "details"]) => Self::SetDetails {
                id: id(server)?,
                external_id: external_id(exchange)?,
            },
            ("POST", ["servers", server, "reinstall"]) => Self::Reinstall(id(server)?),
            ("DELETE", ["servers", server]) => Self::Delete(id(server)?),
            ("DELETE", ["servers", server, "force"]) => Self::ForceDelete(id(server)?),
            _ => return None,
        })
    }

    /// How many requests it makes; the recorded lists that are walked have one page.
    pub(super) fn requests(&self) -> usize {
        match self {
            Self::Server(_) | Self::UpdateUser { .. } => 2,
            _ => 1,
        }
    }

    /// What it has to come to, where the answer as such comes to this.
    pub(super) fn wanted(&self, outcome: &str, body: &Value) -> String {
        match self {
            // What is gone is what a deletion is for.
            Self::Delete(_) | Self::ForceDelete(_) | Self::DeleteUser(_)
                if outcome == "NotFound" =>
            {
                "done".to_owned()
            }
            Self::UserByEmail(address) if outcome.starts_with("done") => found(body, address),
            // Only a call of its own tells the variables.
            Self::CreateServer(_)
            | Self::ServerByExternalId(_)
            | Self::SetBuild(_)
            | Self::SetDetails { .. } => {
                let known = outcome.strip_suffix(" variables");
                let known = known.and_then(|known| known.rsplit_once(", "));
                known.map_or(outcome, |(server, _)| server).to_owned()
            }
            _ => outcome.to_owned(),
        }
    }

    /// What it comes to, in the words of the table.
    pub(super) async fn made(&self, panel: &HttpPanel) -> String {
        self.outcome(panel)
            .await
            .unwrap_or_else(|error| told(&error))
    }

    async fn outcome(&self, panel: &HttpPanel) -> Result<String, Error> {
        Ok(match self {
            Self::Nodes => rows(panel.nodes().await?.len(), 1, 1),
            Self::Allocations { node, page } => {
                let read = panel.allocations(*node, *page).await?;
                rows(read.data.len(), *page, read.pages)
            }
            Self::Egg { nest, egg } => told_egg(&panel.egg(*nest, *egg).await?),
            Self::UserByExternalId(id) => user(panel.user_by_external_id(id).await?),
            Self::UserByEmail(address) => user(panel.user_by_email(address).await?),
            Self::CreateUser(id) => user(Some(panel.create_user(&new_user(id)).await?)),
            Self::UpdateUser { id, external_id } => {
                let old = old_user(*id);
                let adopted = panel.set_user_external_id(&old, external_id).await;
                let ours = User {
                    external_id: Some(external_id.clone()),
                    ..old
                };
                let told = |written: Result<User, Error>| written.map(|it| user(Some(it)));
                let (adopted, updated) = (told(adopted), told(panel.update_user(&ours).await));
                assert_eq!(adopted, updated);
                return updated;
            }
            Self::DeleteUser(id) => {
                panel.delete_user(*id).await?;
                "done".to_owned()
            }
            Self::CreateServer(id) => {
                let begin_by = Instant::now() + Duration::from_secs(60);
                server(Some(panel.create_server(&new_server(id), begin_by).await?))
            }
            Self::ServerByExternalId(id) => server(panel.server_by_external_id(id).await?),
            Self::Server(id) => return by_id(panel, *id).await,
            Self::Servers { page } => {
                let read = panel.servers(*page).await?;
                rows(read.data.len(), *page, read.pages)
            }
            Self::SetBuild(id) => server(Some(panel.set_build(*id, &build()).await?)),
            Self::SetDetails { id, external_id } => {
                let details = details(external_id);
                server(Some(panel.set_details(*id, &details).await?))
            }
            Self::Reinstall(id) => {
                panel.reinstall_server(*id).await?;
                "done".to_owned()
            }
            Self::Delete(id) => {
                panel.delete_server(*id).await?;
                "done".to_owned()
            }
            Self::ForceDelete(id) => {
                panel.force_delete_server(*id).await?;
                "done".to_owned()
            }
        })
    }
}

fn user(found: Option<User>) -> String {
    found.map_or_else(absent, |user| told_user(&user))
}

fn server(found: Option<Server>) -> String {
    found.map_or_else(absent, |server| told_server(&server))
}

/// As the table has it: a look-up takes it for an answer.
fn absent() -> String {
    "NotFound".to_owned()
}

/// The same answer to both calls that ask for it.
async fn by_id(panel: &HttpPanel, id: i64) -> Result<String, Error> {
    let (server, environment) = (panel.server(id).await, panel.server_environment(id).await);
    match (server, environment) {
        (Ok(Some(server)), Ok(Some(variables))) => {
            let server = told_server(&server);
            Ok(format!("{server}, {} variables", variables.len()))
        }
        (Ok(None), Ok(None)) => Ok(absent()),
        (Err(one), Err(other)) => {
            assert_eq!(one, other);
            Err(one)
        }
        (server, environment) => panic!("{server:?}, but as to its variables {environment:?}"),
    }
}

/// The user of this address among the rows of a list.
fn found(list: &Value, address: &str) -> String {
    let mut rows = list["data"].as_array().unwrap().iter();
    let row = rows.find(|row| {
        let told = row["attributes"]["email"].as_str().unwrap();
        told.eq_ignore_ascii_case(address)
    });
    row.map_or_else(absent, |row| {
        format!("done, user {}", row["attributes"]["id"])
    })
}

/// The address that was looked for. A refusal is the same whatever was looked for.
fn address(exchange: &Exchange<'_>) -> Option<String> {
    let filter = exchange.parameter("filter[email]");
    let given = filter.filter(|address| !address.is_empty());
    let refused = exchange.refused().then_some("nobody@example.com");
    given.or(refused).map(str::to_owned)
}

/// The external id that was sent, if the client would have sent it. A refusal is the same
/// whatever was sent.
fn external_id(exchange: &Exchange<'_>) -> Option<String> {
    let given = exchange.sent["external_id"].as_str().and_then(plain);
    given.or_else(|| exchange.refused().then(|| "o-1".to_owned()))
}

/// An external id that the client sends at all.
fn plain(id: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let sent = !id.is_empty() && id.len() <= 191 && id.chars().all(plain);
    sent.then(|| id.to_owned())
}

fn old_user(id: i64) -> User {
    User {
        id,
        external_id: None,
        username: "sp1".to_owned(),
        email: "person@x.test".to_owned(),
        first_name: Some("A".to_owned()),
        last_name: None,
        language: "en".to_owned(),
        root_admin: false,
    }
}

fn new_user(external_id: &str) -> NewUser {
    NewUser {
        external_id: external_id.to_owned(),
        username: "sp1".to_owned(),
        email: "person@x.test".to_owned(),
        first_name: "A".to_owned(),
        last_name: "B".to_owned(),
    }
}

fn new_server(external_id: &str) -> NewServer {
    NewServer {
        external_id: external_id.to_owned(),
        ..crate::panel::http::new_server()
    }
}

/// Some limits: what comes of them is the recorded answer's to tell.
fn build() -> Build {
    let server = crate::panel::http::new_server();
    Build {
        allocation: server.allocation,
        limits: server.limits,
        features: server.features,
    }
}

fn details(external_id: &str) -> Details {
    Details {
        name: "n".to_owned(),
        user: 3,
        external_id: external_id.to_owned(),
        description: "d".to_owned(),
    }
}
