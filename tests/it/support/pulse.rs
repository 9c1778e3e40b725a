//! What a balancer sees of a control plane: grpc.health.v1 and `/readyz`.

use std::time::{Duration, Instant};

use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{
    live::{Live, PATIENCE},
    wait,
};

impl Live {
    /// What health says of the process, and how long it took to say so.
    pub async fn health(&self) -> (ServingStatus, Duration) {
        let asked = Instant::now();
        let request = HealthCheckRequest::default();
        let answer = HealthClient::new(self.channel()).check(request).await;
        let status = answer.unwrap().into_inner().status();
        (status, asked.elapsed())
    }

    /// Whether `/readyz` says yes.
    pub async fn ready(&self) -> bool {
        let addr = self.world.cores[0].metrics_addr;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(format!("http://{addr}/readyz")).send().await;
        answer.unwrap().status().is_success()
    }

    /// A counter of the process; other tests may add to it at any time.
    pub async fn counted(&self, series: &str) -> f64 {
        let url = format!("http://{}/metrics", self.world.cores[0].metrics_addr);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let text = client.get(url).send().await.unwrap().text().await.unwrap();
        let mut values = text
            .lines()
            .filter_map(|line| line.strip_prefix(series)?.trim().parse::<f64>().ok());
        values.next().unwrap_or(0.0)
    }

    /// Waits until both say that calls should go elsewhere.
    pub async fn wait_not_serving(&self) {
        wait::until("health says NOT_SERVING", PATIENCE, || async {
            !self.ready().await && self.health().await.0 == ServingStatus::NotServing
        })
        .await;
    }

    /// Waits until both say that it serves; tells how long that took.
    pub async fn wait_serving(&self) -> Duration {
        let began = Instant::now();
        wait::until("health says SERVING", PATIENCE, || async {
            self.ready().await && self.health().await.0 == ServingStatus::Serving
        })
        .await;
        began.elapsed()
    }
}
