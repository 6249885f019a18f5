//! Metrics as Prometheus' text, format 0.0.4.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>
//!
//! Gauges of live things (sessions, requests in flight, states) are handed in by whoever owns them, as [`Live`].

use std::fmt::Display;

use super::histogram::{BOUNDS, Totals};
use super::metrics::{BackendShard, CLASSES, Counter, ListenerShard, Metrics, PoolShard};
use super::process::Process;
use super::reasons::{Rejection, UpstreamError};

/// What `Content-Type` says of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is true now and counted elsewhere.
pub trait Live {
    /// The backend at this place of this pool.
    fn backend(&self, pool: usize, backend: usize) -> BackendLive;
    /// Reports of workers that the control plane did not get.
    fn reports_dropped(&self) -> u64;
}

/// What is true of one backend now.
#[derive(Clone, Copy, Debug)]
pub struct BackendLive {
    /// Its state, the one that matters most.
    pub state: BackendState,
    /// Its weight.
    pub weight: u16,
    /// Requests and tunnels in flight.
    pub in_flight: u32,
    /// Requests that wait because it is full.
    pub waiting: u32,
    /// Live sessions.
    pub sessions: u32,
}

/// A backend's state in one word: of all that is true, the first that keeps new sessions away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendState {
    /// Serves everybody.
    Up,
    /// Serves everybody; no check has said so yet.
    Unknown,
    /// Closed to new sessions for a while by failures.
    Ejected,
    /// Closed to new sessions by the operator.
    Drain,
    /// Closed to new sessions by checks.
    Weak,
    /// Closed by checks.
    Down,
    /// Closed by the operator.
    Maint,
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The text as it grows.
struct Text<'a> {
    out: String,
    metrics: &'a Metrics,
    name: &'static str,
}

/// One counter of a part of a shard.
type Of<T> = fn(&T) -> &Counter;

impl BackendState {
    /// Every state, in declaration order.
    pub const ALL: [Self; 7] =
        [Self::Up, Self::Unknown, Self::Ejected, Self::Drain, Self::Weak, Self::Down, Self::Maint];

    /// As a label and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Unknown => "unknown",
            Self::Ejected => "ejected",
            Self::Drain => "drain",
            Self::Weak => "weak",
            Self::Down => "down",
            Self::Maint => "maint",
        }
    }
}

impl Metrics {
    /// All series as text.
    #[must_use]
    pub fn render(&self, live: &dyn Live) -> String {
        let mut text = Text { out: String::with_capacity(16 * 1024), metrics: self, name: "" };
        text.family("homing_build_info", Kind::Gauge, "1, labelled with the version.");
        text.line(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        text.listeners();
        text.pools();
        text.backends();
        text.live(live);
        text.whole_process(live);
        text.out
    }
}

impl Text<'_> {
    fn listeners(&mut self) {
        self.family("homing_connections", Kind::Gauge, "Client connections open now.");
        self.each_listener(|text, labels, shards| {
            let (opened, closed) = (sum(shards, |s| &s.opened), sum(shards, |s| &s.closed));
            text.line(labels, opened.saturating_sub(closed));
        });
        self.family("homing_connections_total", Kind::Counter, "Client connections accepted.");
        self.each_listener(|text, labels, shards| text.line(labels, sum(shards, |s| &s.opened)));
        self.family("homing_connections_rejected_total", Kind::Counter, "Client connections turned away.");
        self.each_listener(|text, labels, shards| {
            for why in Rejection::ALL {
                let n: u64 = shards.iter().map(|s| s.rejected[why as usize].get()).sum();
                text.line(&[labels[0], ("reason", why.as_str())], n);
            }
        });
    }

    fn pools(&mut self) {
        self.family("homing_requests_total", Kind::Counter, "Requests ended, by class of the status sent.");
        self.each_pool(|text, pool, shards| {
            for (class, code) in CLASSES.iter().enumerate() {
                let n: u64 = shards.iter().map(|s| s.by_class[class].get()).sum();
                text.line(&[pool, ("code", code)], n);
            }
        });
        self.family("homing_request_duration_seconds", Kind::Histogram, "Head read to response sent.");
        self.each_pool(|text, pool, shards| {
            let mut totals = Totals::default();
            shards.iter().for_each(|s| s.duration.add_to(&mut totals));
            text.histogram(pool, &totals);
        });
        let counters: [(_, _, Of<PoolShard>); 6] = [
            ("homing_request_bytes_total", "Bytes of request bodies received.", |s| &s.bytes_in),
            ("homing_response_bytes_total", "Bytes of response bodies sent.", |s| &s.bytes_out),
            ("homing_upstream_retries_total", "Requests tried again, elsewhere or once more at home.", |s| {
                &s.retries
            }),
            ("homing_upstream_replays_total", "Requests sent again after a stale connection.", |s| {
                &s.replays
            }),
            ("homing_upstream_retries_denied_total", "Retries left out: their budget was used up.", |s| {
                &s.denied
            }),
            ("homing_requests_queued_total", "Requests that waited for a full backend.", |s| &s.queued),
        ];
        for (name, help, of) in counters {
            self.family(name, Kind::Counter, help);
            self.each_pool(|text, pool, shards| text.line(&[pool], sum(shards, of)));
        }
        self.family("homing_affinity_total", Kind::Counter, "Requests by what became of their session.");
        self.each_pool(|text, pool, shards| {
            for (i, (result, reason)) in text.metrics.layout.affinity.iter().enumerate() {
                let n = shards.iter().filter_map(|s| s.affinity.get(i)).map(Counter::get).sum::<u64>();
                text.line(&[pool, ("result", result), ("reason", reason)], n);
            }
        });
    }

    fn backends(&mut self) {
        let counters: [(_, _, Of<BackendShard>); 3] = [
            ("homing_upstream_requests_total", "Requests sent; each try counts.", |s| &s.requests),
            ("homing_upstream_connects_total", "Connections made.", |s| &s.connects),
            ("homing_upstream_reuses_total", "Requests sent on a kept connection.", |s| &s.reuses),
        ];
        for (name, help, of) in counters {
            self.family(name, Kind::Counter, help);
            self.each_backend(|text, labels, shards, _| text.line(labels, sum(shards, of)));
        }
        self.family("homing_upstream_errors_total", Kind::Counter, "Requests that a backend failed.");
        self.each_backend(|text, [pool, backend], shards, _| {
            for how in UpstreamError::ALL {
                let n: u64 = shards.iter().map(|s| s.errors[how as usize].get()).sum();
                text.line(&[*pool, *backend, ("reason", how.as_str())], n);
            }
        });
        self.family("homing_upstream_connections_idle", Kind::Gauge, "Kept connections idle now.");
        self.each_backend(|text, labels, shards, _| {
            text.line(labels, sum(shards, |s| &s.idle));
        });
        self.family("homing_check_total", Kind::Counter, "Active checks ended.");
        self.each_backend(|text, [pool, backend], _, (p, b)| {
            let Some(checks) = text.metrics.control.pools.get(p).and_then(|c| c.get(b)) else { return };
            text.line(&[*pool, *backend, ("result", "good")], checks.good.get());
            text.line(&[*pool, *backend, ("result", "bad")], checks.bad.get());
        });
        self.family("homing_backend_state_changes_total", Kind::Counter, "Changes of availability.");
        self.each_backend(|text, labels, _, (p, b)| {
            let Some(checks) = text.metrics.control.pools.get(p).and_then(|c| c.get(b)) else { return };
            text.line(labels, checks.changes.get());
        });
    }

    fn live(&mut self, live: &dyn Live) {
        self.family("homing_requests_in_flight", Kind::Gauge, "Requests and tunnels at a backend now.");
        self.each_pool_named(|text, pool, p, backends| {
            let n: u64 = (0..backends).map(|b| u64::from(live.backend(p, b).in_flight)).sum();
            text.line(&[pool], n);
        });
        self.family("homing_backend_state", Kind::Gauge, "1 for the state the backend is in.");
        self.each_backend(|text, [pool, backend], _, (p, b)| {
            let now = live.backend(p, b).state;
            for state in BackendState::ALL {
                text.line(&[*pool, *backend, ("state", state.as_str())], u8::from(state == now));
            }
        });
        self.family("homing_backend_weight", Kind::Gauge, "Share of new sessions.");
        self.each_backend(|text, labels, _, (p, b)| text.line(labels, live.backend(p, b).weight));
        self.family("homing_requests_waiting", Kind::Gauge, "Requests that wait for this full backend now.");
        self.each_backend(|text, labels, _, (p, b)| text.line(labels, live.backend(p, b).waiting));
        self.family("homing_sessions", Kind::Gauge, "Live sessions.");
        self.each_backend(|text, labels, _, (p, b)| text.line(labels, live.backend(p, b).sessions));
    }

    fn whole_process(&mut self, live: &dyn Live) {
        let (metrics, shards) = (self.metrics, &self.metrics.shards);
        self.family("homing_refusals_total", Kind::Counter, "Requests refused before a pool was found.");
        for (i, reason) in metrics.layout.refusals.iter().enumerate() {
            let n = shards.iter().filter_map(|s| s.refusals.get(i)).map(Counter::get).sum::<u64>();
            self.line(&[("reason", reason)], n);
        }
        let panics = shards.iter().map(|s| s.panics.get()).sum();
        let dropped = metrics.log_dropped.load(std::sync::atomic::Ordering::Relaxed);
        let counters: [(_, _, u64); 3] = [
            ("homing_panics_total", "Connections ended by a panic; each is a bug.", panics),
            ("homing_log_dropped_total", "Access log lines lost: the writer or its disk lagged.", dropped),
            ("homing_reports_dropped_total", "Workers' reports lost.", live.reports_dropped()),
        ];
        for (name, help, n) in counters {
            self.family(name, Kind::Counter, help);
            self.line(&[], n);
        }
        let Some(process) = Process::read() else { return };
        self.family("process_cpu_seconds_total", Kind::Counter, "CPU time used.");
        self.line(&[], process.cpu_seconds);
        self.family("process_resident_memory_bytes", Kind::Gauge, "Memory resident.");
        self.line(&[], process.resident_bytes);
        self.family("process_open_fds", Kind::Gauge, "Descriptors open.");
        self.line(&[], process.open_fds);
        self.family("process_max_fds", Kind::Gauge, "Descriptors allowed.");
        self.line(&[], process.max_fds);
        self.family("process_start_time_seconds", Kind::Gauge, "Start, in seconds since 1970.");
        self.line(&[], process.start_seconds);
    }

    fn each_listener(&mut self, write: impl Fn(&mut Self, &[(&str, &str); 1], &[&ListenerShard])) {
        let metrics = self.metrics;
        for (i, name) in metrics.layout.listeners.iter().enumerate() {
            let shards: Vec<_> = metrics.shards.iter().map(|s| s.listener(i)).collect();
            write(self, &[("listener", name)], &shards);
        }
    }

    fn each_pool(&mut self, write: impl Fn(&mut Self, (&str, &str), &[&PoolShard])) {
        self.each_pool_named(|text, label, p, _| {
            let shards: Vec<_> = text.metrics.shards.iter().map(|s| s.pool(p)).collect();
            write(text, label, &shards);
        });
    }

    fn each_pool_named(&mut self, write: impl Fn(&mut Self, (&str, &str), usize, usize)) {
        for (p, pool) in self.metrics.layout.pools.iter().enumerate() {
            write(self, ("pool", &pool.name), p, pool.backends.len());
        }
    }

    fn each_backend(
        &mut self,
        write: impl Fn(&mut Self, &[(&str, &str); 2], &[&BackendShard], (usize, usize)),
    ) {
        let metrics = self.metrics;
        for (p, pool) in metrics.layout.pools.iter().enumerate() {
            for (b, backend) in pool.backends.iter().enumerate() {
                let shards: Vec<_> = metrics.shards.iter().map(|s| s.pool(p).backend(b)).collect();
                write(self, &[("pool", &pool.name), ("backend", backend)], &shards, (p, b));
            }
        }
    }

    fn histogram(&mut self, pool: (&str, &str), totals: &Totals) {
        let mut below = 0;
        for ((_, le), n) in BOUNDS.iter().zip(&totals.buckets) {
            below += n;
            self.sample("_bucket", &[pool, ("le", le)], below);
        }
        let count: u64 = totals.buckets.iter().sum();
        self.sample("_bucket", &[pool, ("le", "+Inf")], count);
        self.sample(
            "_sum",
            &[pool],
            format_args!("{}.{:06}", totals.sum / 1_000_000, totals.sum % 1_000_000),
        );
        self.sample("_count", &[pool], count);
    }

    fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.name = name;
        for part in ["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"] {
            self.out.push_str(part);
        }
    }

    fn line(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.sample("", labels, value);
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        use std::fmt::Write as _;
        self.out.push_str(self.name);
        self.out.push_str(suffix);
        for (i, (name, text)) in labels.iter().enumerate() {
            self.out.push(if i == 0 { '{' } else { ',' });
            self.out.push_str(name);
            self.out.push_str("=\"");
            push_escaped(&mut self.out, text);
            self.out.push('"');
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        // Writing to a String does not fail.
        let _ = writeln!(self.out, " {value}");
    }
}

fn sum<T>(shards: &[&T], of: Of<T>) -> u64 {
    shards.iter().map(|s| of(s).get()).sum()
}

fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
#[path = "exposition_tests.rs"]
mod tests;
