//! Why a command did not do what it was asked, and with which exit code it ends.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use metrics_exporter_prometheus::BuildError;

use crate::app::AppError;
use crate::config::ConfigError;
use crate::http::tls::TlsError;
use crate::identity::error::AdminError;
use crate::jobs::backup::BackupError;
use crate::jobs::moving::MoveError;
use crate::jobs::requests::RequestError;
use crate::jobs::schedule::JobFault;
use crate::store::chunks::ChunkError;
use crate::store::metadata::error::StoreError;

const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;
const NEWER_DATA: u8 = 3;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data folder cannot be used.
    #[error(transparent)]
    App(#[from] AppError),
    /// A change of accounts did not happen.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The backup or restore stopped.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The work of a job could not be done.
    #[error(transparent)]
    Job(#[from] JobFault),
    /// The server that runs the jobs did not do it.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The figures cannot be gathered.
    #[error("figures cannot be gathered: {0}")]
    Figures(#[from] BuildError),
    /// An address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Backup and restore work on data folders alone.
    #[error(
        "backup and restore are for installations in a data folder; this one has its metadata in {metadata} and \
         its chunks in {chunks}. Back PostgreSQL up with its own tools (pg_basebackup and WAL archiving, or pg_dump), \
         and let the store keep deleted objects for longer than that: docs/guides/back-up.md says how and in which order"
    )]
    NotEmbedded {
        /// Where its metadata is.
        metadata: String,
        /// Where its chunks are.
        chunks: String,
    },
    /// The destination of a move is not understood. It is not repeated: it may hold a password.
    #[error(
        "--to is not understood: write METADATA,CHUNKS, such as \
         postgres://user@host/database,s3://bucket/prefix or postgres://user@host/database,folder"
    )]
    BadDestination,
    /// Only what lies in a data folder can be moved.
    #[error(
        "the settings say metadata = \"{metadata}\" and chunks = \"{chunks}\": a move begins at \"sqlite\" and \"folder\". \
         Write the new settings when it is done"
    )]
    MovesFromAFolder {
        /// Where the metadata is.
        metadata: String,
        /// Where the chunks are.
        chunks: String,
    },
    /// What restores a data folder begins a new history by itself.
    #[error(
        "--new-history is for a PostgreSQL database that was restored with its own tools; restore DIR does it by itself"
    )]
    RestoresItself,
    /// A server works on what should be moved or restored.
    #[error("a server is running on this data: stop it first")]
    ServerRuns,
    /// There is no such file or folder.
    #[error("there is no file or folder '{what}'")]
    NoSuchNode {
        /// What was asked for.
        what: String,
    },
    /// No server of mail is named.
    #[error("no mail is sent: the setting mail.host names no server of mail")]
    NoMail,
    /// A letter was not sent.
    #[error("{host} has not taken the letter: {reason}")]
    NotSent {
        /// The server of mail.
        host: String,
        /// What it says, or what stood in the way.
        reason: String,
    },
    /// There is nothing at a path.
    #[error("{path}: there is no such file or folder")]
    NoSuchPath {
        /// What was typed.
        path: String,
    },
    /// Packs could not be moved.
    #[error(transparent)]
    Move(#[from] MoveError),
    /// Threads cannot be started.
    #[error("the program cannot start its threads: {0}")]
    Runtime(#[source] io::Error),
    /// The standard output or input cannot be used.
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[from] io::Error),
    /// A question could not be asked.
    #[error("this deletes something: repeat it with --yes")]
    NotConfirmable,
    /// The answer was no.
    #[error("nothing was changed")]
    NotConfirmed,
    /// The two passwords differ.
    #[error("the two passwords are not the same")]
    PasswordsDiffer,
    /// No password came.
    #[error("no password came on the standard input")]
    NoPassword,
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        Self::App(error.into())
    }
}

impl From<ChunkError> for CliError {
    fn from(error: ChunkError) -> Self {
        Self::App(error.into())
    }
}

impl CliError {
    /// Returns with what the process ends.
    pub(super) fn exit_code(&self) -> ExitCode {
        let code = match self {
            Self::Config(_) | Self::BadDestination => WRONG_USAGE,
            Self::App(AppError::Store(StoreError::NewerSchema { .. }))
            | Self::Backup(BackupError::Store(StoreError::NewerSchema { .. })) => NEWER_DATA,
            Self::App(_)
            | Self::Admin(_)
            | Self::Backup(_)
            | Self::Job(_)
            | Self::Request(_)
            | Self::Tls(_)
            | Self::Figures(_)
            | Self::Listen { .. }
            | Self::NotEmbedded { .. }
            | Self::MovesFromAFolder { .. }
            | Self::ServerRuns
            | Self::RestoresItself
            | Self::NoSuchNode { .. }
            | Self::NoMail
            | Self::NotSent { .. }
            | Self::NoSuchPath { .. }
            | Self::Move(_)
            | Self::Runtime(_)
            | Self::Terminal(_)
            | Self::NotConfirmable
            | Self::NotConfirmed
            | Self::PasswordsDiffer
            | Self::NoPassword => FAILED,
        };
        ExitCode::from(code)
    }
}
