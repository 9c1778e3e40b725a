//! Sound requests of the catalog.

use prost::Message;
use prost_types::FieldMask;
use spawnpoint::rpc::proto;
use uuid::Uuid;

use super::Sound;

impl Sound {
    pub(super) fn catalog(&self, method: &str) -> Option<Vec<u8>> {
        let request_id = Uuid::new_v4().to_string();
        let mask = |paths: &[&str]| {
            let paths = paths.iter().map(|path| (*path).to_owned()).collect();
            Some(FieldMask { paths })
        };
        let named = |id: &str| id.to_owned();
        Some(match method {
            "GetPlan" => proto::GetPlanRequest {
                plan_id: named("mc-2gb"),
            }
            .encode_to_vec(),
            "GetAddon" => proto::GetAddonRequest {
                addon_id: named("sound-addon"),
            }
            .encode_to_vec(),
            "GetGame" => proto::GetGameRequest {
                game_id: named("minecraft"),
            }
            .encode_to_vec(),
            "CreatePlan" => proto::CreatePlanRequest {
                plan: Some(self.plan()),
                request_id,
            }
            .encode_to_vec(),
            "CreateAddon" => proto::CreateAddonRequest {
                addon: Some(self.addon()),
                request_id,
            }
            .encode_to_vec(),
            "CreateGame" => proto::CreateGameRequest {
                game: Some(self.game()),
                request_id,
            }
            .encode_to_vec(),
            "UpdatePlan" => proto::UpdatePlanRequest {
                plan: Some(proto::Plan {
                    id: named("sound-plan"),
                    ..self.plan()
                }),
                update_mask: mask(&["display_name", "description", "game", "prices"]),
                etag: String::new(),
                request_id,
            }
            .encode_to_vec(),
            "UpdateAddon" => proto::UpdateAddonRequest {
                addon: Some(proto::Addon {
                    id: named("sound-addon"),
                    ..self.addon()
                }),
                update_mask: mask(&["display_name", "description", "prices"]),
                etag: String::new(),
                request_id,
            }
            .encode_to_vec(),
            "UpdateGame" => proto::UpdateGameRequest {
                game: Some(proto::Game {
                    id: named("sound-game"),
                    ..self.game()
                }),
                update_mask: mask(&[
                    "display_name",
                    "environment",
                    "port_variables",
                    "secret_variables",
                ]),
                etag: String::new(),
                request_id,
            }
            .encode_to_vec(),
            "CheckAvailability" => proto::CheckAvailabilityRequest {
                plan_id: named("mc-2gb"),
                region: named("us-east"),
                ..Default::default()
            }
            .encode_to_vec(),
            "ListPlans" | "ListAddons" | "ListGames" | "ListRegions" => Vec::new(),
            _ => return None,
        })
    }

    pub(super) fn prices() -> Vec<proto::PlanPrice> {
        vec![proto::PlanPrice {
            term: proto::Term::Monthly.into(),
            stripe_price_id: format!("price_{}", Uuid::new_v4().simple()),
            amount: Some(money(990)),
        }]
    }

    pub(super) fn plan(&self) -> proto::Plan {
        proto::Plan {
            id: format!("sound-plan-{}", self.made),
            item_type: proto::ItemType::Game.into(),
            game: "minecraft".to_owned(),
            display_name: "A plan".to_owned(),
            ram_gb: 1,
            vcores: 1,
            ssd_gb: 5,
            prices: Self::prices(),
            is_active: true,
            ..Default::default()
        }
    }

    pub(super) fn addon(&self) -> proto::Addon {
        proto::Addon {
            id: format!("sound-addon-{}", self.made),
            item_type: proto::ItemType::Game.into(),
            display_name: "An add-on".to_owned(),
            backups: 1,
            prices: Self::prices(),
            is_active: true,
            ..Default::default()
        }
    }

    pub(super) fn game(&self) -> proto::Game {
        proto::Game {
            id: format!("sound-game-{}", self.made),
            display_name: "A game".to_owned(),
            ptero_nest_id: 16,
            ptero_egg_id: 39,
            ports: 4,
            is_active: true,
            ..Default::default()
        }
    }
}

pub(super) fn money(amount_minor: i64) -> proto::Money {
    proto::Money {
        amount_minor,
        currency: "usd".to_owned(),
    }
}
