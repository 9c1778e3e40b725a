//! The Stripe client over HTTP: one pooled connection, a pinned version, our own
//! idempotency keys.
//!
//! Sends a request and reads its answer; `answer` says what the answer means and `retry`
//! whether to ask again. Each try of a POST carries the same key and the same bytes. The
//! key of the account, bodies and ids are never logged.
//!
//! A rustls crypto provider must be installed in the process before a client is built.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::redirect::Policy;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use url::Url;

use super::answer::{BodyFault, Head};
use super::retry::{Failure, Limits, Try, repeat};
use super::settings::{KeySource, Settings, SettingsError, authorization, mode_of};
use super::{
    API_VERSION, Charge, Customer, Dispute, Error, EventFilter, Form, Invoice, ListedEvent, Page,
    PaidInvoice, Payment, PlannedEnd, PortalConfiguration, Price, Refund, Session, SessionFilter,
    Stripe, Subscription, form, wire,
};

mod lists;
mod money;

/// Longest answer that is read; a page of 100 sessions is well under a tenth of it.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// A connection that takes longer than this, or half of the time-out, will not come. It
/// must end before the time-out does: after that one nobody can tell what was sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Ends an HTTP/2 connection whose peer is gone, which every later call would wait on.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Below what load balancers allow, so that a POST seldom meets a connection just closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

const VERSION_HEADER: HeaderName = HeaderName::from_static("stripe-version");
const KEY_HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const FORM_TYPE: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// Stripe, reached over HTTP.
pub struct HttpStripe {
    client: reqwest::Client,
    base: Url,
    key: KeySource,
    livemode: bool,
    limits: Limits,
}

impl HttpStripe {
    /// Checks the settings and builds the client; makes no call.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        let livemode = mode_of(&(settings.key)()).ok_or(SettingsError::Key)?;
        let headers = HeaderMap::from_iter([
            (VERSION_HEADER, HeaderValue::from_static(API_VERSION)),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("spawnpoint/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(Policy::none())
            .referer(false)
            .https_only(settings.base.scheme() == "https")
            .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout.min(settings.deadline) / 2))
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT);
        if settings.is_loopback() {
            builder = builder.no_proxy();
        }
        if settings.base.scheme() == "http" {
            // Nothing is encrypted: the machine's certificates need not be read.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self {
            client: builder.build().map_err(SettingsError::Client)?,
            limits: Limits::new(&settings),
            base: settings.base,
            key: settings.key,
            livemode,
        })
    }

    async fn get<W: DeserializeOwned>(&self, path: &'static str, url: Url) -> Result<W, Error> {
        self.call(&Call {
            method: Method::GET,
            path,
            url,
            body: None,
        })
        .await
    }

    async fn post<W: DeserializeOwned>(
        &self,
        path: &'static str,
        url: Url,
        form: &Form,
        key: &str,
    ) -> Result<W, Error> {
        let key = form::key_header(key).ok_or_else(|| Error::Invalid {
            code: "idempotency_key_invalid".to_owned(),
            param: "Idempotency-Key".to_owned(),
            request_id: String::new(),
        })?;
        let body = Some((form::encode(form), key));
        self.call(&Call {
            method: Method::POST,
            path,
            url,
            body,
        })
        .await
    }

    async fn call<W: DeserializeOwned>(&self, call: &Call) -> Result<W, Error> {
        repeat(&self.limits, call.method != Method::GET, |attempt| {
            self.attempt(call, attempt)
        })
        .await
    }

    /// One request and its one log line.
    async fn attempt<W: DeserializeOwned>(&self, call: &Call, attempt: Try) -> Result<W, Failure> {
        let started = Instant::now();
        let exchanged = self.exchange(call, attempt.timeout).await;
        let head = exchanged.as_ref().ok().map(|(head, _)| head);
        tracing::debug!(
            method = %call.method,
            path = call.path,
            attempt = attempt.number,
            status = head.map_or(0, |head| head.status.as_u16()),
            request_id = head.map_or("", |head| head.request_id.as_str()),
            elapsed_ms = started.elapsed().as_millis(),
            "stripe call"
        );
        let (head, body) = exchanged?;
        head.sort(body)
    }

    async fn exchange(&self, call: &Call, timeout: Duration) -> Result<Exchanged, Failure> {
        let shown = authorization(&(self.key)(), self.livemode).ok_or_else(|| {
            Failure::last(Error::KeyRefused {
                status: 0,
                request_id: String::new(),
            })
        })?;
        let mut request = self
            .client
            .request(call.method.clone(), call.url.clone())
            .timeout(timeout)
            .header(AUTHORIZATION, shown);
        if let Some((body, key)) = &call.body {
            request = request
                .header(CONTENT_TYPE, FORM_TYPE)
                .header(KEY_HEADER, key)
                .body(body.clone());
        }
        let answer = request
            .send()
            .await
            .map_err(|error| Failure::passing(lost(error)))?;
        let head = Head::new(answer.status(), answer.headers());
        let body = read(answer).await;
        Ok((head, body))
    }

    /// `/v1/...` below the base; each segment is percent-encoded on its own.
    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("v1").extend(segments);
        }
        url
    }

    /// As [`Self::url`], for one object. What cannot be an id names no object, and is
    /// never sent.
    fn object_url(&self, collection: &[&str], id: &str) -> Result<Url, Error> {
        if !form::is_id(id) {
            return Err(Error::NotFound {
                request_id: String::new(),
            });
        }
        let mut url = self.url(collection);
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(id);
        }
        Ok(url)
    }
}

impl fmt::Debug for HttpStripe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpStripe")
            .field("base", &self.base.as_str())
            .field("livemode", &self.livemode)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Stripe for HttpStripe {
    fn livemode(&self) -> bool {
        self.livemode
    }

    async fn create_customer(&self, form: &Form, key: &str) -> Result<Customer, Error> {
        let url = self.url(&["customers"]);
        let customer: wire::Customer = self.post("/v1/customers", url, form, key).await?;
        Ok(customer.into())
    }

    async fn update_customer(&self, id: &str, form: &Form, key: &str) -> Result<Customer, Error> {
        let url = self.object_url(&["customers"], id)?;
        let customer: wire::Customer = self.post("/v1/customers/{id}", url, form, key).await?;
        Ok(customer.into())
    }

    async fn customers(&self, email: &str) -> Result<Vec<Customer>, Error> {
        let mut url = self.url(&["customers"]);
        url.query_pairs_mut()
            .extend_pairs([("limit", "100"), ("email", email)]);
        let page: wire::Page<wire::Customer> = self.get("/v1/customers", url).await?;
        Ok(Page::from(page).data)
    }

    async fn create_session(&self, form: &Form, key: &str) -> Result<Session, Error> {
        let url = self.url(SESSIONS);
        let session: wire::Session = self.post("/v1/checkout/sessions", url, form, key).await?;
        Ok(session.into())
    }

    async fn session(&self, id: &str) -> Result<Session, Error> {
        let mut url = self.object_url(SESSIONS, id)?;
        url.query_pairs_mut().append_pair("expand[]", "line_items");
        let session: wire::Session = self.get("/v1/checkout/sessions/{id}", url).await?;
        let cut = session.has_more_lines();
        let mut session = Session::from(session);
        if cut {
            session.lines = self.lines_of(id).await?;
        }
        Ok(session)
    }

    async fn expire_session(&self, id: &str, key: &str) -> Result<Session, Error> {
        let mut url = self.object_url(SESSIONS, id)?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.push("expire");
        }
        let path = "/v1/checkout/sessions/{id}/expire";
        let session: wire::Session = self.post(path, url, &Form::new(), key).await?;
        Ok(session.into())
    }

    async fn sessions(
        &self,
        filter: &SessionFilter,
        after: Option<&str>,
    ) -> Result<Page<Session>, Error> {
        let mut url = self.url(SESSIONS);
        let created = filter.created_gte.map(|second| second.to_string());
        let wanted = [
            ("limit", Some("100")),
            ("customer", filter.customer.as_deref()),
            ("status", filter.status.as_deref()),
            ("subscription", filter.subscription.as_deref()),
            ("created[gte]", created.as_deref()),
            ("starting_after", after),
        ];
        url.query_pairs_mut().extend_pairs(
            wanted
                .iter()
                .filter_map(|(name, value)| Some((name, (*value)?))),
        );
        let page: wire::Page<wire::Session> = self.get("/v1/checkout/sessions", url).await?;
        Ok(page.into())
    }

    async fn events(
        &self,
        filter: &EventFilter,
        after: Option<&str>,
    ) -> Result<Page<ListedEvent>, Error> {
        let mut url = self.url(&["events"]);
        let created = filter.created_gte.to_string();
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("limit", "100");
            query.append_pair("created[gte]", &created);
            query.extend_pairs(filter.types.iter().map(|kind| ("types[]", *kind)));
            query.extend_pairs(after.map(|after| ("starting_after", after)));
        }
        let page: wire::Page<wire::Event> = self.get("/v1/events", url).await?;
        Ok(page.into())
    }

    async fn subscriptions(&self, after: Option<&str>) -> Result<Page<Subscription>, Error> {
        let mut url = self.url(&["subscriptions"]);
        url.query_pairs_mut()
            .extend_pairs([("limit", "100"), ("status", "all")])
            .extend_pairs(after.map(|after| ("starting_after", after)));
        let page: wire::Page<wire::Subscription> = self.get("/v1/subscriptions", url).await?;
        Ok(page.into())
    }

    async fn subscription(&self, id: &str) -> Result<Subscription, Error> {
        let url = self.object_url(&["subscriptions"], id)?;
        let subscription: wire::Subscription = self.get("/v1/subscriptions/{id}", url).await?;
        Ok(subscription.into())
    }

    async fn plan_end(&self, id: &str, end: PlannedEnd, key: &str) -> Result<Subscription, Error> {
        let url = self.object_url(&["subscriptions"], id)?;
        let (name, value) = match end {
            PlannedEnd::WithItsPeriod => ("cancel_at_period_end", "true"),
            PlannedEnd::NotWithItsPeriod => ("cancel_at_period_end", "false"),
            PlannedEnd::NotAtATime => ("cancel_at", ""),
        };
        let form = vec![(name.to_owned(), value.to_owned())];
        let path = "/v1/subscriptions/{id}";
        let subscription: wire::Subscription = self.post(path, url, &form, key).await?;
        Ok(subscription.into())
    }

    async fn change_items(&self, id: &str, form: &Form, key: &str) -> Result<Subscription, Error> {
        let url = self.object_url(&["subscriptions"], id)?;
        let path = "/v1/subscriptions/{id}";
        let subscription: wire::Subscription = self.post(path, url, form, key).await?;
        Ok(subscription.into())
    }

    async fn open_invoices(&self, subscription_id: &str) -> Result<Vec<String>, Error> {
        self.invoices(subscription_id, "open").await
    }

    async fn paid_invoices(&self, subscription_id: &str) -> Result<Vec<String>, Error> {
        self.invoices(subscription_id, "paid").await
    }

    async fn invoices_of(
        &self,
        subscription_id: &str,
        after: Option<&str>,
    ) -> Result<Page<Invoice>, Error> {
        let mut url = self.url(&["invoices"]);
        url.query_pairs_mut()
            .extend_pairs([("limit", "100"), ("subscription", subscription_id)])
            .extend_pairs(after.map(|after| ("starting_after", after)));
        let page: wire::Page<wire::Invoice> = self.get("/v1/invoices", url).await?;
        Ok(page.into())
    }

    async fn payments_of(&self, invoice_id: &str) -> Result<Vec<Payment>, Error> {
        self.read_payments(invoice_id).await
    }

    async fn invoice_of_payment(&self, payment: &str) -> Result<Option<PaidInvoice>, Error> {
        self.read_invoice_of(payment).await
    }

    async fn charge(&self, id: &str) -> Result<Charge, Error> {
        let url = self.object_url(&["charges"], id)?;
        let charge: wire::Charge = self.get("/v1/charges/{id}", url).await?;
        Ok(charge.into())
    }

    async fn dispute(&self, id: &str) -> Result<Dispute, Error> {
        let url = self.object_url(&["disputes"], id)?;
        let dispute: wire::Dispute = self.get("/v1/disputes/{id}", url).await?;
        Ok(dispute.into())
    }

    async fn refund(&self, form: &Form, key: &str) -> Result<Refund, Error> {
        let url = self.url(&["refunds"]);
        let refund: wire::Refund = self.post("/v1/refunds", url, form, key).await?;
        Ok(refund.into())
    }

    async fn refund_by_id(&self, id: &str) -> Result<Refund, Error> {
        self.read_refund(id).await
    }

    async fn refunds_of(&self, payment: &str) -> Result<Vec<Refund>, Error> {
        self.read_refunds(payment).await
    }

    async fn void_invoice(&self, id: &str, key: &str) -> Result<(), Error> {
        let mut url = self.object_url(&["invoices"], id)?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.push("void");
        }
        let path = "/v1/invoices/{id}/void";
        let _: wire::Named = self.post(path, url, &Form::new(), key).await?;
        Ok(())
    }

    async fn cancel_subscription(&self, id: &str) -> Result<Subscription, Error> {
        let url = self.object_url(&["subscriptions"], id)?;
        let call = Call {
            method: Method::DELETE,
            path: "/v1/subscriptions/{id}",
            url,
            body: None,
        };
        let subscription: wire::Subscription = self.call(&call).await?;
        Ok(subscription.into())
    }

    async fn portal_configurations(&self) -> Result<Vec<PortalConfiguration>, Error> {
        let mut url = self.url(PORTAL_CONFIGURATIONS);
        url.query_pairs_mut()
            .extend_pairs([("limit", "100"), ("active", "true")]);
        let path = "/v1/billing_portal/configurations";
        let page: wire::Page<wire::PortalConfiguration> = self.get(path, url).await?;
        Ok(Page::from(page).data)
    }

    async fn create_portal_configuration(
        &self,
        form: &Form,
        key: &str,
    ) -> Result<PortalConfiguration, Error> {
        let url = self.url(PORTAL_CONFIGURATIONS);
        let path = "/v1/billing_portal/configurations";
        let made: wire::PortalConfiguration = self.post(path, url, form, key).await?;
        Ok(made.into())
    }

    async fn create_portal_session(&self, form: &Form, key: &str) -> Result<String, Error> {
        let url = self.url(&["billing_portal", "sessions"]);
        let path = "/v1/billing_portal/sessions";
        let page: wire::PortalSession = self.post(path, url, form, key).await?;
        Ok(page.url)
    }

    async fn price(&self, id: &str) -> Result<Price, Error> {
        let url = self.object_url(&["prices"], id)?;
        let price: wire::Price = self.get("/v1/prices/{id}", url).await?;
        Ok(price.into())
    }
}

const SESSIONS: &[&str] = &["checkout", "sessions"];
const PORTAL_CONFIGURATIONS: &[&str] = &["billing_portal", "configurations"];

type Exchanged = (Head, Result<Vec<u8>, BodyFault>);

/// A request, ready to be sent any number of times.
struct Call {
    method: Method,
    /// The path without its ids, for the log.
    path: &'static str,
    url: Url,
    /// Of a POST: the encoded form and the idempotency key.
    body: Option<(String, HeaderValue)>,
}

/// No answer at all: only a connection that never came is known to have sent nothing.
fn lost(error: reqwest::Error) -> Error {
    if error.is_connect() || error.is_builder() {
        // The URL holds ids.
        return Error::Unreachable(Some(error.without_url()));
    }
    Error::Unknown {
        status: None,
        replayed: false,
        request_id: String::new(),
    }
}

/// Reads the body up to the cap, whatever length the answer claims.
async fn read(mut answer: reqwest::Response) -> Result<Vec<u8>, BodyFault> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| BodyFault::Cut)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(BodyFault::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
