//! Certificates: the server's own, and those that clients must show.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::*;
use crate::config::Tls;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for this machine, and its key.
fn certificate(authority: &Authority) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (
        params.signed_by(&key, authority).unwrap().pem(),
        key.serialize_pem(),
    )
}

async fn rig(authority: &Authority, client_ca: Option<&Authority>) -> Rig {
    let (certificate, key) = certificate(authority);
    let tls = Tls {
        certificate: certificate.into_bytes(),
        key: key.into_bytes(),
        client_ca: client_ca.map(|authority| authority.pem().into_bytes()),
    };
    Rig::with(Settings {
        tls: Some(tls),
        ..Settings::default()
    })
    .await
}

/// Whether a client with this trust and identity gets an answer.
async fn is_served(rig: &Rig, trusted: &Authority, identity: Option<(String, String)>) -> bool {
    let mut tls = ClientTlsConfig::new()
        .domain_name("localhost")
        .ca_certificate(Certificate::from_pem(trusted.pem()));
    if let Some((certificate, key)) = identity {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    let endpoint = Endpoint::from_shared(format!("https://{}", rig.addr)).unwrap();
    let Ok(channel) = endpoint.tls_config(tls).unwrap().connect().await else {
        return false;
    };
    // With TLS 1.3 a client learns of its refusal at the first answer only.
    soon(OrderServiceClient::new(channel).get_order(rig.get("caller")))
        .await
        .is_ok()
}

#[tokio::test]
async fn a_certificate_is_shown_and_plain_text_is_refused() {
    let (ours, other) = (authority(), authority());
    let rig = rig(&ours, None).await;
    assert!(is_served(&rig, &ours, None).await);
    assert!(!is_served(&rig, &other, None).await, "another authority");
    let plain = Endpoint::from_shared(format!("http://{}", rig.addr)).unwrap();
    let served = match plain.connect().await {
        Ok(channel) => OrderServiceClient::new(channel)
            .get_order(rig.get("caller"))
            .await
            .is_ok(),
        Err(_) => false,
    };
    assert!(!served, "plain text");
}

#[tokio::test]
async fn clients_must_show_a_certificate_where_an_authority_is_named() {
    let (ours, clients) = (authority(), authority());
    let rig = rig(&ours, Some(&clients)).await;
    assert!(is_served(&rig, &ours, Some(certificate(&clients))).await);
    assert!(!is_served(&rig, &ours, None).await, "none");
    assert!(
        !is_served(&rig, &ours, Some(certificate(&ours))).await,
        "of another authority"
    );
}

#[tokio::test]
async fn a_broken_certificate_is_told_at_start() {
    let rig = Rig::start().await;
    let tls = Tls {
        certificate: b"x".to_vec(),
        key: b"x".to_vec(),
        client_ca: None,
    };
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let known = Arc::new(tokens::Tokens::new(rig.db.clone()));
    let settings = Settings {
        tls: Some(tls),
        ..Settings::default()
    };
    let started = start(
        listener,
        Routes::default(),
        known,
        settings,
        CancellationToken::new(),
    )
    .await;
    assert!(matches!(started, Err(Error::Tls(_))));
}
