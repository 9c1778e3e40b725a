//! A connection whose answers can be made to drip: so many bytes, a pause, so many bytes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::faults::{DripFrom, Strike};

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// How an answer drips.
#[derive(Clone, Debug)]
pub(crate) struct Drip {
    from: DripFrom,
    bytes: usize,
    pause: Duration,
    strike: Strike,
}

impl Drip {
    pub(crate) fn new(from: DripFrom, bytes: usize, milliseconds: u64, strike: Strike) -> Self {
        Self {
            from,
            bytes: bytes.max(1),
            pause: Duration::from_millis(milliseconds),
            strike,
        }
    }
}

/// Lets one side tell the other side of a connection that the next answer drips.
#[derive(Clone, Default)]
pub(super) struct Valve(Arc<Mutex<Option<Drip>>>);

impl Valve {
    pub(super) fn turn(&self, drip: Drip) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(drip);
    }

    fn take(&self) -> Option<Drip> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What remains to be waited for.
type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Flow {
    drip: Drip,
    /// How much of the end of the head was written.
    matched: usize,
    pause: Option<Wait>,
    /// The fault is over: the rest flows at once.
    over: Wait,
    open: bool,
}

/// The connection; its reading side is left alone.
pub(super) struct Dripping<S> {
    stream: S,
    valve: Valve,
    flow: Option<Flow>,
}

impl<S> Dripping<S> {
    pub(super) fn new(stream: S, valve: Valve) -> Self {
        Self {
            stream,
            valve,
            flow: None,
        }
    }
}

impl Flow {
    fn new(drip: Drip) -> Self {
        let strike = drip.strike.clone();
        let over: Wait = Box::pin(async move { strike.ended().await });
        Self {
            drip,
            matched: 0,
            pause: None,
            over,
            open: false,
        }
    }

    /// How many of these bytes may go now.
    fn allowance(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<usize> {
        if self.open {
            return Poll::Ready(bytes.len());
        }
        if self.over.as_mut().poll(context).is_ready() {
            self.open = true;
            return Poll::Ready(bytes.len());
        }
        if self.drip.from == DripFrom::Body && self.matched < END_OF_HEAD.len() {
            let mut matched = self.matched;
            let end = bytes.iter().position(|byte| {
                matched = advance(matched, *byte);
                matched == END_OF_HEAD.len()
            });
            return Poll::Ready(end.map_or(bytes.len(), |end| end + 1));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        Poll::Ready(self.drip.bytes.min(bytes.len()))
    }

    fn wrote(&mut self, bytes: &[u8]) {
        if self.open {
            return;
        }
        if self.drip.from == DripFrom::Body && self.matched < END_OF_HEAD.len() {
            for byte in bytes {
                self.matched = advance(self.matched, *byte);
            }
            return;
        }
        self.pause = Some(Box::pin(tokio::time::sleep(self.drip.pause)));
    }
}

/// How much of the end of the head is there after one more byte.
fn advance(matched: usize, byte: u8) -> usize {
    match END_OF_HEAD.get(matched) {
        Some(wanted) if *wanted == byte => matched + 1,
        _ => usize::from(byte == b'\r'),
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Dripping<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if let Some(drip) = this.valve.take() {
            this.flow = Some(Flow::new(drip));
        }
        let Some(flow) = &mut this.flow else {
            return Pin::new(&mut this.stream).poll_write(context, bytes);
        };
        let allowed = ready!(flow.allowance(bytes, context));
        let part = bytes.get(..allowed).unwrap_or(bytes);
        let written = ready!(Pin::new(&mut this.stream).poll_write(context, part))?;
        flow.wrote(part.get(..written).unwrap_or(part));
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Dripping<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}
