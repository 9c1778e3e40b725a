//! A real server on a free port, with one service that behaves as each test needs.

use std::{net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Response, Status,
    metadata::MetadataValue,
    service::Routes,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};
use tonic_types::StatusExt;

use super::{EVENT_DECODE_BYTES, Error, Serving, Settings, bind, start};
use crate::{
    app::{Role, tokens},
    db::{Db, connect::Options},
    domain::{self, error::Kind},
    rpc::{
        auth,
        proto::{self, order_service_client::OrderServiceClient, order_service_server as server},
        status,
    },
};

mod auth_matrix;
mod ending;
mod limits;
mod tls;

/// Answers by what the order id says.
struct Scripted {
    /// Told when a slow call has begun; it ends when `go` is.
    begun: Arc<Notify>,
    go: Arc<Notify>,
}

type Answer<T> = Result<Response<T>, Status>;
type Orders = Pin<Box<dyn Stream<Item = Result<proto::WatchOrderResponse, Status>> + Send>>;

fn refuse<T>(id: &str) -> Answer<T> {
    Err(status::refused(&domain::Error::not_found(Kind::Order, id)))
}

#[tonic::async_trait]
impl server::OrderService for Scripted {
    type WatchOrderStream = Orders;

    /// `caller` tells who the door found, `slow` waits, `panic` panics.
    async fn get_order(
        &self,
        request: Request<proto::GetOrderRequest>,
    ) -> Answer<proto::GetOrderResponse> {
        let caller = auth::caller(&request).map_err(status::status)?;
        let order = match request.get_ref().order_id.as_str() {
            "caller" => proto::Order {
                id: caller.trace_id.clone(),
                plan_id: caller.role.to_string(),
                user_id: caller.user.map(|user| user.to_string()).unwrap_or_default(),
                ..Default::default()
            },
            "slow" => {
                self.begun.notify_one();
                self.go.notified().await;
                proto::Order::default()
            }
            "panic" => panic!("scripted"),
            other => return refuse(other),
        };
        Ok(Response::new(proto::GetOrderResponse {
            order: Some(order),
        }))
    }

    /// One answer, and then nothing until somebody ends it.
    async fn watch_order(&self, _: Request<proto::WatchOrderRequest>) -> Answer<Orders> {
        let first = futures_util::stream::iter([Ok(proto::WatchOrderResponse::default())]);
        Ok(Response::new(Box::pin(
            first.chain(futures_util::stream::pending()),
        )))
    }

    async fn record_stripe_event(
        &self,
        request: Request<proto::RecordStripeEventRequest>,
    ) -> Answer<proto::RecordStripeEventResponse> {
        let event_id = request.get_ref().payload.len().to_string();
        Ok(Response::new(proto::RecordStripeEventResponse {
            event_id,
            duplicate: false,
        }))
    }

    type WatchOrderEventsStream =
        Pin<Box<dyn Stream<Item = Result<proto::WatchOrderEventsResponse, Status>> + Send>>;

    async fn watch_order_events(
        &self,
        _: Request<proto::WatchOrderEventsRequest>,
    ) -> Answer<Self::WatchOrderEventsStream> {
        refuse("")
    }

    async fn list_stripe_events(
        &self,
        _: Request<proto::ListStripeEventsRequest>,
    ) -> Answer<proto::ListStripeEventsResponse> {
        refuse("")
    }

    async fn replay_stripe_event(
        &self,
        _: Request<proto::ReplayStripeEventRequest>,
    ) -> Answer<proto::ReplayStripeEventResponse> {
        refuse("")
    }

    async fn cancel_order(
        &self,
        _: Request<proto::CancelOrderRequest>,
    ) -> Answer<proto::CancelOrderResponse> {
        refuse("")
    }

    async fn change_plan(
        &self,
        _: Request<proto::ChangePlanRequest>,
    ) -> Answer<proto::ChangePlanResponse> {
        refuse("")
    }

    async fn rename_server(
        &self,
        _: Request<proto::RenameServerRequest>,
    ) -> Answer<proto::RenameServerResponse> {
        refuse("")
    }

    async fn complete_manual_addon(
        &self,
        _: Request<proto::CompleteManualAddonRequest>,
    ) -> Answer<proto::CompleteManualAddonResponse> {
        refuse("")
    }

    async fn create_billing_portal_session(
        &self,
        _: Request<proto::CreateBillingPortalSessionRequest>,
    ) -> Answer<proto::CreateBillingPortalSessionResponse> {
        refuse("")
    }

    async fn resume_order(
        &self,
        _: Request<proto::ResumeOrderRequest>,
    ) -> Answer<proto::ResumeOrderResponse> {
        refuse("")
    }

    async fn create_checkout_session(
        &self,
        _: Request<proto::CreateCheckoutSessionRequest>,
    ) -> Answer<proto::CreateCheckoutSessionResponse> {
        refuse("")
    }

    async fn list_orders(
        &self,
        _: Request<proto::ListOrdersRequest>,
    ) -> Answer<proto::ListOrdersResponse> {
        refuse("")
    }

    async fn list_order_events(
        &self,
        _: Request<proto::ListOrderEventsRequest>,
    ) -> Answer<proto::ListOrderEventsResponse> {
        refuse("")
    }

    async fn get_profile(
        &self,
        _: Request<proto::GetProfileRequest>,
    ) -> Answer<proto::GetProfileResponse> {
        refuse("")
    }

    async fn create_affiliate(
        &self,
        _: Request<proto::CreateAffiliateRequest>,
    ) -> Answer<proto::CreateAffiliateResponse> {
        refuse("")
    }

    async fn get_affiliate(
        &self,
        _: Request<proto::GetAffiliateRequest>,
    ) -> Answer<proto::GetAffiliateResponse> {
        refuse("")
    }

    async fn record_affiliate_click(
        &self,
        _: Request<proto::RecordAffiliateClickRequest>,
    ) -> Answer<proto::RecordAffiliateClickResponse> {
        refuse("")
    }

    async fn list_affiliate_commissions(
        &self,
        _: Request<proto::ListAffiliateCommissionsRequest>,
    ) -> Answer<proto::ListAffiliateCommissionsResponse> {
        refuse("")
    }

    async fn update_profile(
        &self,
        _: Request<proto::UpdateProfileRequest>,
    ) -> Answer<proto::UpdateProfileResponse> {
        refuse("")
    }

    async fn export_profile(
        &self,
        _: Request<proto::ExportProfileRequest>,
    ) -> Answer<proto::ExportProfileResponse> {
        refuse("")
    }

    async fn delete_profile(
        &self,
        _: Request<proto::DeleteProfileRequest>,
    ) -> Answer<proto::DeleteProfileResponse> {
        refuse("")
    }
}

struct Rig {
    db: Db,
    addr: SocketAddr,
    serving: Serving,
    begun: Arc<Notify>,
    go: Arc<Notify>,
    /// An operator's.
    token: String,
    _folder: TempDir,
}

impl Rig {
    async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            url: format!("sqlite://{}", folder.path().join("test.db").display()),
            max_connections: 4,
            acquire_timeout: Duration::from_secs(5),
        };
        let db = Db::open(&options).await.unwrap();
        db.migrate().await.unwrap();
        let token = tokens::create(&db, Role::Operator, "op", None)
            .await
            .unwrap();
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let scripted = Scripted {
            begun: Arc::clone(&begun),
            go: Arc::clone(&go),
        };
        let service =
            server::OrderServiceServer::new(scripted).max_decoding_message_size(EVENT_DECODE_BYTES);
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        // No memory: a revoked token must be refused at once.
        let known = Arc::new(tokens::Tokens::with_memory(db.clone(), Duration::ZERO));
        let routes = Routes::new(service);
        let closing = CancellationToken::new();
        let serving = start(listener, routes, known, settings, closing)
            .await
            .unwrap();
        serving.health().set(true).await;
        let addr = serving.addr();
        Self {
            db,
            addr,
            serving,
            begun,
            go,
            token,
            _folder: folder,
        }
    }

    async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.addr)).unwrap();
        endpoint.connect().await.unwrap()
    }

    async fn orders(&self) -> OrderServiceClient<Channel> {
        OrderServiceClient::new(self.channel().await)
    }

    /// A call of GetOrder as the operator.
    fn get(&self, order_id: &str) -> Request<proto::GetOrderRequest> {
        self.signed(proto::GetOrderRequest {
            order_id: order_id.to_owned(),
        })
    }

    fn signed<T>(&self, message: T) -> Request<T> {
        signed(message, &self.token)
    }

    async fn token(&self, role: Role) -> String {
        tokens::create(&self.db, role, role.as_str(), Some(1))
            .await
            .unwrap()
    }
}

fn signed<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

fn reason(status: &Status) -> String {
    status
        .get_details_error_info()
        .map(|info| info.reason)
        .unwrap_or_default()
}

fn assert_refused(status: &Status, code: Code, its_reason: &str) {
    assert_eq!(
        (status.code(), reason(status).as_str()),
        (code, its_reason),
        "{status:?}"
    );
}

/// Waits for something that must happen soon.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what)
        .await
        .expect("it happens in time")
}

#[tokio::test]
async fn a_port_in_use_is_told_in_words() {
    let taken = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = bind(taken.local_addr().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("the port is in use"), "{error}");
}

#[tokio::test]
async fn calls_without_token_are_for_loopback_only() {
    let settings = || Settings {
        insecure_loopback: true,
        ..Settings::default()
    };
    let rig = Rig::with(settings()).await;
    let request = Request::new(proto::GetOrderRequest {
        order_id: "caller".to_owned(),
    });
    let order = rig
        .orders()
        .await
        .get_order(request)
        .await
        .unwrap()
        .into_inner()
        .order
        .unwrap();
    assert_eq!(order.plan_id, "operator");
    // A token still counts, also a wrong one.
    let mut orders = rig.orders().await;
    let wrong = signed(
        proto::GetOrderRequest {
            order_id: "caller".to_owned(),
        },
        "spt_x",
    );
    assert_eq!(
        orders.get_order(wrong).await.unwrap_err().code(),
        Code::Unauthenticated
    );

    let listener = bind("0.0.0.0:0".parse().unwrap()).await.unwrap();
    let known = Arc::new(tokens::Tokens::new(rig.db.clone()));
    let open = start(
        listener,
        Routes::default(),
        known,
        settings(),
        CancellationToken::new(),
    )
    .await;
    assert!(matches!(open, Err(Error::NotLoopback(_))));
}

#[tokio::test]
async fn reflection_needs_a_token_and_shows_every_service() {
    let rig = Rig::start().await;
    let ask = || {
        futures_util::stream::iter([ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        }])
    };
    let mut client = ServerReflectionClient::new(rig.channel().await);
    let refused = client
        .server_reflection_info(Request::new(ask()))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "UNAUTHENTICATED_TOKEN");
    let viewer = rig.token(Role::Viewer).await;
    let answers = client
        .server_reflection_info(signed(ask(), &viewer))
        .await
        .unwrap();
    let first = answers.into_inner().next().await.unwrap().unwrap();
    let text = format!("{first:?}");
    for service in [
        "spawnpoint.v1.CatalogService",
        "spawnpoint.v1.ProvisioningService",
        "grpc.health.v1.Health",
    ] {
        assert!(text.contains(service), "{text}");
    }
}

async fn health(rig: &Rig, service: &str) -> Result<ServingStatus, Status> {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let answer = HealthClient::new(rig.channel().await)
        .check(request)
        .await?;
    Ok(answer.into_inner().status())
}

#[tokio::test]
async fn health_is_open_and_switched_for_all_services() {
    let rig = Rig::start().await;
    let names = [
        "",
        "spawnpoint.v1.OrderService",
        "spawnpoint.v1.CatalogService",
    ];
    for (serving, expected) in [
        (true, ServingStatus::Serving),
        (false, ServingStatus::NotServing),
    ] {
        rig.serving.health().set(serving).await;
        for name in names {
            assert_eq!(health(&rig, name).await.unwrap(), expected, "{name}");
        }
    }
    let unknown = health(&rig, "nobody").await.unwrap_err();
    assert_eq!(
        (unknown.code(), reason(&unknown).as_str()),
        (Code::NotFound, "NOT_FOUND")
    );
}
