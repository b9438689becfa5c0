//! Log lines and figures: where they go and in which form.
//!
//! Everything is written through the macros of `tracing` and `metrics`, wherever it
//! happens; this file decides once for the process what becomes of it. Lines go to the
//! standard error, so that what a command prints can be read by a program.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use metrics_exporter_prometheus::BuildError;
use metrics_exporter_prometheus::Matcher;
use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_exporter_prometheus::PrometheusHandle;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::Log;
use crate::config::LogFormat;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::tx::statements;

/// Upper bounds by which durations are counted, in seconds.
const SECONDS_BOUNDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];
/// Upper bounds for jobs, in seconds.
const JOB_SECONDS_BOUNDS: [f64; 7] = [0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0];

/// Sends log lines to the standard error from now on.
///
/// Does nothing where lines are sent somewhere already, as in a test.
pub fn begin_logging(log: &Log) {
    let own = format!(
        "{level},requests={requests}",
        level = log.level,
        requests = if log.requests { "info" } else { "off" },
    );
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(own));
    begin(filter, log.format);
}

/// Sends the warnings of a command to the standard error.
pub fn begin_command_logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    begin(filter, LogFormat::Text);
}

fn begin(filter: EnvFilter, format: LogFormat) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(StandardError);
    let begun = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if begun.is_err() {
        tracing::debug!("log lines are sent somewhere already");
    }
    log_panics();
}

/// Writes each line at once; a closed standard error is no reason to stop.
#[derive(Debug, Clone, Copy)]
struct StandardError;

impl MakeWriter<'_> for StandardError {
    type Writer = std::io::Stderr;

    fn make_writer(&self) -> std::io::Stderr {
        std::io::stderr()
    }
}

/// Puts panics into the log, with their place.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let text = panic.payload_as_str().unwrap_or("?");
        tracing::error!(place = place.as_deref().unwrap_or("?"), text, "panic");
    }));
}

/// Gathers figures for Prometheus from now on.
pub fn begin_metrics() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets(&SECONDS_BOUNDS)?
        .set_buckets_for_metric(
            Matcher::Prefix("nuage_job_".to_owned()),
            &JOB_SECONDS_BOUNDS,
        )?
        .install_recorder()?;
    describe();
    Ok(handle)
}

fn describe() {
    use metrics::describe_counter as counter;
    use metrics::describe_gauge as gauge;
    use metrics::describe_histogram as histogram;
    counter!(
        "nuage_http_requests_total",
        "Requests answered, by method and status"
    );
    histogram!(
        "nuage_http_request_seconds",
        "Time from a request's head to the end of its answer"
    );
    gauge!(
        "nuage_http_requests_running",
        "Requests that are being answered"
    );
    gauge!("nuage_http_connections", "Open connections");
    counter!(
        "nuage_http_connections_refused_total",
        "Connections closed because too many were open"
    );
    counter!(
        "nuage_http_received_bytes_total",
        "Bytes received, heads and bodies"
    );
    counter!(
        "nuage_http_sent_bytes_total",
        "Bytes sent, heads and bodies"
    );
    counter!(
        "nuage_http_answers_cut_total",
        "Answers that ended before they were whole"
    );
    counter!(
        "nuage_http_panics_total",
        "Requests that made the program panic; each is a bug"
    );
    gauge!(
        "nuage_metadata_waiting_writes",
        "Writes that wait for the database's writer"
    );
    counter!(
        "nuage_metadata_round_trips_total",
        "How often transactions waited for the database server (PostgreSQL)"
    );
    counter!(
        "nuage_metadata_statements_total",
        "Statements that transactions ran"
    );
    gauge!(
        "nuage_metadata_wal_bytes",
        "Size of the database's write-ahead log"
    );
    gauge!(
        "nuage_metadata_bytes",
        "Size of the database without its log"
    );
    gauge!(
        "nuage_disk_free_bytes",
        "Free space of the disk that holds the data folder"
    );
    counter!(
        "nuage_job_runs_total",
        "Runs of background jobs, by job and outcome"
    );
    gauge!(
        "nuage_job_last_run_seconds",
        "When a job ended last, in seconds since 1970"
    );
    histogram!("nuage_job_seconds", "How long runs of background jobs take");
}

/// Figures that are looked up when somebody asks.
#[derive(Debug)]
pub struct Gauges {
    metadata: Arc<MetadataStore>,
}

impl Gauges {
    /// Looks at this database and the disk that it lies on.
    pub fn new(metadata: Arc<MetadataStore>) -> Self {
        Self { metadata }
    }

    /// Brings the figures up to date. Blocks for a moment.
    pub fn refresh(&self) {
        set(
            "nuage_metadata_waiting_writes",
            self.metadata.waiting_writes() as u64,
        );
        metrics::counter!("nuage_metadata_statements_total").absolute(statements());
        if let Some(round_trips) = self.metadata.round_trips() {
            metrics::counter!("nuage_metadata_round_trips_total").absolute(round_trips);
        }
        let Some(database) = self.metadata.path() else {
            return;
        };
        set("nuage_metadata_wal_bytes", file_bytes(&wal_of(database)));
        set("nuage_metadata_bytes", file_bytes(database));
        if let Some(bytes) = free_bytes(database) {
            set("nuage_disk_free_bytes", bytes);
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; nobody needs the last byte"
)]
fn set(name: &'static str, value: u64) {
    metrics::gauge!(name).set(value as f64);
}

fn wal_of(database: &Path) -> PathBuf {
    let mut wal = database.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}

fn file_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |found| found.len())
}

/// Returns what programs without special rights may still write to the disk of a file.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}
