//! One sound request for every method: what a test of a single wrong field starts from.

mod catalog;

use std::collections::HashMap;

use prost::Message;
use prost_types::FieldMask;
use sandbox::world::SHOP_ORIGIN;
use spawnpoint::{
    domain::{OrderId, UserId},
    rpc::proto,
};
use uuid::Uuid;

use super::{
    live::{Live, cart},
    shop,
};
use catalog::money;

/// Makes sound requests. Each is new where a method makes something.
pub struct Sound {
    order_id: String,
    /// One that may be ended.
    spare_order_id: String,
    /// One with an add-on that people deliver.
    manual_order_id: String,
    user: Uuid,
    /// One who never bought anything.
    leaver: UserId,
    /// Where the server of the order is.
    busy_node_id: i32,
    node_id: i32,
    made: u32,
}

impl Sound {
    /// Puts into the shop what the requests name: a server that runs, and rows of its own
    /// to be changed, so that nothing which is sold gets in the way.
    pub async fn stock(live: &Live) -> Self {
        let user = Uuid::new_v4();
        let order = live.buy(user).await;
        let spare = live.buy(Uuid::new_v4()).await;
        let with_addon = proto::CreateCheckoutSessionRequest {
            addon_ids: vec![MANUAL_ADDON.to_owned()],
            ..cart(Uuid::new_v4())
        };
        let manual = live.buy_cart(with_addon).await;
        let db = &live.store.db;
        let leaver = db.tx(|tx| async move {
            let now_us = db.now_in(&tx).await?;
            shop::user(&tx, now_us).await
        });
        let leaver = leaver.await.unwrap();
        let mut sound = Self {
            leaver,
            order_id: order.id,
            spare_order_id: spare.id,
            manual_order_id: manual.id,
            user,
            busy_node_id: order.node_id,
            node_id: 0,
            made: 0,
        };
        let mut catalog = live.catalog();
        let mut plan = sound.plan();
        plan.id = "sound-plan".to_owned();
        let request = proto::CreatePlanRequest {
            plan: Some(plan),
            ..Default::default()
        };
        catalog.create_plan(live.operator(request)).await.unwrap();
        let mut addon = sound.addon();
        addon.id = "sound-addon".to_owned();
        let request = proto::CreateAddonRequest {
            addon: Some(addon),
            ..Default::default()
        };
        catalog.create_addon(live.operator(request)).await.unwrap();
        let mut game = sound.game();
        game.id = "sound-game".to_owned();
        let request = proto::CreateGameRequest {
            game: Some(game),
            ..Default::default()
        };
        catalog.create_game(live.operator(request)).await.unwrap();
        let node = Some(sound.node());
        let request = proto::CreateNodeRequest {
            node,
            ..Default::default()
        };
        let made = live
            .provisioning()
            .create_node(live.operator(request))
            .await
            .unwrap();
        sound.node_id = made.into_inner().node.unwrap().id;
        let event = proto::RecordStripeEventRequest {
            payload: event(STORED_EVENT),
            receive_time: None,
        };
        let recorded = live
            .orders()
            .record_stripe_event(live.operator(event))
            .await;
        recorded.unwrap();
        let affiliate = proto::CreateAffiliateRequest {
            user_id: user.to_string(),
            code: CODE.to_owned(),
            request_id: String::new(),
        };
        let made = live
            .orders()
            .create_affiliate(live.operator(affiliate))
            .await;
        made.unwrap();
        let referred = OrderId(sound.spare_order_id.parse().unwrap());
        let stored = db.tx(|tx| async move {
            let now_us = db.now_in(&tx).await?;
            shop::commission(&tx, referred, UserId(user), now_us).await
        });
        stored.await.unwrap();
        sound
    }

    /// An otherwise sound element of a repeated message or a map, by its full name.
    pub fn element(name: &str) -> Vec<u8> {
        let entry = |key: &str, value: &str| {
            let entry = HashMap::from([(key.to_owned(), value.to_owned())]);
            // A message whose first field is a map: its own key and length are cut off.
            let game = proto::RevealServerSecretsResponse { environment: entry };
            game.encode_to_vec()[2..].to_vec()
        };
        match name {
            ".spawnpoint.v1.PlanPrice" => proto::PlanPrice {
                term: proto::Term::Yearly.into(),
                stripe_price_id: format!("price_{}", Uuid::new_v4().simple()),
                amount: Some(money(9_900)),
            }
            .encode_to_vec(),
            ".spawnpoint.v1.CreateCheckoutSessionRequest.EnvironmentEntry" => {
                entry("MINECRAFT_VERSION", "1.20.4")
            }
            ".spawnpoint.v1.Game.EnvironmentEntry" => entry("MOTD", "hello"),
            other => panic!("no sound {other}"),
        }
    }

    /// A sound request of this method, encoded.
    pub fn request(&mut self, label: &str) -> Vec<u8> {
        self.made += 1;
        let (service, method) = label.split_once('/').unwrap();
        match service {
            "CatalogService" => self.catalog(method),
            "OrderService" => self.orders(method),
            _ => self.provisioning(method),
        }
        .unwrap_or_else(|| panic!("no sound request of {label}"))
    }

    fn orders(&self, method: &str) -> Option<Vec<u8>> {
        let order_id = self.order_id.clone();
        Some(match method {
            // One user's: a fourth open session ends the first, so room never runs out.
            "CreateCheckoutSession" => cart(self.user).encode_to_vec(),
            "CancelOrder" => proto::CancelOrderRequest {
                order_id,
                at_period_end: true,
                request_id: Uuid::new_v4().to_string(),
            }
            .encode_to_vec(),
            "ChangePlan" => proto::ChangePlanRequest {
                order_id,
                plan_id: "mc-2gb".to_owned(),
                addon_ids: Vec::new(),
                request_id: Uuid::new_v4().to_string(),
            }
            .encode_to_vec(),
            "RenameServer" => proto::RenameServerRequest {
                order_id,
                server_name: "Another world".to_owned(),
                request_id: Uuid::new_v4().to_string(),
            }
            .encode_to_vec(),
            "CompleteManualAddon" => proto::CompleteManualAddonRequest {
                order_id: self.manual_order_id.clone(),
                addon_id: MANUAL_ADDON.to_owned(),
                request_id: Uuid::new_v4().to_string(),
            }
            .encode_to_vec(),
            "CreateBillingPortalSession" => proto::CreateBillingPortalSessionRequest {
                order_id,
                return_url: format!("{SHOP_ORIGIN}/account"),
            }
            .encode_to_vec(),
            "ResumeOrder" => proto::ResumeOrderRequest {
                order_id,
                request_id: Uuid::new_v4().to_string(),
            }
            .encode_to_vec(),
            "GetOrder" => proto::GetOrderRequest { order_id }.encode_to_vec(),
            "WatchOrder" => proto::WatchOrderRequest { order_id }.encode_to_vec(),
            "ListOrderEvents" => proto::ListOrderEventsRequest {
                order_id,
                ..Default::default()
            }
            .encode_to_vec(),
            "ListOrders" | "ListStripeEvents" | "WatchOrderEvents" => Vec::new(),
            "ReplayStripeEvent" => proto::ReplayStripeEventRequest {
                event_id: STORED_EVENT.to_owned(),
            }
            .encode_to_vec(),
            "GetProfile" => proto::GetProfileRequest {
                user_id: self.user.to_string(),
            }
            .encode_to_vec(),
            "CreateAffiliate" => proto::CreateAffiliateRequest {
                user_id: self.user.to_string(),
                code: CODE.to_owned(),
                request_id: Uuid::new_v4().to_string(),
            }
            .encode_to_vec(),
            "GetAffiliate" => proto::GetAffiliateRequest {
                user_id: self.user.to_string(),
            }
            .encode_to_vec(),
            "RecordAffiliateClick" => proto::RecordAffiliateClickRequest {
                code: CODE.to_owned(),
            }
            .encode_to_vec(),
            "ListAffiliateCommissions" => proto::ListAffiliateCommissionsRequest {
                user_id: self.user.to_string(),
                ..Default::default()
            }
            .encode_to_vec(),
            "UpdateProfile" => {
                let paths = ["email", "email_verified", "first_name", "last_name"];
                proto::UpdateProfileRequest {
                    profile: Some(proto::Profile {
                        user_id: self.user.to_string(),
                        email: format!("{}@mail.example", self.user.simple()),
                        email_verified: true,
                        first_name: "Sam".to_owned(),
                        last_name: "Digger".to_owned(),
                        ..proto::Profile::default()
                    }),
                    update_mask: Some(FieldMask {
                        paths: paths.map(str::to_owned).to_vec(),
                    }),
                    request_id: Uuid::new_v4().to_string(),
                }
                .encode_to_vec()
            }
            "ExportProfile" => proto::ExportProfileRequest {
                user_id: self.user.to_string(),
            }
            .encode_to_vec(),
            "DeleteProfile" => proto::DeleteProfileRequest {
                user_id: self.leaver.to_string(),
                request_id: Uuid::new_v4().to_string(),
            }
            .encode_to_vec(),
            "RecordStripeEvent" => {
                let payload = event(&format!("evt_sound{}", self.made));
                proto::RecordStripeEventRequest {
                    payload,
                    receive_time: None,
                }
                .encode_to_vec()
            }
            _ => return None,
        })
    }

    fn provisioning(&self, method: &str) -> Option<Vec<u8>> {
        let (order_id, node_id) = (self.order_id.clone(), self.node_id);
        let request_id = Uuid::new_v4().to_string();
        Some(match method {
            "ProvisionOrder" => proto::ProvisionOrderRequest {
                order_id,
                request_id,
            }
            .encode_to_vec(),
            "SuspendServer" => proto::SuspendServerRequest {
                order_id,
                note: "a note".to_owned(),
                request_id,
            }
            .encode_to_vec(),
            "UnsuspendServer" => proto::UnsuspendServerRequest {
                order_id,
                note: "a note".to_owned(),
                request_id,
            }
            .encode_to_vec(),
            "ReinstallServer" => proto::ReinstallServerRequest {
                order_id,
                request_id,
            }
            .encode_to_vec(),
            "TerminateServer" => proto::TerminateServerRequest {
                order_id: self.spare_order_id.clone(),
                note: "a note".to_owned(),
                request_id,
            }
            .encode_to_vec(),
            "GetServer" => proto::GetServerRequest { order_id }.encode_to_vec(),
            "RevealServerSecrets" => proto::RevealServerSecretsRequest { order_id }.encode_to_vec(),
            "ListNodes" | "ListSweeps" => Vec::new(),
            "ReleaseGuard" => proto::ReleaseGuardRequest {
                sweep: "charges".to_owned(),
                request_id,
            }
            .encode_to_vec(),
            "GetNode" => proto::GetNodeRequest { node_id }.encode_to_vec(),
            "CreateNode" => proto::CreateNodeRequest {
                node: Some(self.node()),
                request_id,
            }
            .encode_to_vec(),
            "UpdateNode" => {
                let paths = ["name", "region", "fqdn"].map(str::to_owned).to_vec();
                proto::UpdateNodeRequest {
                    node: Some(proto::Node {
                        id: node_id,
                        ..self.node()
                    }),
                    update_mask: Some(FieldMask { paths }),
                    request_id,
                }
                .encode_to_vec()
            }
            "ListAllocations" => proto::ListAllocationsRequest {
                node_id: self.busy_node_id,
                ..Default::default()
            }
            .encode_to_vec(),
            "ExplainPlacement" => proto::ExplainPlacementRequest {
                plan_id: "mc-2gb".to_owned(),
                region: "us-east".to_owned(),
                ..Default::default()
            }
            .encode_to_vec(),
            "GetExternalAccount" => proto::GetExternalAccountRequest {
                user_id: self.user.to_string(),
            }
            .encode_to_vec(),
            _ => return None,
        })
    }

    /// Takes no servers, so that placement is as it was.
    fn node(&self) -> proto::Node {
        proto::Node {
            pterodactyl_node_id: 1_000 + i64::from(self.made),
            name: "A node".to_owned(),
            region: "us-east".to_owned(),
            fqdn: "node.example.net".to_owned(),
            max_ram_gb: 16,
            max_disk_gb: 100,
            weight: 100,
            ..Default::default()
        }
    }
}

/// An add-on of the example catalog that people deliver.
const MANUAL_ADDON: &str = "discord-integration";

/// The user is an affiliate.
const CODE: &str = "sound-code";

/// An event of Stripe that is in the inbox from the start.
const STORED_EVENT: &str = "evt_stored";

fn event(id: &str) -> Vec<u8> {
    let event =
        format!(r#"{{"id":"{id}","object":"event","type":"ping","created":1,"livemode":false}}"#);
    event.into_bytes()
}
