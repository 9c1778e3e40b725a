//! Every method that is served, by its path: what the door must know before a
//! handler runs. Read from the descriptor set, so that it cannot fall behind.

use std::{collections::HashMap, sync::LazyLock};

use prost::Message;
use prost_types::FileDescriptorSet;

use super::proto;

/// What the door knows of a method.
#[derive(Debug, PartialEq, Eq)]
pub struct Method {
    /// `OrderService/GetOrder`, as in the table of rules; for logs and metrics.
    pub label: String,
    /// Whether answers go on until somebody ends them.
    pub streaming: bool,
    /// Whether it may be called without a token, and under any load.
    pub open: bool,
}

const HEALTH: &str = "/grpc.health.v1.Health/";
const REFLECTION: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
];

static METHODS: LazyLock<HashMap<String, Method>> = LazyLock::new(read);
static SERVICES: LazyLock<Vec<String>> = LazyLock::new(name_services);
static UNKNOWN: LazyLock<Method> = LazyLock::new(|| Method {
    label: "unknown".to_owned(),
    streaming: false,
    open: false,
});

/// The method at `path`. All that are not served are one, so that a stranger
/// cannot fill the metrics with names.
pub fn at(path: &str) -> &'static Method {
    METHODS.get(path).unwrap_or(&UNKNOWN)
}

/// Full names of our services, for health.
pub fn services() -> &'static [String] {
    &SERVICES
}

fn name_services() -> Vec<String> {
    let files = FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap_or_default();
    let mut names = Vec::new();
    for file in &files.file {
        let services = file.service.iter();
        names.extend(services.map(|service| format!("{}.{}", file.package(), service.name())));
    }
    names
}

fn read() -> HashMap<String, Method> {
    let mut methods = HashMap::new();
    for (name, streaming) in [("Check", false), ("List", false), ("Watch", true)] {
        let label = format!("Health/{name}");
        methods.insert(
            format!("{HEALTH}{name}"),
            Method {
                label,
                streaming,
                open: true,
            },
        );
    }
    for prefix in REFLECTION {
        let label = "ServerReflection/ServerReflectionInfo".to_owned();
        let method = Method {
            label,
            streaming: true,
            open: false,
        };
        methods.insert(format!("{prefix}ServerReflectionInfo"), method);
    }
    let files = FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap_or_default();
    for file in &files.file {
        for service in &file.service {
            for method in &service.method {
                let label = format!("{}/{}", service.name(), method.name());
                let path = format!("/{}.{label}", file.package());
                let streaming = method.server_streaming();
                methods.insert(
                    path,
                    Method {
                        label,
                        streaming,
                        open: false,
                    },
                );
            }
        }
    }
    methods
}

#[cfg(test)]
mod tests {
    use super::{METHODS, at, services};
    use crate::app::authorize::RULES;

    #[test]
    fn methods_are_those_of_the_descriptor_set() {
        assert_eq!(METHODS.len(), RULES.len() + 5);
        for rule in RULES {
            let method = at(&format!("/spawnpoint.v1.{}", rule.method));
            assert_eq!(method.label, rule.method);
            assert_eq!(
                method.streaming,
                rule.method.contains("/Watch"),
                "{}",
                rule.method
            );
            assert!(!method.open);
        }
        assert!(at("/grpc.health.v1.Health/Check").open);
        assert!(!at("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo").open);
    }

    #[test]
    fn strangers_share_one_name() {
        for path in [
            "",
            "/",
            "/a/b",
            "/spawnpoint.v1.OrderService/getOrder",
            "/grpc.health.v1.Health/",
        ] {
            assert_eq!(at(path).label, "unknown", "{path}");
            assert!(!at(path).open, "{path}");
        }
    }

    #[test]
    fn services_have_their_full_names() {
        assert!(services().contains(&"spawnpoint.v1.OrderService".to_owned()));
    }
}
