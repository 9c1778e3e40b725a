//! One log line and one sample in the metrics for every call, however it ends.
//!
//! Never a body, a token or an e-mail address: only method, role, trace, code and
//! time. What went well is logged at DEBUG, because a busy shop asks for orders
//! all the time; the rest at INFO.

use metrics::{gauge, histogram};
use tokio::time::Instant;
use tonic::Code;
use tracing::Span;

use crate::rpc::{methods::Method, status};

/// Seconds from a call's first byte to the end of its answer, by method and code.
pub const SECONDS: &str = "spawnpoint_rpc_seconds";
/// Calls and streams under way.
pub const IN_FLIGHT: &str = "spawnpoint_rpc_in_flight";

/// A call under way. Dropped without an end, it was cancelled.
#[derive(Debug)]
pub(super) struct Record {
    method: &'static Method,
    span: Span,
    began: Instant,
    done: bool,
}

impl Record {
    pub(super) fn start(method: &'static Method, span: Span, began: Instant) -> Self {
        gauge!(IN_FLIGHT).increment(1.0);
        Self {
            method,
            span,
            began,
            done: false,
        }
    }

    pub(super) fn method(&self) -> &'static Method {
        self.method
    }

    /// The call ended with this code.
    pub(super) fn finish(mut self, code: Code) {
        self.end(code);
    }

    fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        let elapsed = self.began.elapsed();
        let code_word = status::word(code);
        gauge!(IN_FLIGHT).decrement(1.0);
        histogram!(SECONDS, "method" => self.method.label.as_str(), "code" => code_word)
            .record(elapsed.as_secs_f64());
        let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let _entered = self.span.enter();
        if code == Code::Ok {
            tracing::debug!(code = code_word, elapsed_us, "call");
        } else {
            tracing::info!(code = code_word, elapsed_us, "call");
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}
