//! Metrics as Prometheus' text, format 0.0.4.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>
//!
//! What is to be seen, and in which order, the present plan says ([`Live::names`]): series of what it no longer has
//! are left out.

use std::fmt::Display;
use std::sync::Arc;

use super::histogram::{BOUNDS, Totals};
use super::live::{BackendLive, BackendState, DrainLive, Live, TableLive};
use super::metrics::Metrics;
use super::process::Process;
use super::reasons::{Abuse, H2Error, HandshakeEnd, Rejection, SnapshotEnd, UpstreamError};
use super::totals::{BackendTotals, CLASSES, ListenerTotals, PoolTotals};

/// What `Content-Type` says of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The text as it grows.
struct Text {
    out: String,
    name: &'static str,
}

/// A label's name and value.
type Label<'a> = (&'a str, &'a str);

/// Everything by name, read once per scrape.
struct Seen {
    listeners: Vec<(Arc<str>, ListenerTotals)>,
    pools: Vec<PoolSeen>,
}

struct PoolSeen {
    name: Arc<str>,
    totals: PoolTotals,
    table: Option<TableLive>,
    backends: Vec<BackendSeen>,
}

struct BackendSeen {
    id: Arc<str>,
    totals: BackendTotals,
    live: BackendLive,
}

/// One figure of what was read.
type Of<T, N = u64> = fn(&T) -> N;

impl Metrics {
    /// All series as text.
    #[must_use]
    pub fn render(&self, live: &dyn Live) -> String {
        let seen = Seen::new(self, live);
        let mut text = Text { out: String::with_capacity(16 * 1024), name: "" };
        text.family("homing_build_info", Kind::Gauge, "1, labelled with the version.");
        text.line(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        text.config(self);
        text.listeners(&seen);
        text.pools(&seen, self.layout.affinity);
        text.backends(&seen);
        text.live(&seen);
        text.drains(&seen);
        text.tables(&seen);
        text.whole_process(self, live);
        text.out
    }
}

impl Seen {
    fn new(metrics: &Metrics, live: &dyn Live) -> Self {
        let names = live.names();
        let listeners = names.listeners.into_iter().map(|name| {
            let totals = metrics.listener_totals(&name);
            (name, totals)
        });
        let pools = names.pools.into_iter().enumerate().map(|(p, pool)| PoolSeen {
            totals: metrics.pool_totals(&pool.name),
            table: live.table(p),
            backends: (pool.backends.into_iter().enumerate())
                .map(|(b, id)| BackendSeen {
                    totals: metrics.backend_totals(&pool.name, &id),
                    live: live.backend(p, b),
                    id,
                })
                .collect(),
            name: pool.name,
        });
        Self { listeners: listeners.collect(), pools: pools.collect() }
    }

    fn pools(&self) -> impl Iterator<Item = (Label<'_>, &PoolSeen)> {
        self.pools.iter().map(|pool| (("pool", &*pool.name), pool))
    }

    fn backends(&self) -> impl Iterator<Item = ([Label<'_>; 2], &BackendSeen)> {
        self.pools().flat_map(|(label, pool)| {
            pool.backends.iter().map(move |backend| ([label, ("backend", &*backend.id)], backend))
        })
    }
}

impl Text {
    fn config(&mut self, metrics: &Metrics) {
        let config = metrics.config();
        self.family("homing_config_info", Kind::Gauge, "1, labelled with the configuration's hash.");
        if let Some(hash) = &config.hash {
            self.line(&[("hash", hash)], 1);
        }
        self.family("homing_config_reloads_total", Kind::Counter, "Reloads of the configuration.");
        self.line(&[("result", "ok")], config.reloads);
        self.line(&[("result", "refused")], config.refused);
        self.family(
            "homing_config_last_reload_timestamp_seconds",
            Kind::Gauge,
            "When a configuration was last loaded or refused, in seconds since 1970.",
        );
        self.line(&[], config.last_at.0);
        self.family("homing_config_last_reload_success", Kind::Gauge, "0 if it was refused.");
        self.line(&[], u8::from(!config.last_refused));
    }

    fn listeners(&mut self, seen: &Seen) {
        let each = || seen.listeners.iter().map(|(name, totals)| (("listener", &**name), totals));
        self.family("homing_connections", Kind::Gauge, "Client connections open now.");
        each().for_each(|(label, t)| self.line(&[label], t.opened.saturating_sub(t.closed)));
        self.family("homing_connections_total", Kind::Counter, "Client connections accepted.");
        each().for_each(|(label, t)| self.line(&[label], t.opened));
        self.family("homing_connections_rejected_total", Kind::Counter, "Client connections turned away.");
        for (label, totals) in each() {
            for (why, n) in Rejection::ALL.iter().zip(totals.rejected) {
                self.line(&[label, ("reason", why.as_str())], n);
            }
        }
        self.family(
            "homing_h2_abuse_total",
            Kind::Counter,
            "HTTP/2 connections and streams ended for what the client did.",
        );
        for (label, totals) in each() {
            for (how, n) in Abuse::ALL.iter().zip(totals.abused) {
                self.line(&[label, ("kind", how.as_str())], n);
            }
        }
        let errors: [(_, _, Of<ListenerTotals, [u64; H2Error::ALL.len()]>); 2] = [
            ("homing_h2_stream_errors_total", "HTTP/2 streams reset for an error of the client.", |t| {
                t.reset
            }),
            (
                "homing_h2_connection_errors_total",
                "HTTP/2 connections ended for an error of the client.",
                |t| t.broken,
            ),
        ];
        for (name, help, of) in errors {
            self.family(name, Kind::Counter, help);
            for (label, totals) in each() {
                for (code, n) in H2Error::ALL.iter().zip(of(totals)) {
                    self.line(&[label, ("code", code.as_str())], n);
                }
            }
        }
        self.tls(seen);
    }

    /// Of listeners with TLS.
    fn tls(&mut self, seen: &Seen) {
        let each = || {
            seen.listeners.iter().filter_map(|(name, t)| Some((("listener", &**name), t, t.tls.as_ref()?)))
        };
        if each().next().is_none() {
            return;
        }
        self.family("homing_tls_handshakes_total", Kind::Counter, "TLS handshakes ended.");
        for (label, totals, _) in each() {
            for (end, n) in HandshakeEnd::ALL.iter().zip(totals.handshakes) {
                let (version, result) = end.labels();
                self.line(&[label, ("version", version), ("result", result)], n);
            }
        }
        self.family(
            "homing_tls_certificate_not_after_timestamp_seconds",
            Kind::Gauge,
            "When a certificate ends, in seconds since 1970.",
        );
        for (label, _, tls) in each() {
            for (name, end) in &tls.certificates {
                self.line(&[label, ("name", name)], end.0);
            }
        }
        self.family(
            "homing_tls_certificate_reload_failures_total",
            Kind::Counter,
            "Files of certificates and keys that changed and could not be used.",
        );
        each().for_each(|(label, _, tls)| self.line(&[label], tls.failures));
    }

    fn pools(&mut self, seen: &Seen, affinity: &[(&str, &str)]) {
        self.family("homing_requests_total", Kind::Counter, "Requests ended, by class of the status sent.");
        for (pool, it) in seen.pools() {
            for (code, n) in CLASSES.iter().zip(it.totals.by_class) {
                self.line(&[pool, ("code", code)], n);
            }
        }
        self.family("homing_request_duration_seconds", Kind::Histogram, "Head read to response sent.");
        seen.pools().for_each(|(pool, it)| self.histogram(pool, &it.totals.duration));
        let counters: [(_, _, Of<PoolTotals>); 6] = [
            ("homing_request_bytes_total", "Bytes of request bodies received.", |t| t.bytes_in),
            ("homing_response_bytes_total", "Bytes of response bodies sent.", |t| t.bytes_out),
            ("homing_upstream_retries_total", "Requests tried again, elsewhere or once more at home.", |t| {
                t.retries
            }),
            ("homing_upstream_replays_total", "Requests sent again after a stale connection.", |t| t.replays),
            ("homing_upstream_retries_denied_total", "Retries left out: their budget was used up.", |t| {
                t.denied
            }),
            ("homing_requests_queued_total", "Requests that waited for a full backend.", |t| t.queued),
        ];
        for (name, help, of) in counters {
            self.family(name, Kind::Counter, help);
            seen.pools().for_each(|(pool, it)| self.line(&[pool], of(&it.totals)));
        }
        self.family("homing_affinity_total", Kind::Counter, "Requests by what became of their session.");
        for (pool, it) in seen.pools() {
            for ((result, reason), n) in affinity.iter().zip(&it.totals.affinity) {
                self.line(&[pool, ("result", result), ("reason", reason)], n);
            }
        }
    }

    fn backends(&mut self, seen: &Seen) {
        self.each(
            seen,
            Kind::Counter,
            "homing_upstream_requests_total",
            "Requests sent; each try counts.",
            |b| b.totals.requests,
        );
        self.each(seen, Kind::Counter, "homing_upstream_connects_total", "Connections made.", |b| {
            b.totals.connects
        });
        self.each(
            seen,
            Kind::Counter,
            "homing_upstream_reuses_total",
            "Requests sent on a kept connection.",
            |b| b.totals.reuses,
        );
        self.family("homing_upstream_errors_total", Kind::Counter, "Requests that a backend failed.");
        for ([pool, backend], it) in seen.backends() {
            for (how, n) in UpstreamError::ALL.iter().zip(it.totals.errors) {
                self.line(&[pool, backend, ("reason", how.as_str())], n);
            }
        }
        self.each(seen, Kind::Gauge, "homing_upstream_connections_idle", "Kept connections idle now.", |b| {
            b.totals.idle
        });
        self.family("homing_check_total", Kind::Counter, "Active checks ended.");
        for ([pool, backend], it) in seen.backends() {
            self.line(&[pool, backend, ("result", "good")], it.totals.good_checks);
            self.line(&[pool, backend, ("result", "bad")], it.totals.bad_checks);
        }
        self.each(
            seen,
            Kind::Counter,
            "homing_backend_state_changes_total",
            "Changes of availability.",
            |b| b.totals.state_changes,
        );
    }

    fn live(&mut self, seen: &Seen) {
        self.family("homing_requests_in_flight", Kind::Gauge, "Requests and tunnels at a backend now.");
        for (pool, it) in seen.pools() {
            let n: u64 = it.backends.iter().map(|b| u64::from(b.live.in_flight)).sum();
            self.line(&[pool], n);
        }
        self.each(seen, Kind::Gauge, "homing_tunnels", "Tunnels to this backend now.", |b| {
            b.live.tunnels.into()
        });
        self.family("homing_backend_state", Kind::Gauge, "1 for the state the backend is in.");
        for ([pool, backend], it) in seen.backends() {
            for state in BackendState::ALL {
                self.line(&[pool, backend, ("state", state.as_str())], u8::from(state == it.live.state));
            }
        }
        self.each(seen, Kind::Gauge, "homing_backend_weight", "Share of new sessions.", |b| {
            b.live.weight.into()
        });
        self.each(
            seen,
            Kind::Gauge,
            "homing_requests_waiting",
            "Requests that wait for this full backend now.",
            |b| b.live.waiting.into(),
        );
        self.each(seen, Kind::Gauge, "homing_sessions", "Live sessions.", |b| b.live.sessions.into());
    }

    fn drains(&mut self, seen: &Seen) {
        let gauges: [(_, _, Of<DrainLive, Option<u32>>); 3] = [
            ("homing_drain_sessions_remaining", "Sessions that a draining backend still has.", |d| {
                Some(d.sessions)
            }),
            ("homing_drain_started_timestamp_seconds", "When its drain began, since 1970.", |d| {
                Some(d.started.0)
            }),
            (
                "homing_drain_deadline_timestamp_seconds",
                "When its drain ends, if it must, since 1970.",
                |d| d.deadline.map(|at| at.0),
            ),
        ];
        for (name, help, of) in gauges {
            self.family(name, Kind::Gauge, help);
            for (labels, it) in seen.backends() {
                if let Some(n) = it.live.drain.as_ref().and_then(of) {
                    self.line(&labels, n);
                }
            }
        }
    }

    fn tables(&mut self, seen: &Seen) {
        let each = || seen.pools().filter_map(|(pool, it)| Some((pool, it, it.table?)));
        self.family("homing_session_table_entries", Kind::Gauge, "Sessions in the pool's table.");
        each().for_each(|(pool, _, table)| self.line(&[pool], table.entries));
        self.family("homing_session_table_bytes", Kind::Gauge, "Bytes that the table takes.");
        each().for_each(|(pool, _, table)| self.line(&[pool], table.bytes));
        self.family("homing_session_evictions_total", Kind::Counter, "Sessions that made room for others.");
        for (pool, _, table) in each() {
            self.line(&[pool, ("reason", "live")], table.evicted_live);
            self.line(&[pool, ("reason", "expired")], table.evicted_expired);
        }
        self.family("homing_session_snapshots_total", Kind::Counter, "Snapshots of the table, by their end.");
        for (pool, it, _) in each() {
            for (how, n) in SnapshotEnd::ALL.iter().zip(it.totals.snapshots) {
                self.line(&[pool, ("result", how.as_str())], n);
            }
        }
    }

    fn whole_process(&mut self, metrics: &Metrics, live: &dyn Live) {
        let shards = &metrics.shards;
        self.family("homing_refusals_total", Kind::Counter, "Requests refused before a pool was found.");
        for (i, reason) in metrics.layout.refusals.iter().enumerate() {
            let n: u64 = shards.iter().filter_map(|s| s.refusals.get(i)).map(|c| c.get()).sum();
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

    /// A family of one sample per backend.
    fn each(&mut self, seen: &Seen, kind: Kind, name: &'static str, help: &str, of: Of<BackendSeen>) {
        self.family(name, kind, help);
        seen.backends().for_each(|(labels, it)| self.line(&labels, of(it)));
    }

    fn histogram(&mut self, pool: Label<'_>, totals: &Totals) {
        let mut below = 0;
        for ((_, le), n) in BOUNDS.iter().zip(&totals.buckets) {
            below += n;
            self.sample("_bucket", &[pool, ("le", le)], below);
        }
        let count = totals.count();
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

    fn line(&mut self, labels: &[Label<'_>], value: impl Display) {
        self.sample("", labels, value);
    }

    fn sample(&mut self, suffix: &str, labels: &[Label<'_>], value: impl Display) {
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
