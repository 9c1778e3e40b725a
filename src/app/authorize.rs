//! Who may call what: one table, compared with the descriptor set by a test, so
//! that a method without a rule cannot ship.

use super::Error;
use crate::domain::{self, UserId, words::words};

words! {
    /// What a token allows.
    Role {
        /// Everything.
        Operator = "operator",
        /// Catalog reads, and what a customer may on behalf of the user it names.
        Storefront = "storefront",
        /// RecordStripeEvent only.
        Gateway = "gateway",
        /// Every read, but no secrets and no event payloads.
        Viewer = "viewer",
        /// Own orders; signed in at the shop's identity provider.
        Customer = "customer",
    }
}

/// Who calls: role and user, never the token.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What the token allows.
    pub role: Role,
    /// The user on whose behalf a storefront calls, or the customer themselves.
    pub user: Option<UserId>,
    /// Ties log lines and order events of one call together.
    pub trace_id: String,
}

/// Whose objects a call may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's.
    All,
    /// Those of this user only; all others are answered as if absent.
    User(UserId),
}

impl Scope {
    /// Whether an object of this user may be seen.
    pub fn covers(self, owner: UserId) -> bool {
        match self {
            Self::All => true,
            Self::User(user) => user == owner,
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// `Service/Method`.
    pub method: &'static str,
    /// Roles that may call it.
    pub roles: &'static [Role],
    /// Whether a storefront or customer sees only its user's objects.
    pub user_scoped: bool,
}

const ANYONE: &[Role] = &[
    Role::Operator,
    Role::Storefront,
    Role::Viewer,
    Role::Customer,
];
const BUYERS: &[Role] = &[Role::Operator, Role::Storefront, Role::Customer];
const STAFF: &[Role] = &[Role::Operator, Role::Viewer];
const OPERATOR: &[Role] = &[Role::Operator];

const fn rule(method: &'static str, roles: &'static [Role], user_scoped: bool) -> Rule {
    Rule {
        method,
        roles,
        user_scoped,
    }
}

/// Every method of the API.
pub const RULES: &[Rule] = &[
    rule("CatalogService/ListPlans", ANYONE, false),
    rule("CatalogService/GetPlan", ANYONE, false),
    rule("CatalogService/CreatePlan", OPERATOR, false),
    rule("CatalogService/UpdatePlan", OPERATOR, false),
    rule("CatalogService/ListAddons", ANYONE, false),
    rule("CatalogService/GetAddon", ANYONE, false),
    rule("CatalogService/CreateAddon", OPERATOR, false),
    rule("CatalogService/UpdateAddon", OPERATOR, false),
    rule("CatalogService/ListGames", ANYONE, false),
    rule("CatalogService/GetGame", ANYONE, false),
    rule("CatalogService/CreateGame", OPERATOR, false),
    rule("CatalogService/UpdateGame", OPERATOR, false),
    rule("CatalogService/ListRegions", ANYONE, false),
    rule("CatalogService/CheckAvailability", ANYONE, false),
    rule("OrderService/CreateCheckoutSession", BUYERS, true),
    rule("OrderService/GetOrder", ANYONE, true),
    rule("OrderService/ListOrders", ANYONE, true),
    rule("OrderService/ListOrderEvents", ANYONE, true),
    rule("OrderService/WatchOrder", ANYONE, true),
    rule(
        "OrderService/WatchOrderEvents",
        &[Role::Operator, Role::Storefront, Role::Viewer],
        false,
    ),
    rule("OrderService/ListStripeEvents", STAFF, false),
    rule("OrderService/ReplayStripeEvent", OPERATOR, false),
    rule("OrderService/CancelOrder", BUYERS, true),
    rule("OrderService/ResumeOrder", BUYERS, true),
    rule("OrderService/ChangePlan", BUYERS, true),
    rule("OrderService/RenameServer", BUYERS, true),
    rule("OrderService/CompleteManualAddon", OPERATOR, false),
    rule("OrderService/CreateBillingPortalSession", BUYERS, true),
    rule(
        "OrderService/RecordStripeEvent",
        &[Role::Operator, Role::Gateway],
        false,
    ),
    rule("OrderService/GetProfile", ANYONE, true),
    rule("OrderService/UpdateProfile", BUYERS, true),
    rule("OrderService/ExportProfile", BUYERS, true),
    rule("OrderService/DeleteProfile", BUYERS, true),
    rule("OrderService/CreateAffiliate", BUYERS, true),
    rule("OrderService/GetAffiliate", BUYERS, true),
    // For a visitor who is no user yet.
    rule(
        "OrderService/RecordAffiliateClick",
        &[Role::Operator, Role::Storefront],
        false,
    ),
    rule("OrderService/ListAffiliateCommissions", BUYERS, true),
    rule("ProvisioningService/ProvisionOrder", OPERATOR, false),
    rule("ProvisioningService/GetServer", ANYONE, true),
    rule("ProvisioningService/RevealServerSecrets", BUYERS, true),
    rule("ProvisioningService/SuspendServer", OPERATOR, false),
    rule("ProvisioningService/UnsuspendServer", OPERATOR, false),
    rule("ProvisioningService/ReinstallServer", BUYERS, true),
    rule("ProvisioningService/TerminateServer", OPERATOR, false),
    rule("ProvisioningService/ListNodes", STAFF, false),
    rule("ProvisioningService/GetNode", STAFF, false),
    rule("ProvisioningService/CreateNode", OPERATOR, false),
    rule("ProvisioningService/UpdateNode", OPERATOR, false),
    rule("ProvisioningService/ListAllocations", STAFF, false),
    rule("ProvisioningService/ExplainPlacement", STAFF, false),
    rule("ProvisioningService/GetExternalAccount", STAFF, false),
    rule("ProvisioningService/ListSweeps", STAFF, false),
    rule("ProvisioningService/ReleaseGuard", OPERATOR, false),
];

impl Caller {
    /// Whether the caller may call `method`, and whose objects it then sees.
    pub fn may(&self, method: &'static str) -> Result<Scope, Error> {
        let rule = RULES.iter().find(|rule| rule.method == method);
        let Some(rule) = rule else {
            return Err(Error::Internal(format!("method {method} has no rule")));
        };
        if !rule.roles.contains(&self.role) {
            let refusal = domain::Error::RoleForbidden {
                role: self.role.as_str(),
                method,
            };
            return Err(refusal.into());
        }
        match (self.role, rule.user_scoped) {
            (Role::Storefront | Role::Customer, true) => match self.user {
                Some(user) => Ok(Scope::User(user)),
                None => Err(domain::Error::UserHeaderRequired.into()),
            },
            _ => Ok(Scope::All),
        }
    }

    /// Whether this user's own figures may be shown, where the method itself is nobody's.
    pub fn sees(&self, owner: UserId) -> bool {
        self.role == Role::Operator || self.user == Some(owner)
    }

    /// As the actor of an order event.
    pub fn actor(&self) -> String {
        format!("rpc:{}", self.role)
    }

    /// Identity for request keys: role and user, so that a rotated token still finds its requests.
    pub fn request_scope(&self) -> String {
        match self.user {
            Some(user) => format!("{}:{user}", self.role),
            None => self.role.to_string(),
        }
    }
}
