//! Collects what the client logs on this thread.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Event, Metadata, Subscriber};

#[derive(Clone, Default)]
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    off: bool,
}

impl Log {
    /// Collects until the guards are dropped.
    ///
    /// With a single subscriber in the process, the thread that passes a line first
    /// decides for all whether that line is on, and the threads of other tests have no
    /// log. A second one, which is off, makes every thread ask all subscribers.
    pub fn start() -> (Self, (Dispatch, DefaultGuard)) {
        let second = Dispatch::new(Self {
            off: true,
            ..Self::default()
        });
        let log = Self::default();
        let guard = tracing::subscriber::set_default(log.clone());
        (log, (second, guard))
    }

    /// Every line from anywhere, HTTP stack included.
    pub fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The lines of the client itself.
    pub fn calls(&self) -> Vec<String> {
        self.all()
            .into_iter()
            .filter(|line| line.contains("stripe call"))
            .collect()
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        !self.off
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(if self.off {
            LevelFilter::OFF
        } else {
            LevelFilter::TRACE
        })
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.lines.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
