//! The answer on its way out: notes how it ends, keeps the call's place until
//! then, and ends a stream when the process goes away or its client's time is up.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, body::Body};

use super::{admission::Permit, record::Record};
use crate::rpc::status;

/// Resolves when a stream must end, with what its client is told.
pub(super) struct Ending(Pin<Box<dyn Future<Output = Status> + Send>>);

impl Ending {
    pub(super) fn new(closing: CancellationToken, client: Option<(Instant, Duration)>) -> Self {
        Self(Box::pin(async move {
            let Some((until, limit)) = client else {
                closing.cancelled().await;
                return status::shutting_down();
            };
            tokio::select! {
                () = closing.cancelled() => status::shutting_down(),
                () = sleep_until(until) => status::deadline(limit),
            }
        }))
    }
}

/// A body that tells its record how it ended.
pub(super) struct CallBody {
    inner: Body,
    /// Taken when the end is known.
    record: Option<Record>,
    ending: Option<Ending>,
    _permit: Permit,
}

impl CallBody {
    pub(super) fn new(inner: Body, record: Record, ending: Option<Ending>, permit: Permit) -> Self {
        Self {
            inner,
            record: Some(record),
            ending,
            _permit: permit,
        }
    }

    fn finish(&mut self, code: Code) {
        if let Some(record) = self.record.take() {
            record.finish(code);
        }
    }

    fn note(&mut self, frame: &Frame<Bytes>) {
        if let Some(trailers) = frame.trailers_ref() {
            let code = Status::from_header_map(trailers).map_or(Code::Ok, |status| status.code());
            self.finish(code);
        }
    }

    /// The last frame of a stream that is ended from outside.
    fn cut_off(&mut self, status: &Status) -> Option<Frame<Bytes>> {
        self.finish(status.code());
        let mut trailers = HeaderMap::new();
        status
            .add_header(&mut trailers)
            .ok()
            .map(|()| Frame::trailers(trailers))
    }
}

impl HttpBody for CallBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.record.is_none() {
            return Poll::Ready(None);
        }
        // What is ready goes out first: a health watcher learns NOT_SERVING before its end.
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.note(&frame);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.finish(error.code());
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                this.finish(Code::Ok);
                Poll::Ready(None)
            }
            Poll::Pending => match &mut this.ending {
                None => Poll::Pending,
                Some(ending) => match ending.0.as_mut().poll(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(status) => Poll::Ready(this.cut_off(&status).map(Ok)),
                },
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.record.is_none() || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for CallBody {
    fn drop(&mut self) {
        // An empty body is dropped unread; anything else was given up by its client.
        if self.inner.is_end_stream() {
            self.finish(Code::Ok);
        }
    }
}
