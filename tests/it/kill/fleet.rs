//! A shop whose control plane is several processes: one that serves calls and workers
//! beside it; on SQLite the one process that there may be.

use super::{
    rest,
    scene::{ROOM, VARIABLES},
};
use crate::support::{db::Engine, live::Live, processes::CoreProcess};

/// The shop and its processes.
pub struct Fleet {
    pub live: Live,
    pub processes: Vec<CoreProcess>,
    variables: Vec<(&'static str, String)>,
    /// Of the processes before.
    logs: String,
}

impl Fleet {
    /// Opens a shop with so many workers, where the engine allows any.
    pub async fn open(
        engine: Engine,
        workers: usize,
        further: &[(&'static str, &'static str)],
    ) -> Self {
        let mut live = Live::open(engine).await;
        live.add_pool(ROOM).await;
        live.world.stop_cores().await;
        let mut variables: Vec<_> = VARIABLES.to_vec();
        variables.retain(|(name, _)| further.iter().all(|(other, _)| other != name));
        variables.extend(further);
        let mut fleet = Self {
            live,
            processes: Vec::new(),
            logs: String::new(),
            variables: variables
                .into_iter()
                .map(|(name, value)| (name, value.to_owned()))
                .collect(),
        };
        let count = match engine {
            Engine::Sqlite => 1,
            Engine::Postgres => 1 + workers,
        };
        for index in 0..count {
            let process = fleet.start(index).await;
            fleet.processes.push(process);
        }
        fleet
    }

    /// Starts the process of a place anew, after it was killed.
    pub async fn restart(&mut self, index: usize) {
        self.logs += &self.processes[index].log();
        self.processes[index] = self.start(index).await;
    }

    /// One more worker, with variables of its own.
    pub async fn add_worker(&mut self, further: &[(&'static str, String)]) -> usize {
        let mut variables = self.variables.clone();
        variables.retain(|(name, _)| further.iter().all(|(other, _)| other != name));
        variables.extend(further.iter().cloned());
        let worker = CoreProcess::start(&self.live, &borrowed(&variables)).await;
        self.processes.push(worker);
        self.processes.len() - 1
    }

    async fn start(&self, index: usize) -> CoreProcess {
        let variables = borrowed(&self.variables);
        match (self.live.store.db.is_postgres(), index) {
            (false, _) => CoreProcess::start_all(&self.live, &variables).await,
            (true, 0) => CoreProcess::start_services(&self.live, &variables).await,
            (true, _) => CoreProcess::start(&self.live, &variables).await,
        }
    }

    /// Waits until every order runs and nobody has anything to do.
    pub async fn wait_until_delivered(&self) {
        rest::wait_until_delivered(&self.live, || self.log()).await;
    }

    /// Closes the shop, and audits it.
    pub async fn close(self) {
        let logs = self.log();
        self.live.close_served_by_processes(&logs).await;
    }

    /// What all its processes have written.
    fn log(&self) -> String {
        let logs = self.processes.iter().map(|process| process.log());
        self.logs.clone() + &logs.collect::<String>()
    }
}

fn borrowed<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    let pairs = variables.iter();
    pairs.map(|(name, value)| (*name, value.as_str())).collect()
}
