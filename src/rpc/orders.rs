//! OrderService: reads the call, lets the app decide, sends what it says.

use std::{pin::Pin, sync::Arc};

use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::{
    auth,
    call::{self, answer, page},
    convert::orders::{event_to, order_status_from, order_to},
    page::next,
    proto::{self, order_service_server::OrderService},
    status::status,
    validate,
};
use crate::{
    app::{App, Caller, Error, orders, stripe_events},
    db::orders::Filter,
    domain::{OrderId, error::Violations, ids::parse_uuid},
};

mod affiliates;
mod checkout;
mod ending;
mod feed;
mod inbox;
mod manual;
mod plan_change;
mod portal;
mod profiles;
mod watch;

/// The service.
#[derive(Clone)]
pub struct OrderRpc {
    /// Handles to everything that a verb needs.
    pub app: Arc<App>,
}

#[tonic::async_trait]
impl OrderService for OrderRpc {
    async fn create_checkout_session(
        &self,
        request: Request<proto::CreateCheckoutSessionRequest>,
    ) -> Result<Response<proto::CreateCheckoutSessionResponse>, Status> {
        let answer_by = call::answer_by(&request);
        answer(
            "OrderService/CreateCheckoutSession",
            request,
            |caller, message| checkout::create(&self.app, caller, message, answer_by),
        )
        .await
    }

    async fn get_order(
        &self,
        request: Request<proto::GetOrderRequest>,
    ) -> Result<Response<proto::GetOrderResponse>, Status> {
        answer(
            "OrderService/GetOrder",
            request,
            |caller, message| async move {
                let id = order_id(&message.order_id)?;
                let facts = orders::get_order(&self.app, &caller, id).await?;
                Ok(proto::GetOrderResponse {
                    order: Some(order_to(&facts)),
                })
            },
        )
        .await
    }

    async fn list_orders(
        &self,
        request: Request<proto::ListOrdersRequest>,
    ) -> Result<Response<proto::ListOrdersResponse>, Status> {
        answer("OrderService/ListOrders", request, |caller, message| {
            list(&self.app, caller, message)
        })
        .await
    }

    async fn list_order_events(
        &self,
        request: Request<proto::ListOrderEventsRequest>,
    ) -> Result<Response<proto::ListOrderEventsResponse>, Status> {
        answer(
            "OrderService/ListOrderEvents",
            request,
            |caller, message| list_events(&self.app, caller, message),
        )
        .await
    }

    type WatchOrderStream =
        Pin<Box<dyn Stream<Item = Result<proto::WatchOrderResponse, Status>> + Send>>;

    async fn watch_order(
        &self,
        request: Request<proto::WatchOrderRequest>,
    ) -> Result<Response<Self::WatchOrderStream>, Status> {
        let caller = auth::caller(&request).map_err(status)?;
        caller.may("OrderService/WatchOrder").map_err(status)?;
        let id = order_id(&request.into_inner().order_id).map_err(status)?;
        // Before the first read, so that no change falls between the two.
        let changes = self.app.nudge.watch();
        let facts = orders::watch_order(&self.app, &caller, id)
            .await
            .map_err(status)?;
        let stream = watch::stream(Arc::clone(&self.app), facts, changes);
        Ok(Response::new(Box::pin(stream)))
    }

    type WatchOrderEventsStream =
        Pin<Box<dyn Stream<Item = Result<proto::WatchOrderEventsResponse, Status>> + Send>>;

    async fn watch_order_events(
        &self,
        request: Request<proto::WatchOrderEventsRequest>,
    ) -> Result<Response<Self::WatchOrderEventsStream>, Status> {
        let caller = auth::caller(&request).map_err(status)?;
        let after = request.into_inner().after_sequence;
        // Before the first read, so that no change falls between the two.
        let changes = self.app.nudge.watch();
        orders::watch_order_events(&self.app, &caller, after)
            .await
            .map_err(status)?;
        let stream = feed::stream(Arc::clone(&self.app), after, changes);
        Ok(Response::new(Box::pin(stream)))
    }

    async fn list_stripe_events(
        &self,
        request: Request<proto::ListStripeEventsRequest>,
    ) -> Result<Response<proto::ListStripeEventsResponse>, Status> {
        answer(
            "OrderService/ListStripeEvents",
            request,
            |caller, message| inbox::list(&self.app, caller, message),
        )
        .await
    }

    async fn replay_stripe_event(
        &self,
        request: Request<proto::ReplayStripeEventRequest>,
    ) -> Result<Response<proto::ReplayStripeEventResponse>, Status> {
        answer(
            "OrderService/ReplayStripeEvent",
            request,
            |caller, message| inbox::replay(&self.app, caller, message),
        )
        .await
    }

    async fn cancel_order(
        &self,
        request: Request<proto::CancelOrderRequest>,
    ) -> Result<Response<proto::CancelOrderResponse>, Status> {
        answer("OrderService/CancelOrder", request, |caller, message| {
            ending::cancel(&self.app, caller, message)
        })
        .await
    }

    async fn resume_order(
        &self,
        request: Request<proto::ResumeOrderRequest>,
    ) -> Result<Response<proto::ResumeOrderResponse>, Status> {
        answer("OrderService/ResumeOrder", request, |caller, message| {
            ending::resume(&self.app, caller, message)
        })
        .await
    }

    async fn change_plan(
        &self,
        request: Request<proto::ChangePlanRequest>,
    ) -> Result<Response<proto::ChangePlanResponse>, Status> {
        answer("OrderService/ChangePlan", request, |caller, message| {
            plan_change::change(&self.app, caller, message)
        })
        .await
    }

    async fn rename_server(
        &self,
        request: Request<proto::RenameServerRequest>,
    ) -> Result<Response<proto::RenameServerResponse>, Status> {
        answer("OrderService/RenameServer", request, |caller, message| {
            plan_change::rename(&self.app, caller, message)
        })
        .await
    }

    async fn complete_manual_addon(
        &self,
        request: Request<proto::CompleteManualAddonRequest>,
    ) -> Result<Response<proto::CompleteManualAddonResponse>, Status> {
        answer(
            "OrderService/CompleteManualAddon",
            request,
            |caller, message| manual::complete(&self.app, caller, message),
        )
        .await
    }

    async fn create_billing_portal_session(
        &self,
        request: Request<proto::CreateBillingPortalSessionRequest>,
    ) -> Result<Response<proto::CreateBillingPortalSessionResponse>, Status> {
        answer(
            "OrderService/CreateBillingPortalSession",
            request,
            |caller, message| portal::create(&self.app, caller, message),
        )
        .await
    }

    async fn record_stripe_event(
        &self,
        request: Request<proto::RecordStripeEventRequest>,
    ) -> Result<Response<proto::RecordStripeEventResponse>, Status> {
        answer(
            "OrderService/RecordStripeEvent",
            request,
            |caller, message| async move {
                let received_us = message.receive_time.map(|time| {
                    time.seconds
                        .saturating_mul(1_000_000)
                        .saturating_add(i64::from(time.nanos) / 1_000)
                });
                let recorded = stripe_events::record_stripe_event(
                    &self.app,
                    &caller,
                    &message.payload,
                    received_us,
                )
                .await?;
                Ok(proto::RecordStripeEventResponse {
                    event_id: recorded.event_id,
                    duplicate: recorded.duplicate,
                })
            },
        )
        .await
    }

    async fn get_profile(
        &self,
        request: Request<proto::GetProfileRequest>,
    ) -> Result<Response<proto::GetProfileResponse>, Status> {
        answer("OrderService/GetProfile", request, |caller, message| {
            profiles::get(&self.app, caller, message)
        })
        .await
    }

    async fn update_profile(
        &self,
        request: Request<proto::UpdateProfileRequest>,
    ) -> Result<Response<proto::UpdateProfileResponse>, Status> {
        answer("OrderService/UpdateProfile", request, |caller, message| {
            profiles::update(&self.app, caller, message)
        })
        .await
    }

    async fn export_profile(
        &self,
        request: Request<proto::ExportProfileRequest>,
    ) -> Result<Response<proto::ExportProfileResponse>, Status> {
        answer("OrderService/ExportProfile", request, |caller, message| {
            profiles::export(&self.app, caller, message)
        })
        .await
    }

    async fn delete_profile(
        &self,
        request: Request<proto::DeleteProfileRequest>,
    ) -> Result<Response<proto::DeleteProfileResponse>, Status> {
        answer("OrderService/DeleteProfile", request, |caller, message| {
            profiles::delete(&self.app, caller, message)
        })
        .await
    }

    async fn create_affiliate(
        &self,
        request: Request<proto::CreateAffiliateRequest>,
    ) -> Result<Response<proto::CreateAffiliateResponse>, Status> {
        answer(
            "OrderService/CreateAffiliate",
            request,
            |caller, message| affiliates::create(&self.app, caller, message),
        )
        .await
    }

    async fn get_affiliate(
        &self,
        request: Request<proto::GetAffiliateRequest>,
    ) -> Result<Response<proto::GetAffiliateResponse>, Status> {
        answer("OrderService/GetAffiliate", request, |caller, message| {
            affiliates::get(&self.app, caller, message)
        })
        .await
    }

    async fn record_affiliate_click(
        &self,
        request: Request<proto::RecordAffiliateClickRequest>,
    ) -> Result<Response<proto::RecordAffiliateClickResponse>, Status> {
        answer(
            "OrderService/RecordAffiliateClick",
            request,
            |caller, message| affiliates::click(&self.app, caller, message),
        )
        .await
    }

    async fn list_affiliate_commissions(
        &self,
        request: Request<proto::ListAffiliateCommissionsRequest>,
    ) -> Result<Response<proto::ListAffiliateCommissionsResponse>, Status> {
        answer(
            "OrderService/ListAffiliateCommissions",
            request,
            |caller, message| affiliates::list(&self.app, caller, message),
        )
        .await
    }
}

/// The field `order_id` where it is the only one.
pub(super) fn order_id(text: &str) -> Result<OrderId, Error> {
    let mut violations = Violations::default();
    let id = validate::order_id(&mut violations, text);
    violations.finish()?;
    Ok(id)
}

async fn list(
    app: &App,
    caller: Caller,
    message: proto::ListOrdersRequest,
) -> Result<proto::ListOrdersResponse, Error> {
    let mut violations = Violations::default();
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    let user_id = given(&message.user_id).map(|id| validate::user_id(&mut violations, &id));
    let status = order_status_from(message.status);
    violations.require(
        status.is_some() || message.status == 0,
        "status",
        "must be a status of orders, or unspecified",
    );
    if let Some(plan_id) = given(&message.plan_id) {
        validate::id(&mut violations, "plan_id", &plan_id);
    }
    if let Some(region) = given(&message.region) {
        validate::region(&mut violations, "region", &region);
    }
    let (user, state) = (
        caller.request_scope(),
        status.map_or("", |status| status.as_str()),
    );
    let scope = [
        "ListOrders",
        &user,
        &message.user_id,
        state,
        &message.plan_id,
        &message.region,
    ];
    let page = page(
        &mut violations,
        message.page_size,
        &message.page_token,
        &scope,
    )?;
    violations.finish()?;
    let after = page.after.as_deref().and_then(parse_uuid).map(OrderId);
    let filter = Filter {
        user_id,
        status,
        plan_id: given(&message.plan_id),
        region: given(&message.region),
    };
    let listed = orders::list_orders(app, &caller, filter, after, page.limit).await?;
    let last = listed
        .rows
        .last()
        .filter(|_| listed.more)
        .map(|facts| facts.order.id.to_string());
    Ok(proto::ListOrdersResponse {
        next_page_token: next(&scope, last.as_deref()),
        orders: listed.rows.iter().map(order_to).collect(),
    })
}

async fn list_events(
    app: &App,
    caller: Caller,
    message: proto::ListOrderEventsRequest,
) -> Result<proto::ListOrderEventsResponse, Error> {
    let mut violations = Violations::default();
    let id = validate::order_id(&mut violations, &message.order_id);
    let scope = ["ListOrderEvents", &message.order_id];
    let page = page(
        &mut violations,
        message.page_size,
        &message.page_token,
        &scope,
    )?;
    violations.finish()?;
    let after = page.after.as_deref().and_then(|text| text.parse().ok());
    let listed = orders::list_order_events(app, &caller, id, after, page.limit).await?;
    let last = listed
        .rows
        .last()
        .filter(|_| listed.more)
        .map(|event| event.id.to_string());
    Ok(proto::ListOrderEventsResponse {
        next_page_token: next(&scope, last.as_deref()),
        events: listed.rows.into_iter().map(event_to).collect(),
    })
}
