//! How a URL becomes connections: options of every session, TLS, and what errors mean.
//!
//! TLS is used where the URL says `sslmode=require` (or `verify-ca`, `verify-full`), and
//! the certificate is then always verified, with its name. Otherwise the
//! connection is plain, which suits a socket or a private network.

use std::error::Error as _;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Hook;
use deadpool_postgres::HookError;
use deadpool_postgres::Manager;
use deadpool_postgres::ManagerConfig;
use deadpool_postgres::Pool;
use deadpool_postgres::RecyclingMethod;
use deadpool_postgres::Runtime;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio_postgres::Config;
use tokio_postgres::Error;
use tokio_postgres::NoTls;
use tokio_postgres::config::Host;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::metadata::dialect::Engine;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::postgres::PostgresSettings;

/// How long a new connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an operation waits for a connection that is free.
const FREE_TIMEOUT: Duration = Duration::from_secs(10);
/// After how long without an answer a connection counts as lost.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);

/// What holds in every session: a server that hangs while it holds a space's row
/// loses it, nobody waits for a row without end, and short statements are not compiled.
///
/// The keepalives let PostgreSQL notice within half a minute that a machine is gone, so
/// that the locks of its sessions go to others; by itself it would wait for two hours.
const SESSION: &str = "-c idle_in_transaction_session_timeout=30000 -c lock_timeout=60000 \
     -c jit=off -c client_min_messages=warning -c timezone=UTC \
     -c tcp_keepalives_idle=15 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3";

/// For the session that hands out numbers: what uses a number is written later to the same
/// log, so that its own commit also makes the number's durable.
const UNHURRIED: &str = " -c synchronous_commit=off";

/// A database that can be connected to.
pub(super) struct Server {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Server {
    /// Tells whether a URL `postgres://…` can be understood.
    pub(super) fn understand(url: &str) -> StoreResult<()> {
        read_url(url).map(drop)
    }

    /// Understands a URL `postgres://…`.
    pub(super) fn parse(url: &str, settings: &PostgresSettings) -> StoreResult<Self> {
        let (mut config, verified) = read_url(url)?;
        if let Some(password) = &settings.password {
            config.password(password.reveal());
        }
        let with_tls = verified || config.get_ssl_mode() == SslMode::Require;
        config.ssl_mode(if with_tls {
            SslMode::Require
        } else {
            SslMode::Disable
        });
        config
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(SILENCE_TIMEOUT)
            .tcp_user_timeout(SILENCE_TIMEOUT);
        if config.get_application_name().is_none() {
            config.application_name("nuage");
        }
        if !with_tls && config.get_hosts().iter().any(is_remote) {
            tracing::warn!(
                "PostgreSQL is reached without TLS; add sslmode=require to its URL unless the network is private"
            );
        }
        let tls = if with_tls {
            Some(tls_connector(settings.root_certificates.as_deref())?)
        } else {
            None
        };
        Ok(Self { config, tls })
    }

    /// Makes the pool of sessions that run operations.
    pub(super) fn pool(&self, connections: usize) -> StoreResult<Pool> {
        self.make_pool(connections, SESSION)
    }

    /// Makes the one session that hands out numbers.
    pub(super) fn numbers_pool(&self) -> StoreResult<Pool> {
        self.make_pool(1, &format!("{SESSION}{UNHURRIED}"))
    }

    fn make_pool(&self, connections: usize, session: &str) -> StoreResult<Pool> {
        let mut config = self.config.clone();
        let asked = config.get_options().unwrap_or_default();
        let options = format!("{asked} {session}");
        config.options(options.trim_start());
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = match &self.tls {
            Some(tls) => Manager::from_config(config, tls.clone(), recycling),
            None => Manager::from_config(config, NoTls, recycling),
        };
        Pool::builder(manager)
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(FREE_TIMEOUT))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(async move {
                    client
                        .batch_execute(&Engine::Postgres.scratch())
                        .await
                        .map_err(HookError::Backend)
                })
            }))
            .build()
            .map_err(|error| StoreError::Database(error.to_string()))
    }
}

/// Reads a URL; returns also whether it asks for a verified certificate.
fn read_url(url: &str) -> StoreResult<(Config, bool)> {
    let (url, verified) = split_tls(url);
    let config = Config::from_str(&url).map_err(|error| {
        StoreError::Database(format!("the URL of PostgreSQL is not understood: {error}"))
    })?;
    Ok((config, verified))
}

/// Takes `sslmode=verify-…`, which the driver does not know, out of a URL; returns whether it was there.
fn split_tls(url: &str) -> (String, bool) {
    let Some((front, query)) = url.split_once('?') else {
        return (url.to_owned(), false);
    };
    let verified = |option: &&str| matches!(*option, "sslmode=verify-full" | "sslmode=verify-ca");
    let kept: Vec<_> = query
        .split('&')
        .filter(|option| !verified(option))
        .collect();
    let url = if kept.is_empty() {
        front.to_owned()
    } else {
        format!("{front}?{}", kept.join("&"))
    };
    (url, query.split('&').any(|option| verified(&option)))
}

fn is_remote(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name != "localhost"
                && !name
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => false,
    }
}

fn tls_connector(root_certificates: Option<&Path>) -> StoreResult<MakeRustlsConnect> {
    let fault = |text: String| StoreError::Database(format!("certificates for PostgreSQL: {text}"));
    let mut roots = RootCertStore::empty();
    if let Some(file) = root_certificates {
        let certificates =
            CertificateDer::pem_file_iter(file).map_err(|error| fault(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| fault(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| fault(error.to_string()))?;
        }
    } else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
    }
    if roots.is_empty() {
        return Err(fault("none was found".into()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Translates an error of a statement; see also [`is_lost`].
pub(crate) fn store_error(error: &Error) -> StoreError {
    let text = match error.as_db_error() {
        Some(answer) => format!("{} ({})", answer.message(), answer.code().code()),
        None => match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    };
    match error.code().map(tokio_postgres::error::SqlState::code) {
        Some("53100") => StoreError::DiskFull,
        Some("XX001" | "XX002") => StoreError::Corrupt(text),
        // Too many connections; a row or a statement that could not wait longer.
        Some("53300" | "55P03" | "57014") => StoreError::Unavailable(text),
        Some(_) | None if is_lost(error) => StoreError::Unavailable(text),
        Some(_) | None => StoreError::Database(text),
    }
}

/// Returns whether an error means that the connection, and what was not committed on it, is gone.
pub(super) fn is_lost(error: &Error) -> bool {
    match error.code().map(tokio_postgres::error::SqlState::code) {
        // The server stops or starts; the connection broke; the session waited too long.
        Some(code) => {
            code.starts_with("08")
                || matches!(code, "57P01" | "57P02" | "57P03" | "57P05" | "25P03")
        }
        None => {
            error.is_closed()
                || error
                    .source()
                    .is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
        }
    }
}

/// Returns whether an operation failed only because of what a neighbour did meanwhile.
pub(super) fn is_worth_repeating(error: &Error) -> bool {
    // A serialization failure, a deadlock; a row that another made after this one found none.
    matches!(
        error.code().map(tokio_postgres::error::SqlState::code),
        Some("40001" | "40P01" | "23505")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_used_where_the_url_asks_for_it() {
        let settings = PostgresSettings::default();
        for (url, asked) in [
            ("postgres://db/nuage", false),
            ("postgres://db/nuage?sslmode=disable", false),
            ("postgres://db/nuage?sslmode=prefer", false),
            ("postgres://db/nuage?sslmode=require", true),
            (
                "postgres://db/nuage?connect_timeout=3&sslmode=verify-full",
                true,
            ),
        ] {
            let server = Server::parse(url, &settings).unwrap();
            assert_eq!(server.tls.is_some(), asked, "{url}");
        }
        assert!(Server::parse("postgres://db/nuage?sslmod=require", &settings).is_err());
    }
}
