//! A wire, such as that between gateway and core, that can go dead without closing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the wire lets through. A connection that lost bytes stays dead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wire {
    Whole,
    /// Calls arrive, answers do not.
    AnswersLost,
    /// Nothing arrives in either direction; connections stay open.
    Dead,
    /// Every connection ends at once, also new ones: properly, or by a reset.
    Closed,
    Reset,
}

/// A running wire.
pub struct Proxy {
    pub addr: SocketAddr,
    wire: watch::Sender<Wire>,
    target: watch::Sender<SocketAddr>,
    called: Arc<AtomicU64>,
}

impl Proxy {
    /// A whole wire to `target`.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (wire, state) = watch::channel(Wire::Whole);
        let (target, goal) = watch::channel(target);
        let called = Arc::new(AtomicU64::new(0));
        let counter = called.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let goal = *goal.borrow();
                let Ok(far) = TcpStream::connect(goal).await else {
                    continue;
                };
                tokio::spawn(carry(near, far, state.clone(), counter.clone()));
            }
        });
        Self {
            addr,
            wire,
            target,
            called,
        }
    }

    /// Changes what it lets through.
    pub fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }

    /// Leads new connections elsewhere.
    #[allow(dead_code, reason = "part of the wire, whichever tests there are")]
    pub fn retarget(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// How many bytes of calls have arrived at the other end.
    #[allow(dead_code, reason = "part of the wire, whichever tests there are")]
    pub fn called(&self) -> u64 {
        self.called.load(Ordering::SeqCst)
    }
}

async fn carry(
    mut near: TcpStream,
    mut far: TcpStream,
    mut wire: watch::Receiver<Wire>,
    called: Arc<AtomicU64>,
) {
    let (calls, answers) = (wire.clone(), wire.clone());
    {
        let (near_read, near_write) = near.split();
        let (far_read, far_write) = far.split();
        let calls = copy(near_read, far_write, calls, &called, |wire| {
            wire != Wire::Dead
        });
        let uncounted = AtomicU64::new(0);
        let answers = copy(far_read, near_write, answers, &uncounted, |wire| {
            wire == Wire::Whole
        });
        tokio::select! {
            _ = wire.wait_for(|wire| matches!(wire, Wire::Closed | Wire::Reset)) => {}
            () = calls => {}
            () = answers => {}
        }
    }
    if *wire.borrow() == Wire::Reset {
        near.set_zero_linger().unwrap();
    }
}

async fn copy(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    wire: watch::Receiver<Wire>,
    arrived: &AtomicU64,
    passes: fn(Wire) -> bool,
) {
    let mut lost = false;
    let mut chunk = [0; 16384];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        lost |= !passes(*wire.borrow());
        if lost {
            continue;
        }
        if to.write_all(&chunk[..count]).await.is_err() {
            return;
        }
        arrived.fetch_add(count as u64, Ordering::SeqCst);
    }
}
