//! `nuage-server serve`: starts everything in order, and stops it in the opposite one.
//!
//! Addresses and the certificate are taken before anything is written, so that a
//! server that cannot serve leaves no trace. The line `listening on …` is printed when
//! the first request would be answered.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustix::process::Resource;
use rustix::process::getrlimit;
use rustix::process::setrlimit;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::app::Claim;
use crate::app::Expectation;
use crate::app::periods;
use crate::app::serve_settings;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::cli::output::print_line;
use crate::cli::warn_of_unknown_variables;
use crate::config::Settings;
use crate::http::address::TrustedProxies;
use crate::http::serve::listen;
use crate::http::serve::serve;
use crate::http::tls::Certificate;
use crate::http::tls::TlsFiles;
use crate::identity::secret::Secret;
use crate::jobs::schedule::Schedule;
use crate::routes::Figures;
use crate::routes::FiguresOnly;
use crate::routes::Routes;
use crate::routes::local_url;
use crate::store::metadata::MetadataStore;
use crate::telemetry::Gauges;
use crate::telemetry::begin_logging;
use crate::telemetry::begin_metrics;

/// How often the files of the certificate are looked at.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(30);
/// How often the recorder of figures lets go of what it holds back.
const FIGURES_UPKEEP: Duration = Duration::from_secs(5);
/// Threads when the setting leaves their number open.
const THREADS_MAX: usize = 8;
/// Threads for blocking work; they end when they are not needed.
const BLOCKING_THREADS_MAX: usize = 64;
const BLOCKING_THREAD_IDLE: Duration = Duration::from_secs(5);
const STACK_BYTES: usize = 1 << 20;

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where to listen; port 0 lets the system choose. The setting `listen` if not given.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

impl Serve {
    pub(super) fn run(&self, mut context: Context) -> Result<ExitCode, CliError> {
        begin_logging(&context.settings.log);
        warn_of_unknown_variables();
        if let Some(address) = self.listen {
            context.settings.general.listen = address;
        }
        raise_open_files();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads(&context.settings))
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .thread_keep_alive(BLOCKING_THREAD_IDLE)
            .thread_stack_size(STACK_BYTES)
            .thread_name("nuage")
            .enable_all()
            .build()
            .map_err(CliError::Runtime)?;
        runtime.block_on(run(context))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn threads(settings: &Settings) -> usize {
    match settings.http.threads.get() {
        0 => std::thread::available_parallelism()
            .map_or(2, |cores| cores.get().clamp(2, THREADS_MAX)),
        chosen => chosen as usize,
    }
}

/// Lets this process have as many open files as it may: each connection is one.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// The listening sockets and what they need.
struct Doors {
    main: TcpListener,
    figures: Option<TcpListener>,
    certificate: Option<Arc<Certificate>>,
    url: String,
}

impl Doors {
    fn open(context: &Context) -> Result<Self, CliError> {
        let settings = &context.settings;
        let certificate = match (&settings.tls.certificate, &settings.tls.key) {
            (Some(certificate), Some(key)) => {
                let folder = context.folder.path();
                let files = TlsFiles {
                    certificate: folder.join(certificate),
                    key: folder.join(key),
                };
                Some(Arc::new(Certificate::load(files)?))
            }
            _ => None,
        };
        let main = open_door(settings.general.listen)?;
        let figures = settings.metrics.listen.map(open_door).transpose()?;
        let url = local_url(main.local_addr()?, certificate.is_some());
        Ok(Self {
            main,
            figures,
            certificate,
            url,
        })
    }
}

fn open_door(address: SocketAddr) -> Result<TcpListener, CliError> {
    listen(address).map_err(|source| CliError::Listen { address, source })
}

async fn run(context: Context) -> Result<(), CliError> {
    let doors = Doors::open(&context)?;
    let mut signals = Signals::listen()?;
    let figures = begin_metrics()?;
    let settings = &context.settings;
    let ground = context.ground(Expectation::MayBegin).await?;
    let mut app = App::build(ground, settings).await?;
    let claim = std::mem::replace(&mut app.claim, Claim::Shared);
    let first_admin = app.ground.identity.create_first_admin_if_empty().await?;
    let public_url = settings.general.public_url.as_ref();
    let public_url = public_url.map(|url| url.as_str().to_owned());
    if let Some((name, password)) = first_admin {
        let url = public_url.as_deref().unwrap_or(&doors.url);
        print(&first_start(&name, &password, url))?;
    }

    let stop = CancellationToken::new();
    let schedule = Schedule {
        identity: Arc::clone(&app.ground.identity),
        metadata: Arc::clone(&app.ground.metadata),
        maintenance: Arc::clone(&app.maintenance),
        mailer: app.mailer.clone(),
        notices: Arc::clone(&app.notices),
        clock: app.ground.clock.clone(),
        periods: periods(settings),
    };
    let jobs = schedule.start(&stop);
    let metadata = Arc::clone(&app.ground.metadata);
    let claim = tokio::spawn(keep(claim, Arc::clone(&metadata)));
    let figures = Arc::new(Figures::new(figures, Gauges::new(Arc::clone(&metadata))));
    let routes = Routes {
        identity: Arc::clone(&app.ground.identity),
        dav: Arc::clone(&app.dav),
        nextcloud: Arc::clone(&app.nextcloud),
        web: Arc::clone(&app.web),
        api: Arc::clone(&app.api),
        sharing: Arc::clone(&app.sharing),
        metadata,
        proxies: TrustedProxies::new(settings.general.trusted_proxies.0.clone()),
        public_url,
        figures: doors.figures.is_none().then(|| Arc::clone(&figures)),
        stop: stop.clone(),
    };
    let how = serve_settings(settings);
    let figures_served = doors.figures.map(|listener| {
        let handler = Arc::new(FiguresOnly(Arc::clone(&figures)));
        tokio::spawn(serve(listener, None, how.clone(), handler, stop.clone()))
    });
    let served = tokio::spawn(serve(
        doors.main,
        doors.certificate.clone(),
        how,
        Arc::new(routes),
        stop.clone(),
    ));
    print_line(&format!("listening on {}", doors.url))?;
    tracing::info!(
        url = doors.url,
        version = env!("CARGO_PKG_VERSION"),
        "serving"
    );

    signals.wait_for_stop(doors.certificate, figures).await;
    tracing::info!("stopping: requests that run may finish");
    stop.cancel();
    tokio::spawn(stop_at_once_when_told_again(signals));
    for task in [Some(served), figures_served].into_iter().flatten() {
        if let Err(error) = task.await {
            tracing::error!(%error, "a listening task failed");
        }
    }
    jobs.wait().await;
    if let Err(error) = tokio::task::spawn_blocking(move || app.close()).await {
        tracing::error!(%error, "the stores could not be closed in order");
    }
    claim.abort();
    tracing::info!("stopped");
    Ok(())
}

/// Keeps other servers out, where there may be only this one; ends the process at once when another is in.
///
/// Closing the packs in order would write to what is the other's now.
async fn keep(claim: Claim, metadata: Arc<MetadataStore>) {
    claim.keep(&metadata).await;
    tracing::error!("another server has taken the chunks over; this one ends at once");
    std::process::exit(1);
}

/// A second signal means that somebody will not wait; what was acknowledged is durable.
async fn stop_at_once_when_told_again(mut signals: Signals) {
    signals.stop_signal().await;
    tracing::warn!("stopped at once");
    std::process::exit(1);
}

/// The signals that a server listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> Result<Self, CliError> {
        let take = |kind| signal(kind).map_err(CliError::Runtime);
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
            hang_up: take(SignalKind::hangup())?,
        })
    }

    async fn stop_signal(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits until the server is to stop; meanwhile keeps certificate and figures fresh.
    async fn wait_for_stop(
        &mut self,
        certificate: Option<Arc<Certificate>>,
        figures: Arc<Figures>,
    ) {
        let mut look = tokio::time::interval(CERTIFICATE_LOOK);
        let mut upkeep = tokio::time::interval(FIGURES_UPKEEP);
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => reload(certificate.as_ref(), true).await,
                _ = look.tick() => reload(certificate.as_ref(), false).await,
                _ = upkeep.tick() => figures.run_upkeep(),
            }
        }
    }
}

async fn reload(certificate: Option<&Arc<Certificate>>, was_asked: bool) {
    let Some(certificate) = certificate.map(Arc::clone) else {
        return;
    };
    let reloaded = tokio::task::spawn_blocking(move || {
        if was_asked {
            certificate.reload().map(|()| true)
        } else {
            certificate.reload_if_changed()
        }
    });
    match reloaded.await {
        Ok(Ok(true)) => tracing::info!("the certificate was read again"),
        Ok(Ok(false)) => {}
        Ok(Err(error)) => tracing::error!(%error, "the former certificate stays in use"),
        Err(error) => tracing::error!(%error, "the certificate could not be read again"),
    }
}

/// What the first start says, once.
fn first_start(name: &str, password: &Secret, url: &str) -> String {
    let password = password.reveal();
    let dav = format!("{url}/dav/");
    let in_file_manager = dav.replacen("http", "dav", 1);
    format!(
        "\
Created the administrator. The password is shown this once:

    name      {name}
    password  {password}

Your files are at {dav}

    a file manager   {in_file_manager}
    curl             curl -u {name}:{password} -T FILE {dav}
    rclone           rclone config create nuage webdav url={dav} vendor=other user={name} pass={password}
                     rclone mount nuage: FOLDER
    davfs2           sudo mount -t davfs {dav} FOLDER

More people: nuage-server user add NAME. Another password: nuage-server user passwd {name}.

"
    )
}
