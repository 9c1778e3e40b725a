//! A TCP proxy that fails on demand: between the control plane and its database, the
//! gateway and the control plane, or either and a stand-in.
//!
//! It carries any protocol. Of PostgreSQL's it knows the boundaries of the messages, so
//! that a connection can be cut at the very statement or at COMMIT; of HTTP/2's it knows
//! where an answer begins. It knows nothing of what the two sides mean by it.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::AbortHandle,
};

mod answers;
mod carry;
mod client;
mod postgres;
mod rules;

use carry::Pace;
use rules::Rules;
pub use rules::{Cut, Rule};

/// What the proxy does with the bytes of both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Carries everything at once.
    #[default]
    Pass,
    /// Ends every connection, and each new one as soon as it is made.
    Refuse,
    /// Carries nothing and closes nothing; what was held goes on its way afterwards.
    Blackhole,
    /// Carries everything so much later.
    Delay(Duration),
    /// Carries a few bytes at a time, each after a pause.
    Drip {
        /// How many bytes at a time.
        bytes: usize,
        /// The pause before each.
        every: Duration,
    },
}

/// What connections watch.
#[derive(Clone, Copy, Debug)]
struct State {
    mode: Mode,
    target: SocketAddr,
    /// How often everything was cut: a connection ends when it grows.
    cuts: u64,
    /// How often everything was stranded: a connection goes silent when it grows.
    strandings: u64,
}

/// A running proxy. It ends, with its connections, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    state: watch::Sender<State>,
    rules: Arc<Rules>,
    accepting: AbortHandle,
}

impl Proxy {
    /// A proxy to `target` on a free port of the loopback interface.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let (state, watched) = watch::channel(State {
            mode: Mode::default(),
            target,
            cuts: 0,
            strandings: 0,
        });
        let rules = Arc::new(Rules::default());
        let accepting = tokio::spawn(accept(listener, watched, Arc::clone(&rules)));
        Ok(Self {
            addr,
            state,
            rules,
            accepting: accepting.abort_handle(),
        })
    }

    /// Where clients connect to.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Changes what is carried, also on the connections that are open.
    pub fn set(&self, mode: Mode) {
        self.state.send_modify(|state| state.mode = mode);
    }

    /// Sends new connections elsewhere, as a fail-over does; the open ones stay.
    pub fn retarget(&self, target: SocketAddr) {
        self.state.send_modify(|state| state.target = target);
    }

    /// Closes every connection now. New ones are taken.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Nothing passes on the connections that are open, for ever, and they are not closed:
    /// the machine behind them is gone. New ones are carried.
    pub fn strand(&self) {
        self.state.send_modify(|state| state.strandings += 1);
    }

    /// Cuts the connection on which the next so many bytes of clients, counted over all
    /// connections, are used up; they are forwarded.
    pub fn cut_after_client_bytes(&self, count: u64) {
        self.rules.arm(Rule::Bytes(count));
    }

    /// Cuts the connection on which a client sends these bytes for the `nth` time from
    /// now (1 is the first), counted over all connections.
    pub fn cut_when_client_sends(&self, pattern: impl AsRef<[u8]>, nth: u32, cut: Cut) {
        let pattern = pattern.as_ref().to_vec();
        self.rules.arm(Rule::Pattern { pattern, nth, cut });
    }

    /// PostgreSQL: cuts the connection at the `nth` statement from now (1 is the first)
    /// whose text `counts`, counted over all connections.
    pub fn cut_at_statement(
        &self,
        nth: u32,
        cut: Cut,
        counts: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) {
        let counts = Box::new(counts);
        self.rules.arm(Rule::Statement { counts, nth, cut });
    }

    /// PostgreSQL: cuts the connection at the `nth` COMMIT from now.
    pub fn cut_at_commit(&self, nth: u32, cut: Cut) {
        self.cut_at_statement(nth, cut, |sql| sql.trim_end_matches(';') == "COMMIT");
    }

    /// Takes back a cut that did not happen yet.
    pub fn disarm(&self) {
        self.rules.disarm();
    }

    /// How many cuts were made by a rule.
    pub fn fired(&self) -> u32 {
        self.rules.fired.load(Ordering::Relaxed)
    }

    /// PostgreSQL: every statement that was sent since the last call, oldest first.
    pub fn take_statements(&self) -> Vec<String> {
        self.rules.take_statements()
    }

    /// How many bytes clients have sent in all.
    pub fn client_bytes(&self) -> u64 {
        self.rules.bytes.load(Ordering::Relaxed)
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.rules.open.load(Ordering::Relaxed)
    }

    /// How many connections were ever taken.
    pub fn accepted(&self) -> u64 {
        self.rules.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: watch::Receiver<State>, rules: Arc<Rules>) {
    loop {
        // Too many open files pass: a proxy that went away would look like another fault.
        let Ok((near, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        rules.accepted.fetch_add(1, Ordering::Relaxed);
        let (state, rules) = (state.clone(), Arc::clone(&rules));
        tokio::spawn(async move {
            rules.open.fetch_add(1, Ordering::Relaxed);
            connection(near, state, &rules).await;
            rules.open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn connection(near: TcpStream, mut state: watch::Receiver<State>, rules: &Rules) {
    let born = *state.borrow_and_update();
    let pace = Pace {
        state: state.clone(),
        born: born.strandings,
    };
    tokio::select! {
        _ = state.wait_for(|now| now.mode == Mode::Refuse || now.cuts > born.cuts) => {}
        () = carry::carry(near, pace, rules) => {}
    }
}

#[cfg(test)]
mod tests;
