//! The route table: which method and path lead to which endpoint, what is allowed elsewhere, and
//! which right of a key an endpoint needs.

use super::auth::Resource;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    ListUsers,
    ViewUser,
    ViewUserExternal,
    CreateUser,
    UpdateUser,
    DeleteUser,
    ListNodes,
    ViewNode,
    DeployableNodes,
    ListAllocations,
    CreateAllocations,
    DeleteAllocation,
    ListLocations,
    ViewLocation,
    ListNests,
    ViewNest,
    ListEggs,
    ViewEgg,
    ListServers,
    ViewServer,
    ViewServerExternal,
    CreateServer,
    UpdateDetails,
    UpdateBuild,
    UpdateStartup,
    Suspend,
    Unsuspend,
    Reinstall,
    DeleteServer,
    ListDatabases,
    CreateDatabase,
    ClientApi,
    InstallReport,
}

#[derive(Debug)]
pub(crate) struct Route {
    pub method: &'static str,
    pub template: &'static str,
    pub endpoint: Endpoint,
    pub resource: Resource,
}

impl Route {
    pub(crate) fn writes(&self) -> bool {
        self.method != "GET"
    }
}

const fn route(
    method: &'static str,
    template: &'static str,
    endpoint: Endpoint,
    resource: Resource,
) -> Route {
    Route {
        method,
        template,
        endpoint,
        resource,
    }
}

/// Fixed words come before placeholders of the same place, so the first match is the right one.
#[rustfmt::skip]
static ROUTES: &[Route] = &[
    route("GET", "/api/application/users", Endpoint::ListUsers, Resource::Users),
    route("GET", "/api/application/users/{user}", Endpoint::ViewUser, Resource::Users),
    route("GET", "/api/application/users/external/{external_id}", Endpoint::ViewUserExternal, Resource::Users),
    route("POST", "/api/application/users", Endpoint::CreateUser, Resource::Users),
    route("PATCH", "/api/application/users/{user}", Endpoint::UpdateUser, Resource::Users),
    route("DELETE", "/api/application/users/{user}", Endpoint::DeleteUser, Resource::Users),
    route("GET", "/api/application/nodes", Endpoint::ListNodes, Resource::Nodes),
    route("GET", "/api/application/nodes/deployable", Endpoint::DeployableNodes, Resource::Nodes),
    route("GET", "/api/application/nodes/{node}", Endpoint::ViewNode, Resource::Nodes),
    route("GET", "/api/application/nodes/{node}/allocations", Endpoint::ListAllocations, Resource::Allocations),
    route("POST", "/api/application/nodes/{node}/allocations", Endpoint::CreateAllocations, Resource::Allocations),
    route("DELETE", "/api/application/nodes/{node}/allocations/{allocation}", Endpoint::DeleteAllocation, Resource::Allocations),
    route("GET", "/api/application/locations", Endpoint::ListLocations, Resource::Locations),
    route("GET", "/api/application/locations/{location}", Endpoint::ViewLocation, Resource::Locations),
    route("GET", "/api/application/nests", Endpoint::ListNests, Resource::Nests),
    route("GET", "/api/application/nests/{nest}", Endpoint::ViewNest, Resource::Nests),
    route("GET", "/api/application/nests/{nest}/eggs", Endpoint::ListEggs, Resource::Eggs),
    route("GET", "/api/application/nests/{nest}/eggs/{egg}", Endpoint::ViewEgg, Resource::Eggs),
    route("GET", "/api/application/servers", Endpoint::ListServers, Resource::Servers),
    route("GET", "/api/application/servers/{server}", Endpoint::ViewServer, Resource::Servers),
    route("GET", "/api/application/servers/external/{external_id}", Endpoint::ViewServerExternal, Resource::Servers),
    route("GET", "/api/application/servers/{server}/databases", Endpoint::ListDatabases, Resource::Databases),
    route("POST", "/api/application/servers", Endpoint::CreateServer, Resource::Servers),
    route("POST", "/api/application/servers/{server}/suspend", Endpoint::Suspend, Resource::Servers),
    route("POST", "/api/application/servers/{server}/unsuspend", Endpoint::Unsuspend, Resource::Servers),
    route("POST", "/api/application/servers/{server}/reinstall", Endpoint::Reinstall, Resource::Servers),
    route("POST", "/api/application/servers/{server}/databases", Endpoint::CreateDatabase, Resource::Databases),
    route("PATCH", "/api/application/servers/{server}/details", Endpoint::UpdateDetails, Resource::Servers),
    route("PATCH", "/api/application/servers/{server}/build", Endpoint::UpdateBuild, Resource::Servers),
    route("PATCH", "/api/application/servers/{server}/startup", Endpoint::UpdateStartup, Resource::Servers),
    route("DELETE", "/api/application/servers/{server}", Endpoint::DeleteServer, Resource::Servers),
    route("DELETE", "/api/application/servers/{server}/{force}", Endpoint::DeleteServer, Resource::Servers),
    route("GET", "/api/client", Endpoint::ClientApi, Resource::Servers),
    route("POST", "/api/remote/servers/{uuid}/install", Endpoint::InstallReport, Resource::Servers),
];

/// The methods in the order in which the panel names them in a 405.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Where a request leads.
#[derive(Debug)]
pub(crate) enum Found {
    Route(&'static Route, Vec<String>),
    OtherMethods(Vec<&'static str>),
    Nothing,
}

/// Finds the route of a raw path; placeholders come back decoded.
pub(crate) fn find(method: &str, raw_path: &str) -> Found {
    let method = if method == "HEAD" { "GET" } else { method };
    let decoded = super::input::percent_decode(raw_path, false);
    let segments: Vec<&str> = decoded.trim_matches('/').split('/').collect();
    if let Some((route, params)) = first_match(method, &segments) {
        return Found::Route(route, params);
    }
    let mut allowed = Vec::new();
    for other in METHODS
        .into_iter()
        .filter(|other| first_match(other, &segments).is_some())
    {
        allowed.push(other);
        if other == "GET" {
            allowed.push("HEAD");
        }
    }
    if allowed.is_empty() {
        Found::Nothing
    } else {
        Found::OtherMethods(allowed)
    }
}

fn first_match(method: &str, segments: &[&str]) -> Option<(&'static Route, Vec<String>)> {
    ROUTES
        .iter()
        .filter(|route| route.method == method)
        .find_map(|route| Some((route, capture(route.template, segments)?)))
}

fn capture(template: &str, segments: &[&str]) -> Option<Vec<String>> {
    let parts: Vec<&str> = template.trim_matches('/').split('/').collect();
    if parts.len() != segments.len() {
        return None;
    }
    let mut params = Vec::new();
    for (part, segment) in parts.iter().zip(segments) {
        if part.starts_with('{') {
            if segment.is_empty() {
                return None;
            }
            params.push((*segment).to_owned());
        } else if part != segment {
            return None;
        }
    }
    Some(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_slash_is_another_segment() {
        assert!(matches!(
            find("GET", "/api/application/users/external/a%2Fb"),
            Found::Nothing
        ));
        match find("GET", "/api/application/users/external/a%20b") {
            Found::Route(route, params) => {
                assert_eq!(route.endpoint, Endpoint::ViewUserExternal);
                assert_eq!(params, ["a b"]);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_wrong_method_names_the_right_ones() {
        match find("PUT", "/api/application/users") {
            Found::OtherMethods(allowed) => assert_eq!(allowed, ["GET", "HEAD", "POST"]),
            other => panic!("{other:?}"),
        }
        match find("POST", "/api/application/servers/1/nothing") {
            Found::OtherMethods(allowed) => assert_eq!(allowed, ["DELETE"]),
            other => panic!("{other:?}"),
        }
    }
}
