//! A core that keeps every call and answers as told.
//!
//! It serves the one method by its path instead of the generated trait, so that
//! methods added to the service later do not concern these tests.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use gateway::proto::{RecordStripeEventRequest, RecordStripeEventResponse};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;

/// What the core does with the next calls.
#[derive(Debug, Clone, Copy)]
pub enum Behaviour {
    Store,
    StoreAgain,
    Fail(Code),
    Hang,
}

/// One call as the core saw it.
#[derive(Debug, Clone)]
pub struct Call {
    pub message: RecordStripeEventRequest,
    pub authorization: String,
    pub grpc_timeout: String,
}

#[derive(Clone)]
struct Orders(Arc<Mutex<State>>);

struct State {
    behaviour: Behaviour,
    calls: Vec<Call>,
}

/// A core on a real socket.
pub struct FakeCore {
    pub addr: SocketAddr,
    orders: Orders,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl FakeCore {
    /// On any free port.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// On this very address, as a core that comes back.
    pub async fn start_at(addr: SocketAddr) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let state = State {
            behaviour: Behaviour::Store,
            calls: Vec::new(),
        };
        let orders = Orders(Arc::new(Mutex::new(state)));
        let stop = CancellationToken::new();
        let (_, health) = tonic_health::server::health_reporter();
        let serving = Server::builder()
            .add_service(health)
            .add_service(orders.clone())
            .serve_with_incoming_shutdown(
                TcpIncoming::from(listener),
                stop.clone().cancelled_owned(),
            );
        let task = tokio::spawn(async move { serving.await.unwrap() });
        Self {
            addr,
            orders,
            stop,
            task,
        }
    }

    /// What it does from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.orders.0.lock().unwrap().behaviour = behaviour;
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        self.orders.0.lock().unwrap().calls.clone()
    }

    /// Ends it and frees its port.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

impl UnaryService<RecordStripeEventRequest> for Orders {
    type Response = RecordStripeEventResponse;
    type Future =
        Pin<Box<dyn Future<Output = Result<Response<Self::Response>, Status>> + Send + 'static>>;

    fn call(&mut self, request: Request<RecordStripeEventRequest>) -> Self::Future {
        let header = |name| {
            let value = request
                .metadata()
                .get(name)
                .map(|value| value.to_str().unwrap());
            value.unwrap_or_default().to_owned()
        };
        let (authorization, grpc_timeout) = (header("authorization"), header("grpc-timeout"));
        let behaviour = {
            let mut state = self.0.lock().unwrap();
            let message = request.into_inner();
            state.calls.push(Call {
                message,
                authorization,
                grpc_timeout,
            });
            state.behaviour
        };
        Box::pin(async move {
            let stored = |duplicate| {
                Ok(Response::new(RecordStripeEventResponse {
                    event_id: "evt_1".to_owned(),
                    duplicate,
                }))
            };
            match behaviour {
                Behaviour::Store => stored(false),
                Behaviour::StoreAgain => stored(true),
                Behaviour::Fail(code) => Err(Status::new(code, "words of the core")),
                Behaviour::Hang => std::future::pending().await,
            }
        })
    }
}

impl NamedService for Orders {
    const NAME: &'static str = "spawnpoint.v1.OrderService";
}

impl tower::Service<http::Request<Body>> for Orders {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let orders = self.clone();
        Box::pin(async move {
            if request.uri().path() != "/spawnpoint.v1.OrderService/RecordStripeEvent" {
                return Ok(Status::unimplemented("not a method of the tests").into_http());
            }
            let codec =
                ProstCodec::<RecordStripeEventResponse, RecordStripeEventRequest>::default();
            Ok(Grpc::new(codec).unary(orders, request).await)
        })
    }
}
