//! Carries one connection: both directions at the pace of the mode, until a side closes
//! or a rule cuts it.

use std::{io, sync::Mutex, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    Mode, State,
    client::{Client, Shared, lock},
    rules::{Cut, Rules},
};

/// How long a lost answer is waited for; the connection is closed without it then.
const ANSWER: Duration = Duration::from_secs(20);
const PIECE: usize = 16_384;

/// The connection is over: a side broke off, or a rule cut it.
struct Over;

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Self
    }
}

type Carried = Result<(), Over>;

/// Carries a connection until it is over.
pub(super) async fn carry(near: TcpStream, mut pace: Pace, rules: &Rules) {
    // Whoever cannot be reached accepts no connection either.
    let Ok(state) = pace.passes().await else {
        return;
    };
    let Ok(far) = TcpStream::connect(state.target).await else {
        return;
    };
    let (mut near, mut far) = (near, far);
    // Small messages one after the other must not wait for each other here.
    if near.set_nodelay(true).is_err() || far.set_nodelay(true).is_err() {
        return;
    }
    let shared = Mutex::new(Shared::default());
    let (near_read, near_write) = near.split();
    let (far_read, far_write) = far.split();
    let answers = to_client(far_read, near_write, pace.clone(), &shared);
    let calls = to_server(near_read, far_write, pace, &shared, rules);
    // An error of either ends both; the end of one direction leaves the other open.
    let _ = tokio::try_join!(calls, answers);
}

async fn to_server(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut pace: Pace,
    shared: &Mutex<Shared>,
    rules: &Rules,
) -> Carried {
    let mut client = Client::default();
    let mut piece = vec![0; PIECE];
    loop {
        let count = from.read(&mut piece).await?;
        if count == 0 {
            return pace.end(&mut to).await;
        }
        let (bytes, cut) = client.take(&piece[..count], shared, rules);
        pace.write(&mut to, &bytes).await?;
        match cut {
            None => {}
            Some(Cut::BeforeForward) => return Err(Over),
            Some(Cut::AfterForward) => {
                // The other direction closes when the answer begins, even if the client
                // does not wait for it.
                let rest = async {
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                    std::future::pending::<()>().await;
                };
                let _ = timeout(ANSWER, rest).await;
                return Err(Over);
            }
        }
    }
}

async fn to_client(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut pace: Pace,
    shared: &Mutex<Shared>,
) -> Carried {
    let mut piece = vec![0; PIECE];
    loop {
        let count = from.read(&mut piece).await?;
        if count == 0 {
            return pace.end(&mut to).await;
        }
        let doomed = {
            let mut shared = lock(shared);
            let speech = shared.speech;
            shared.answers.push(speech, &piece[..count]);
            let come = shared.answers.count;
            shared.doomed.map(|wanted| come >= wanted)
        };
        match doomed {
            None => pace.write(&mut to, &piece[..count]).await?,
            Some(false) => {}
            Some(true) => return Err(Over),
        }
    }
}

/// When bytes may go on, and how fast.
#[derive(Clone)]
pub(super) struct Pace {
    pub(super) state: watch::Receiver<State>,
    /// How often everything had been stranded when the connection was made.
    pub(super) born: u64,
}

impl Pace {
    /// Waits until something may pass.
    async fn passes(&mut self) -> Result<State, Over> {
        let born = self.born;
        let passes = |now: &State| now.mode != Mode::Blackhole && now.strandings == born;
        let state = self.state.wait_for(passes).await;
        state.map(|now| *now).map_err(|_| Over)
    }

    /// Writes at the pace of the mode.
    async fn write(&mut self, to: &mut WriteHalf<'_>, bytes: &[u8]) -> Carried {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (count, pause) = match self.passes().await?.mode {
                Mode::Drip { bytes, every } => (bytes.clamp(1, rest.len()), every),
                Mode::Delay(pause) => (rest.len(), pause),
                Mode::Pass | Mode::Refuse | Mode::Blackhole => (rest.len(), Duration::ZERO),
            };
            if !pause.is_zero() {
                sleep(pause).await;
            }
            let (now, later) = rest.split_at(count);
            to.write_all(now).await?;
            rest = later;
        }
        Ok(())
    }

    /// Tells the other side that no more comes, once it can be told anything.
    async fn end(&mut self, to: &mut WriteHalf<'_>) -> Carried {
        self.passes().await?;
        Ok(to.shutdown().await?)
    }
}
