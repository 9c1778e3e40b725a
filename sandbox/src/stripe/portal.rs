//! The customer portal, as far as a shop asks for it: settings, and pages with them. What a
//! customer does on such a page the controls do.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::api::Invocation;
use super::customers::Customer;
use super::errors::Refusal;
use super::form::without_empty;
use super::schema::Schema;
use super::table::{Cursor, Row, list};
use super::world::World;

/// Features that can be on or off; each is off unless it is switched on.
const FEATURES: [&str; 5] = [
    "customer_update",
    "invoice_history",
    "payment_method_update",
    "subscription_cancel",
    "subscription_update",
];

/// What customers may do on a page.
#[derive(Clone)]
pub(super) struct Configuration {
    pub id: String,
    pub created: i64,
    pub livemode: bool,
    /// Names of the features that are on.
    pub features: Vec<&'static str>,
    pub metadata: BTreeMap<String, String>,
}

impl Row for Configuration {
    const OBJECT: &'static str = "billing_portal.configuration";

    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }
}

impl Configuration {
    fn render(&self) -> Value {
        let features: Map<String, Value> = FEATURES
            .iter()
            .map(|name| {
                let on = self.features.contains(name);
                ((*name).to_owned(), json!({ "enabled": on }))
            })
            .collect();
        json!({
            "id": self.id,
            "object": Self::OBJECT,
            "active": true,
            "application": null,
            "business_profile": {
                "headline": null, "privacy_policy_url": null, "terms_of_service_url": null,
            },
            "created": self.created,
            "default_return_url": null,
            "features": features,
            "is_default": false,
            "livemode": self.livemode,
            "login_page": { "enabled": false, "url": null },
            "metadata": self.metadata,
            "updated": self.created,
        })
    }
}

/// A page that was made for a customer.
#[derive(Clone)]
pub(super) struct Page {
    pub customer: String,
    pub configuration: String,
    pub return_url: String,
}

/// `POST /v1/billing_portal/configurations`.
pub(super) fn configure(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&Schema {
        unsimulated: &[
            "business_profile",
            "default_return_url",
            "login_page",
            "name",
        ],
        ..Schema::of(&["features[*][enabled]", "metadata[*]"])
    })?;
    for name in params.brackets("features") {
        if !FEATURES.contains(&name) {
            let key = format!("features[{name}]");
            return Err(
                Refusal::invalid(format!("Received unknown parameter: {key}"))
                    .code("parameter_unknown")
                    .param(key),
            );
        }
    }
    let mut features = Vec::new();
    for name in FEATURES {
        if params.boolean(&format!("features[{name}][enabled]"))? == Some(true) {
            features.push(name);
        }
    }
    if params.brackets("features").is_empty() {
        return Err(Refusal::missing("features"));
    }
    let configuration = Configuration {
        id: world.ids.make("bpc_"),
        created: world.now(),
        livemode: world.livemode,
        features,
        metadata: without_empty(params.metadata("metadata")?),
    };
    let rendered = configuration.render();
    world.portal.put(configuration);
    Ok(rendered)
}

/// `GET /v1/billing_portal/configurations`.
pub(super) fn list_all(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&Schema::list(&["active", "is_default"]))?;
    let cursor = Cursor::read(params)?;
    // All are active, and none is the default.
    let none =
        params.boolean("active")? == Some(false) || params.boolean("is_default")? == Some(true);
    let (rows, more) = world.portal.page(&cursor, |_| !none)?;
    let data = rows.into_iter().map(Configuration::render).collect();
    Ok(list("/v1/billing_portal/configurations", data, more))
}

/// `POST /v1/billing_portal/sessions`. An account without saved settings refuses a page that
/// names none.
pub(super) fn open(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&Schema {
        unsimulated: &["flow_data", "locale", "on_behalf_of"],
        ..Schema::of(&["customer", "configuration", "return_url"])
    })?;
    let customer = params.required("customer")?;
    if world.customers.get(customer).is_none() {
        return Err(Refusal::no_such(Customer::OBJECT, customer, "customer"));
    }
    let Some(configuration) = params.text("configuration") else {
        let text =
            "You can't create a portal session until you save your customer portal settings.";
        return Err(Refusal::invalid(text).by_state());
    };
    if world.portal.get(configuration).is_none() {
        return Err(Refusal::no_such(
            "configuration",
            configuration,
            "configuration",
        ));
    }
    let return_url = params.required("return_url")?;
    let page = Page {
        customer: customer.to_owned(),
        configuration: configuration.to_owned(),
        return_url: return_url.to_owned(),
    };
    let id = world.ids.make("bps_");
    let rendered = json!({
        "id": id,
        "object": "billing_portal.session",
        "configuration": page.configuration,
        "created": world.now(),
        "customer": page.customer,
        "flow": null,
        "livemode": world.livemode,
        "locale": null,
        "on_behalf_of": null,
        "return_url": page.return_url,
        "url": format!("https://billing.stripe.com/p/session/{id}"),
    });
    world.portal_pages.push(page);
    Ok(rendered)
}
