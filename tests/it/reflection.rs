//! What a newcomer with grpcurl sees: health without a token, and with any token every
//! service, method and message described, with its comments.

use std::collections::BTreeSet;

use prost::Message;
use prost_types::FileDescriptorProto;
use spawnpoint::rpc::proto::DESCRIPTORS;
use tokio_stream::StreamExt;
use tonic::{Code, Request, Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::support::{
    db::Engine,
    live::{Live, reason, with_token},
    wire::Api,
};

const SERVICES: [&str; 3] = [
    "spawnpoint.v1.CatalogService",
    "spawnpoint.v1.OrderService",
    "spawnpoint.v1.ProvisioningService",
];

/// Both versions of the protocol have messages of the same form in two packages.
macro_rules! reflect {
    ($name:ident, $version:ident) => {
        mod $name {
            pub use tonic_reflection::pb::$version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest,
                server_reflection_response::MessageResponse,
            };

            use super::*;

            async fn ask(
                channel: &Channel,
                token: Option<&str>,
                question: MessageRequest,
            ) -> Result<MessageResponse, Status> {
                let question = ServerReflectionRequest {
                    host: String::new(),
                    message_request: Some(question),
                };
                let questions = tokio_stream::once(question);
                let request = match token {
                    Some(token) => with_token(questions, token),
                    None => Request::new(questions),
                };
                let mut client = ServerReflectionClient::new(channel.clone());
                let mut answers = client.server_reflection_info(request).await?.into_inner();
                let answer = answers.next().await.expect("an answer")?;
                Ok(answer.message_response.unwrap())
            }

            pub async fn services(
                channel: &Channel,
                token: Option<&str>,
            ) -> Result<BTreeSet<String>, Status> {
                let question = MessageRequest::ListServices("*".to_owned());
                match ask(channel, token, question).await? {
                    MessageResponse::ListServicesResponse(listed) => Ok(listed
                        .service
                        .into_iter()
                        .map(|service| service.name)
                        .collect()),
                    other => panic!("{other:?}"),
                }
            }

            /// The files that describe a symbol.
            pub async fn describe(
                channel: &Channel,
                token: &str,
                symbol: &str,
            ) -> Vec<FileDescriptorProto> {
                let question = MessageRequest::FileContainingSymbol(symbol.to_owned());
                match ask(channel, Some(token), question).await.unwrap() {
                    MessageResponse::FileDescriptorResponse(files) => {
                        let files = files.file_descriptor_proto.iter();
                        files
                            .map(|file| FileDescriptorProto::decode(&**file).unwrap())
                            .collect()
                    }
                    other => panic!("{symbol}: {other:?}"),
                }
            }
        }
    };
}

reflect!(new, v1);
reflect!(old, v1alpha);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn any_token_shows_every_service_and_message_and_no_token_shows_none() {
    let live = Live::open(Engine::Sqlite).await;
    let (channel, tokens) = (live.channel(), live.world.tokens.clone());
    for token in [
        &tokens.operator,
        &tokens.storefront,
        &tokens.gateway,
        &tokens.viewer,
    ] {
        for services in [
            new::services(&channel, Some(token)).await.unwrap(),
            old::services(&channel, Some(token)).await.unwrap(),
        ] {
            for service in SERVICES {
                assert!(services.contains(service), "{service} of {services:?}");
            }
            assert!(services.contains("grpc.health.v1.Health"));
        }
    }
    for token in [None, Some("spt_nobody"), Some("")] {
        for refused in [
            new::services(&channel, token).await.unwrap_err(),
            old::services(&channel, token).await.unwrap_err(),
        ] {
            assert_eq!(refused.code(), Code::Unauthenticated);
            assert_eq!(reason(&refused), "UNAUTHENTICATED_TOKEN");
        }
    }
    let mut symbols = 0;
    for method in &Api::read().methods {
        let (service, name) = method.label.split_once('/').unwrap();
        let symbol = format!("spawnpoint.v1.{service}");
        let message = method.input.trim_start_matches('.');
        for files in [
            new::describe(&channel, &tokens.viewer, &symbol).await,
            old::describe(&channel, &tokens.viewer, &symbol).await,
        ] {
            let services = files.iter().flat_map(|file| &file.service);
            let mut methods = services.flat_map(|service| &service.method);
            assert!(
                methods.any(|method| method.name() == name),
                "{}",
                method.label
            );
        }
        for files in [
            new::describe(&channel, &tokens.viewer, message).await,
            old::describe(&channel, &tokens.viewer, message).await,
        ] {
            let mut messages = files.iter().flat_map(|file| &file.message_type);
            assert!(
                messages.any(|other| message.ends_with(other.name())),
                "{message}"
            );
        }
        symbols += 2;
    }
    assert!(symbols >= 62, "{symbols}");
    live.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn health_is_open_and_tells_of_each_service() {
    let mut live = Live::open(Engine::Sqlite).await;
    let mut health = HealthClient::new(live.channel());
    let mut check = async |service: &str| {
        let service = service.to_owned();
        health
            .check(HealthCheckRequest { service })
            .await
            .map(|answer| answer.into_inner().status())
    };
    for service in [""].iter().chain(&SERVICES) {
        assert_eq!(
            check(service).await.unwrap(),
            ServingStatus::Serving,
            "{service:?}"
        );
    }
    let unknown = check("spawnpoint.v1.Nothing").await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);

    let mut watcher = HealthClient::new(live.channel());
    let request = HealthCheckRequest {
        service: SERVICES[1].to_owned(),
    };
    let mut watch = watcher.watch(request).await.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    live.world.stop_cores().await;
    let last = watch.message().await.unwrap().unwrap();
    assert_eq!(
        last.status(),
        ServingStatus::NotServing,
        "told before the connection goes"
    );
    live.close().await;
}

/// Every method says what it does, in the descriptor set that reflection serves.
#[test]
fn every_method_and_message_field_that_needs_it_is_described() {
    let files = prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let mut described = 0;
    for file in &files.file {
        let comments = |path: &[i32]| {
            let info = file.source_code_info.as_ref().expect("comments are kept");
            let location = info.location.iter().find(|location| location.path == path);
            location.map(|location| location.leading_comments().trim().to_owned())
        };
        for (at, service) in (0..).zip(&file.service) {
            let text = comments(&[6, at]).unwrap_or_default();
            assert!(!text.is_empty(), "{} says nothing", service.name());
            for (number, method) in (0..).zip(&service.method) {
                let text = comments(&[6, at, 2, number]).unwrap_or_default();
                assert!(text.len() > 8, "{} says nothing", method.name());
                described += 1;
            }
        }
    }
    assert_eq!(described, Api::read().methods.len());
}
