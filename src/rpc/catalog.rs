//! CatalogService: reads the call, lets the app decide, sends what it says.
//!
//! A caller whose role may not call a method is told so before its fields are
//! looked at; the app's verb asks again, because it is the one that decides.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{
    call::answer,
    proto::{self, catalog_service_server::CatalogService},
};
use crate::app::App;

mod addons;
mod games;
mod plans;
mod regions;

/// The service.
#[derive(Clone)]
pub struct CatalogRpc {
    /// Handles to everything that a verb needs.
    pub app: Arc<App>,
}

#[tonic::async_trait]
impl CatalogService for CatalogRpc {
    async fn list_plans(
        &self,
        request: Request<proto::ListPlansRequest>,
    ) -> Result<Response<proto::ListPlansResponse>, Status> {
        answer(
            "CatalogService/ListPlans",
            request,
            |caller, message| async move { plans::list(&self.app.db, &caller, message).await },
        )
        .await
    }

    async fn get_plan(
        &self,
        request: Request<proto::GetPlanRequest>,
    ) -> Result<Response<proto::GetPlanResponse>, Status> {
        answer(
            "CatalogService/GetPlan",
            request,
            |caller, message| async move { plans::get(&self.app.db, &caller, message).await },
        )
        .await
    }

    async fn create_plan(
        &self,
        request: Request<proto::CreatePlanRequest>,
    ) -> Result<Response<proto::CreatePlanResponse>, Status> {
        answer(
            "CatalogService/CreatePlan",
            request,
            |caller, message| async move { plans::create(&self.app.db, &caller, message).await },
        )
        .await
    }

    async fn update_plan(
        &self,
        request: Request<proto::UpdatePlanRequest>,
    ) -> Result<Response<proto::UpdatePlanResponse>, Status> {
        answer(
            "CatalogService/UpdatePlan",
            request,
            |caller, message| async move { plans::update(&self.app.db, &caller, message).await },
        )
        .await
    }

    async fn list_addons(
        &self,
        request: Request<proto::ListAddonsRequest>,
    ) -> Result<Response<proto::ListAddonsResponse>, Status> {
        answer(
            "CatalogService/ListAddons",
            request,
            |caller, message| async move { addons::list(&self.app.db, &caller, message).await },
        )
        .await
    }

    async fn get_addon(
        &self,
        request: Request<proto::GetAddonRequest>,
    ) -> Result<Response<proto::GetAddonResponse>, Status> {
        answer(
            "CatalogService/GetAddon",
            request,
            |caller, message| async move { addons::get(&self.app.db, &caller, message).await },
        )
        .await
    }

    async fn create_addon(
        &self,
        request: Request<proto::CreateAddonRequest>,
    ) -> Result<Response<proto::CreateAddonResponse>, Status> {
        answer(
            "CatalogService/CreateAddon",
            request,
            |caller, message| async move { addons::create(&self.app.db, &caller, message).await },
        )
        .await
    }

    async fn update_addon(
        &self,
        request: Request<proto::UpdateAddonRequest>,
    ) -> Result<Response<proto::UpdateAddonResponse>, Status> {
        answer(
            "CatalogService/UpdateAddon",
            request,
            |caller, message| async move { addons::update(&self.app.db, &caller, message).await },
        )
        .await
    }

    async fn list_games(
        &self,
        request: Request<proto::ListGamesRequest>,
    ) -> Result<Response<proto::ListGamesResponse>, Status> {
        answer(
            "CatalogService/ListGames",
            request,
            |caller, message| async move { games::list(&self.app.db, &caller, message).await },
        )
        .await
    }

    async fn get_game(
        &self,
        request: Request<proto::GetGameRequest>,
    ) -> Result<Response<proto::GetGameResponse>, Status> {
        answer(
            "CatalogService/GetGame",
            request,
            |caller, message| async move { games::get(&self.app.db, &caller, message).await },
        )
        .await
    }

    async fn create_game(
        &self,
        request: Request<proto::CreateGameRequest>,
    ) -> Result<Response<proto::CreateGameResponse>, Status> {
        answer(
            "CatalogService/CreateGame",
            request,
            |caller, message| async move { games::create(&self.app.db, &caller, message).await },
        )
        .await
    }

    async fn update_game(
        &self,
        request: Request<proto::UpdateGameRequest>,
    ) -> Result<Response<proto::UpdateGameResponse>, Status> {
        answer(
            "CatalogService/UpdateGame",
            request,
            |caller, message| async move { games::update(&self.app.db, &caller, message).await },
        )
        .await
    }

    async fn list_regions(
        &self,
        request: Request<proto::ListRegionsRequest>,
    ) -> Result<Response<proto::ListRegionsResponse>, Status> {
        answer(
            "CatalogService/ListRegions",
            request,
            |caller, message| async move { regions::list(&self.app.db, &caller, message).await },
        )
        .await
    }

    async fn check_availability(
        &self,
        request: Request<proto::CheckAvailabilityRequest>,
    ) -> Result<Response<proto::CheckAvailabilityResponse>, Status> {
        answer(
            "CatalogService/CheckAvailability",
            request,
            |caller, message| async move {
                regions::check_availability(&self.app.db, &caller, message).await
            },
        )
        .await
    }
}

#[cfg(test)]
mod tests;
