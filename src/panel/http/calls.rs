//! Which request each call of the panel is, and what its answer must hold.
//!
//! Owns routes, parameters, the choice of time-out, and the checks of identity: the
//! object that comes back is the one that was asked for, or it is not believed.

use std::{collections::BTreeMap, time::Instant};

use async_trait::async_trait;
use reqwest::Method;

use super::{HttpPanel, item};
use crate::panel::{
    Allocation, Build, Details, Egg, Error, NewServer, NewUser, Node, Page, Panel, Server, User,
    Violation,
    exchange::Ask,
    sort::Call,
    wire::{self, Environment},
};

/// Ports are compared with what was asked for wherever one server is read.
const WITH_PORTS: [(&str, &str); 1] = [("include", "allocations")];

#[async_trait]
impl Panel for HttpPanel {
    async fn nodes(&self) -> Result<Vec<Node>, Error> {
        let mut nodes = Vec::new();
        let keep = |node: Node| {
            nodes.push(node);
            None::<()>
        };
        self.walk("/nodes", &[("sort", "id"), ("per_page", "100")], keep)
            .await?;
        Ok(nodes)
    }

    async fn allocations(&self, node: i64, page: u32) -> Result<Page<Allocation>, Error> {
        let path = ["nodes", &node.to_string(), "allocations"];
        self.one_page(
            "/nodes/{id}/allocations",
            &path,
            &[("per_page", "1000")],
            page,
        )
        .await
    }

    async fn egg(&self, nest: i64, egg: i64) -> Result<Egg, Error> {
        let path = ["nests", &nest.to_string(), "eggs", &egg.to_string()];
        let query = [("include", "variables")];
        let content = self.get("/nests/{id}/eggs/{id}", &path, &query).await?;
        let found: Egg = item(Call::Read, &content)?;
        same(egg, found.id, "egg")?;
        Ok(found)
    }

    async fn user_by_external_id(&self, external_id: &str) -> Result<Option<User>, Error> {
        check_external_id(external_id)?;
        let path = ["users", "external", external_id];
        let found: Option<User> = self.look_up("/users/external/{id}", &path, &[]).await?;
        // The panel's collation also finds other spellings.
        Ok(found.filter(|user| user.external_id.as_deref() == Some(external_id)))
    }

    async fn user_by_email(&self, email: &str) -> Result<Option<User>, Error> {
        let wanted = email.trim().to_lowercase();
        // A comma in a filter means "or" and cannot be escaped; what follows the last one is
        // still a part of the address. An empty filter would be none at all.
        let part = wanted.rsplit(',').next().unwrap_or_default();
        if part.is_empty() {
            return Ok(None);
        }
        let query = [("filter[email]", part), ("sort", "id"), ("per_page", "100")];
        self.walk("/users", &query, |user: User| {
            (user.email.to_lowercase() == wanted).then_some(user)
        })
        .await
    }

    async fn create_user(&self, user: &NewUser) -> Result<User, Error> {
        check_external_id(&user.external_id)?;
        let call = Call::CreateUser;
        let ask = Ask {
            call,
            method: Method::POST,
            template: "/users",
            path: &["users"],
            query: &[],
            body: Some(body(wire::user_body(user))?),
            time_out: self.read,
            begin_by: None,
        };
        let made: User = item(call, &self.link.run(self.class, ask).await?)?;
        ours(&user.external_id, made.external_id.as_deref(), "user")?;
        Ok(made)
    }

    async fn set_user_external_id(&self, user: &User, external_id: &str) -> Result<User, Error> {
        self.rewrite_user(user, external_id).await
    }

    async fn update_user(&self, user: &User) -> Result<User, Error> {
        let external_id = user.external_id.as_deref().unwrap_or_default();
        self.rewrite_user(user, external_id).await
    }

    async fn delete_user(&self, id: i64) -> Result<(), Error> {
        let ask = Ask {
            call: Call::DeleteUser,
            method: Method::DELETE,
            template: "/users/{id}",
            path: &["users", &id.to_string()],
            query: &[],
            body: None,
            time_out: self.read,
            begin_by: None,
        };
        gone(self.link.run(self.class, ask).await)
    }

    async fn create_server(&self, server: &NewServer, begin_by: Instant) -> Result<Server, Error> {
        check_external_id(&server.external_id)?;
        let call = Call::CreateServer;
        let ask = Ask {
            call,
            method: Method::POST,
            template: "/servers",
            path: &["servers"],
            query: &WITH_PORTS,
            body: Some(body(wire::server_body(server))?),
            time_out: self.create,
            begin_by: Some(begin_by),
        };
        let made: Server = item(call, &self.link.run(self.class, ask).await?)?;
        ours(&server.external_id, made.external_id.as_deref(), "server")?;
        Ok(made)
    }

    async fn server_by_external_id(&self, external_id: &str) -> Result<Option<Server>, Error> {
        check_external_id(external_id)?;
        let path = ["servers", "external", external_id];
        let found: Option<Server> = self
            .look_up("/servers/external/{id}", &path, &WITH_PORTS)
            .await?;
        Ok(found.filter(|server| server.external_id.as_deref() == Some(external_id)))
    }

    async fn server(&self, id: i64) -> Result<Option<Server>, Error> {
        let path = ["servers", &id.to_string()];
        let found: Option<Server> = self.look_up("/servers/{id}", &path, &WITH_PORTS).await?;
        found
            .as_ref()
            .map_or(Ok(()), |server| same(id, server.id, "server"))?;
        Ok(found)
    }

    async fn servers(&self, page: u32) -> Result<Page<Server>, Error> {
        let query = [("sort", "-id"), ("per_page", "1000")];
        self.one_page("/servers", &["servers"], &query, page).await
    }

    async fn server_environment(&self, id: i64) -> Result<Option<BTreeMap<String, String>>, Error> {
        let path = ["servers", &id.to_string()];
        let found: Option<Environment> = self.look_up("/servers/{id}", &path, &[]).await?;
        found
            .as_ref()
            .map_or(Ok(()), |environment| same(id, environment.server, "server"))?;
        Ok(found.map(|environment| environment.variables))
    }

    async fn set_build(&self, id: i64, build: &Build) -> Result<Server, Error> {
        let call = Call::UpdateServer;
        let ask = Ask {
            call,
            method: Method::PATCH,
            template: "/servers/{id}/build",
            path: &["servers", &id.to_string(), "build"],
            query: &WITH_PORTS,
            body: Some(body(wire::build_body(build))?),
            // A node that hangs keeps the panel for 15 s before it answers all the same.
            time_out: self.node,
            begin_by: None,
        };
        let written: Server = item(call, &self.link.run(self.class, ask).await?)?;
        same(id, written.id, "server")?;
        Ok(written)
    }

    async fn set_details(&self, id: i64, details: &Details) -> Result<Server, Error> {
        check_external_id(&details.external_id)?;
        let call = Call::UpdateServer;
        let ask = Ask {
            call,
            method: Method::PATCH,
            template: "/servers/{id}/details",
            path: &["servers", &id.to_string(), "details"],
            query: &[],
            body: Some(body(wire::details_body(details))?),
            time_out: self.read,
            begin_by: None,
        };
        let written: Server = item(call, &self.link.run(self.class, ask).await?)?;
        same(id, written.id, "server")?;
        let external_id = written.external_id.as_deref();
        ours(&details.external_id, external_id, "server")?;
        Ok(written)
    }

    async fn suspend_server(&self, id: i64) -> Result<(), Error> {
        self.act("/servers/{id}/suspend", id, "suspend").await
    }

    async fn unsuspend_server(&self, id: i64) -> Result<(), Error> {
        self.act("/servers/{id}/unsuspend", id, "unsuspend").await
    }

    async fn reinstall_server(&self, id: i64) -> Result<(), Error> {
        self.act("/servers/{id}/reinstall", id, "reinstall").await
    }

    async fn delete_server(&self, id: i64) -> Result<(), Error> {
        self.remove("/servers/{id}", &["servers", &id.to_string()])
            .await
    }

    async fn force_delete_server(&self, id: i64) -> Result<(), Error> {
        // Only this exact word forces.
        self.remove(
            "/servers/{id}/force",
            &["servers", &id.to_string(), "force"],
        )
        .await
    }
}

impl HttpPanel {
    /// Deletes a server: the panel waits for its node.
    async fn remove(&self, template: &'static str, path: &[&str]) -> Result<(), Error> {
        let ask = Ask {
            call: Call::DeleteServer,
            method: Method::DELETE,
            template,
            path,
            query: &[],
            body: None,
            time_out: self.create,
            begin_by: None,
        };
        gone(self.link.run(self.class, ask).await)
    }

    /// Writes a user as given, under this external id.
    async fn rewrite_user(&self, user: &User, external_id: &str) -> Result<User, Error> {
        check_external_id(external_id)?;
        let call = Call::UpdateUser;
        let ask = Ask {
            call,
            method: Method::PATCH,
            template: "/users/{id}",
            path: &["users", &user.id.to_string()],
            query: &[],
            body: Some(body(wire::user_rewrite_body(user, external_id))?),
            time_out: self.read,
            begin_by: None,
        };
        let written: User = item(call, &self.link.run(self.class, ask).await?)?;
        same(user.id, written.id, "user")?;
        ours(external_id, written.external_id.as_deref(), "user")?;
        Ok(written)
    }

    /// Has the node act on a server.
    async fn act(&self, template: &'static str, id: i64, verb: &str) -> Result<(), Error> {
        let ask = Ask {
            call: Call::ActOnServer,
            method: Method::POST,
            template,
            path: &["servers", &id.to_string(), verb],
            query: &[],
            body: None,
            time_out: self.node,
            begin_by: None,
        };
        self.link.run(self.class, ask).await.map(drop)
    }
}

/// What a deletion came to: what is gone already is what it was for.
fn gone(outcome: Result<Vec<u8>, Error>) -> Result<(), Error> {
    match outcome {
        Ok(_) | Err(Error::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

fn body(written: serde_json::Result<Vec<u8>>) -> Result<Vec<u8>, Error> {
    written.map_err(|_| refused_here("UnwritableBody"))
}

/// The panel finds ids by a collation and a path segment. Outside of these characters it may
/// find another's object, or never find the one that it made.
fn check_external_id(id: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    if id.is_empty() || id.len() > 191 || !id.chars().all(plain) {
        return Err(refused_here("UnsafeExternalId"));
    }
    Ok(())
}

/// A request that must not be sent: counted like the panel's own rejection, so that it ends.
fn refused_here(code: &str) -> Error {
    let violations = vec![Violation {
        field: "external_id".to_owned(),
        rule: "regex".to_owned(),
    }];
    Error::Rejected {
        status: 422,
        code: code.to_owned(),
        violations,
    }
}

fn same(asked: i64, got: i64, kind: &str) -> Result<(), Error> {
    if asked == got {
        return Ok(());
    }
    Err(Error::Garbage {
        what: format!("{kind} {got} instead of {asked}"),
    })
}

fn ours(sent: &str, got: Option<&str>, kind: &str) -> Result<(), Error> {
    if got == Some(sent) {
        return Ok(());
    }
    Err(Error::Garbage {
        what: format!("{kind} came back with another external id"),
    })
}
