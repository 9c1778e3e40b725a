//! `spawnpoint-gateway` in front of an open shop.

use std::{net::SocketAddr, ops::Deref};

use sandbox::{stripe::ApiVersion, world::WEBHOOK_SECRET};
use serde_json::Value;

use super::{
    super::live::{Live, PATIENCE},
    Binary, Program,
};

/// A gateway in a process of its own.
pub struct GatewayProcess {
    program: Program,
    /// Where webhooks arrive.
    pub addr: SocketAddr,
}

impl GatewayProcess {
    /// Starts a gateway on a free port, with the core of the shop behind it. Variables of
    /// `further` win: `SPAWNPOINT_URL` puts another core, or a proxy, behind it.
    pub async fn start(live: &Live, further: &[(&str, &str)]) -> Self {
        let mut env = vec![
            ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET.to_owned()),
            ("SPAWNPOINT_TOKEN", live.world.tokens.gateway.clone()),
            ("SPAWNPOINT_URL", format!("http://{}", live.world.grpc_addr)),
            ("GATEWAY_ADDR", "127.0.0.1:0".to_owned()),
            ("GATEWAY_METRICS_ADDR", "off".to_owned()),
            ("RUST_LOG", "info".to_owned()),
        ];
        env.retain(|(known, _)| further.iter().all(|(name, _)| name != known));
        env.extend(
            further
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        let program = Program::spawn(Binary::Gateway, &[], &env);
        let addr = program.logged("the gateway listens", PATIENCE, address);
        let addr = addr.await;
        Self { program, addr }
    }

    /// Lets the Stripe stand-in send its webhooks here, and nowhere else.
    pub fn take_webhooks(&self, live: &Live) {
        let url = format!("http://{}/stripe-webhook", self.addr);
        live.world
            .stripe
            .set_webhook_endpoint(&url, WEBHOOK_SECRET, ApiVersion::NEW)
            .unwrap();
    }
}

impl Deref for GatewayProcess {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.program
    }
}

fn address(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = &line["fields"];
    if fields["message"] != "gateway listening" {
        return None;
    }
    fields["addr"].as_str()?.parse().ok()
}
