//! The table of who may call what, against the API as it is served.

use std::collections::BTreeSet;

use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use spawnpoint::{app::authorize::RULES, rpc::proto::DESCRIPTORS};

/// Field numbers of `service` in a file and of `method` in a service: how
/// comments are addressed.
const SERVICE: i32 = 6;
const METHOD: i32 = 2;
/// Shorter than this says nothing.
const COMMENT_CHARS: usize = 30;

fn files() -> Vec<FileDescriptorProto> {
    let set = FileDescriptorSet::decode(DESCRIPTORS).expect("a descriptor set");
    let ours = |file: &FileDescriptorProto| file.package() == "spawnpoint.v1";
    set.file.into_iter().filter(ours).collect()
}

/// `Service/Method` and the comment above it.
fn methods() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in files() {
        let comments = file.source_code_info.clone().unwrap_or_default().location;
        for (service_at, service) in (0..).zip(&file.service) {
            for (method_at, method) in (0..).zip(&service.method) {
                let path = [SERVICE, service_at, METHOD, method_at];
                let comment = comments.iter().find(|location| location.path == path);
                let comment = comment.map_or("", |location| location.leading_comments());
                found.push((
                    format!("{}/{}", service.name(), method.name()),
                    comment.trim().to_owned(),
                ));
            }
        }
    }
    found
}

#[test]
fn every_method_has_one_rule_and_every_rule_a_method() {
    let served: BTreeSet<String> = methods().into_iter().map(|(method, _)| method).collect();
    let ruled: BTreeSet<String> = RULES.iter().map(|rule| rule.method.to_owned()).collect();
    assert!(served.len() >= 31, "the API has lost methods: {served:?}");
    assert_eq!(ruled.len(), RULES.len(), "a method has two rules");
    assert_eq!(served, ruled);
}

#[test]
fn every_rule_lets_somebody_in_and_always_the_operator() {
    for rule in RULES {
        let roles: Vec<&str> = rule.roles.iter().map(|role| role.as_str()).collect();
        assert!(roles.contains(&"operator"), "{}: {roles:?}", rule.method);
        assert_eq!(
            roles.iter().collect::<BTreeSet<_>>().len(),
            roles.len(),
            "{} names a role twice",
            rule.method
        );
    }
}

#[test]
fn every_method_and_every_service_is_explained() {
    let mute: Vec<String> = methods()
        .into_iter()
        .filter(|(_, comment)| comment.chars().count() < COMMENT_CHARS)
        .map(|(method, comment)| format!("{method}: {comment:?}"))
        .collect();
    assert!(mute.is_empty(), "methods without a comment: {mute:#?}");
}
