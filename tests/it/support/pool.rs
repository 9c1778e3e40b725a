//! A node that is larger than those of the example shop, in a region of its own.

use std::net::{IpAddr, Ipv4Addr};

use sandbox::panel::NodeSpec;
use spawnpoint::rpc::proto;
use uuid::Uuid;

use super::live::{Live, cart};

/// Its region.
pub const POOL: &str = "pool";
const FIRST_PORT: u16 = 40_000;

impl Live {
    /// Adds a node with so many ports and as many gigabytes, and waits until they are known.
    pub async fn add_pool(&self, size: u16) -> proto::Node {
        let spec = NodeSpec {
            name: "pool".to_owned(),
            description: String::new(),
            location: 1,
            fqdn: "pool.example.net".to_owned(),
            memory: i64::from(size) * 1_024,
            disk: i64::from(size) * 10_240,
            ip: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 60)),
            alias: None,
            ports: FIRST_PORT..=FIRST_PORT + size - 1,
        };
        let node = proto::Node {
            name: "Pool".to_owned(),
            region: POOL.to_owned(),
            max_ram_gb: i32::from(size),
            max_disk_gb: i32::from(size) * 10,
            enabled: true,
            weight: 100,
            ..proto::Node::default()
        };
        self.add_node(&spec, node).await
    }
}

/// A cart of one gigabyte and one port of the pool.
pub fn pool_cart(user: Uuid) -> proto::CreateCheckoutSessionRequest {
    proto::CreateCheckoutSessionRequest {
        plan_id: "mc-1gb".to_owned(),
        region: POOL.to_owned(),
        ..cart(user)
    }
}
