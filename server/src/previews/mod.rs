//! Previews: small pictures of files, made where nothing can go wrong but themselves.
//!
//! A file is somebody's input, and decoders have faults. So it is decoded by another process
//! ([`worker`]), which may use so much memory and so many seconds and can reach nothing. What it
//! makes is kept on this server's disk ([`cache`]), by content, so that it is made once whoever asks.
//!
//! # Always true
//!
//! * Who gets a preview has opened the file itself: rights are `files`' business, at each request.
//! * So many are made at once, so many wait, and a request waits a few seconds; the work goes
//!   on without it.
//! * Losing the cache loses nothing.
//!
//! # What surprises
//!
//! Clients ask for dozens of sizes. Few are made ([`Shape`]), all from the largest one, so that a photograph is decoded once.
//!
//! That a content has no preview is remembered where that was found out about the content: it is no picture, or it
//! costs too much. A worker that was killed, did not begin, or was late on a busy machine says nothing of it; then it is
//! tried again when somebody asks, after a minute, four, sixteen, …

mod cache;
mod confine;
mod kinds;
mod run;
mod shape;
pub mod worker;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache as Memory;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::files::Download;
use crate::previews::cache::Cache;
use crate::previews::cache::Found;
use crate::previews::cache::Key;
use crate::previews::run::Fault;
use crate::previews::run::Runner;

pub use crate::previews::kinds::Kinds;
pub use crate::previews::shape::Fit;
pub use crate::previews::shape::Shape;

/// Previews that wait to be made, for each that is being made.
const WAITING_FOR_EACH: usize = 64;
/// How long a file is left alone whose preview could not be made for no fault of its own, in seconds.
const LEFT_ALONE_SECONDS: i64 = 60;
/// After each further time it is left alone so many times longer.
const LEFT_ALONE_LONGER: i64 = 4;
/// And never longer than this, in seconds.
const LEFT_ALONE_SECONDS_MAX: i64 = 24 * 3_600;
/// So many of them are remembered.
const LEFT_ALONE_MAX: u64 = 10_000;

/// What an operator may choose.
#[derive(Debug, Clone)]
pub struct PreviewSettings {
    /// Where they are kept.
    pub folder: PathBuf,
    /// How many bytes are kept.
    pub cache_bytes: u64,
    /// How many are made at once; 0: none are.
    pub at_once: usize,
    /// Larger files have none, in bytes.
    pub source_bytes_max: u64,
    /// Pictures of more pixels have none.
    pub pixels_max: u64,
    /// How long one may take to be made.
    pub work_timeout: Duration,
    /// How long a request waits for one.
    pub wait_timeout: Duration,
}

/// A preview.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The picture.
    pub bytes: Bytes,
    /// `image/jpeg` or `image/png`.
    pub media_type: &'static str,
    /// Its ETag, without quotes.
    pub etag: String,
}

/// Makes and keeps previews.
pub struct Previews {
    kinds: Kinds,
    cache: Cache,
    runner: Runner,
    places: Semaphore,
    waiting_max: usize,
    wait_timeout: Duration,
    source_bytes_max: u64,
    running: Mutex<HashMap<Key, watch::Receiver<()>>>,
    left_alone: Memory<Key, LeftAlone>,
    clock: Clock,
}

/// A content that is not tried again yet, by the name of its largest preview.
#[derive(Debug, Clone, Copy)]
struct LeftAlone {
    until: Timestamp,
    seconds: i64,
}

impl Previews {
    /// Opens the cache and looks which programs are there. Blocks.
    pub fn open(settings: PreviewSettings, clock: Clock) -> io::Result<Self> {
        let kinds = if settings.at_once == 0 {
            Kinds::none()
        } else {
            Kinds::find()
        };
        let cache = Cache::open(settings.folder, settings.cache_bytes, clock.clone())?;
        let runner = Runner {
            work_folder: cache.work_folder(),
            kinds: kinds.clone(),
            timeout: settings.work_timeout,
            pixels_max: settings.pixels_max,
        };
        Ok(Self {
            kinds,
            cache,
            runner,
            places: Semaphore::new(settings.at_once),
            waiting_max: settings.at_once.saturating_mul(WAITING_FOR_EACH),
            wait_timeout: settings.wait_timeout,
            source_bytes_max: settings.source_bytes_max,
            running: Mutex::default(),
            left_alone: Memory::new(LEFT_ALONE_MAX),
            clock,
        })
    }

    /// Returns which files have a preview, by their names.
    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// Returns the preview of an opened file in a shape, or smaller where the file's own sides are.
    ///
    /// `None`: it has none, or none yet.
    pub async fn find(self: &Arc<Self>, file: Download, shape: Shape) -> Option<Preview> {
        let kind = self.kinds.of(&file.node.name)?;
        let bytes = file.node.size_bytes;
        if bytes == 0 || bytes > self.source_bytes_max {
            return None;
        }
        let key = Key::new(&file.content_mark(), kind, shape);
        match self.look(&key).await {
            Found::Picture(bytes) => return preview(&key, bytes),
            Found::HasNone => return None,
            Found::Nothing => {}
        }
        if self.is_left_alone(&key) {
            return None;
        }
        let mut made = Arc::clone(self).begin(key.clone(), file)?;
        // The sender is dropped when the work is over.
        drop(timeout(self.wait_timeout, made.changed()).await);
        match self.look(&key).await {
            Found::Picture(bytes) => preview(&key, bytes),
            Found::HasNone | Found::Nothing => None,
        }
    }

    fn is_left_alone(&self, key: &Key) -> bool {
        let left = self.left_alone.get(&key.largest());
        left.is_some_and(|left| self.clock.now() < left.until)
    }

    /// Leaves a content alone for a while, longer than the last time.
    fn leave_alone(&self, key: &Key) {
        let largest = key.largest();
        let seconds = match self.left_alone.get(&largest) {
            Some(left) => (left.seconds * LEFT_ALONE_LONGER).min(LEFT_ALONE_SECONDS_MAX),
            None => LEFT_ALONE_SECONDS,
        };
        let until = self.clock.now().plus_seconds(seconds);
        self.left_alone
            .insert(largest, LeftAlone { until, seconds });
    }

    async fn look(self: &Arc<Self>, key: &Key) -> Found {
        let (previews, key) = (Arc::clone(self), key.clone());
        let looked = tokio::task::spawn_blocking(move || previews.cache.find(&key));
        looked.await.unwrap_or(Found::Nothing)
    }

    async fn keep(self: &Arc<Self>, key: &Key, picture: Option<Vec<u8>>) {
        let (previews, key) = (Arc::clone(self), key.clone());
        let kept =
            tokio::task::spawn_blocking(move || previews.cache.put(&key, picture.as_deref()));
        if let Ok(Err(error)) = kept.await {
            tracing::warn!(%error, "a preview could not be kept");
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Key, watch::Receiver<()>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to make a preview unless that is under way; `None`: too many wait already.
    fn begin(self: Arc<Self>, key: Key, file: Download) -> Option<watch::Receiver<()>> {
        let mut running = self.running();
        if let Some(made) = running.get(&key) {
            return Some(made.clone());
        }
        if running.len() >= self.waiting_max {
            metrics::counter!("nuage_previews_total", "outcome" => "crowded").increment(1);
            return None;
        }
        let (sender, made) = watch::channel(());
        running.insert(key.clone(), made.clone());
        drop(running);
        tokio::spawn(async move {
            let work = Work {
                previews: self,
                key,
                _over: sender,
            };
            work.run(file).await;
        });
        Some(made)
    }

    /// Makes a preview from the file, or from the largest preview where that is there.
    async fn make(self: &Arc<Self>, key: &Key, file: Download) -> Result<(), Fault> {
        let largest = key.largest();
        let picture = match self.look(&largest).await {
            Found::Picture(bytes) => bytes,
            Found::HasNone => return Err(Fault::Undecodable),
            Found::Nothing => {
                let made = self.runner.make_from_file(key.kind(), file).await;
                if matches!(made, Err(Fault::Undecodable)) {
                    self.keep(&largest, None).await;
                }
                let picture = made?;
                self.keep(&largest, Some(picture.clone())).await;
                picture
            }
        };
        if *key != largest {
            let smaller = self.runner.make_smaller(picture, key.shape()).await?;
            self.keep(key, Some(smaller)).await;
        }
        Ok(())
    }
}

/// One preview that is being made; others wait for its end.
struct Work {
    previews: Arc<Previews>,
    key: Key,
    _over: watch::Sender<()>,
}

impl Work {
    async fn run(self, file: Download) {
        let Ok(_place) = self.previews.places.acquire().await else {
            return;
        };
        let outcome = match self.previews.make(&self.key, file).await {
            Ok(()) => {
                self.previews.left_alone.invalidate(&self.key.largest());
                "made"
            }
            Err(Fault::Undecodable) => {
                self.previews.keep(&self.key, None).await;
                "undecodable"
            }
            Err(fault) => {
                tracing::info!(%fault, "a preview could not be made");
                self.previews.leave_alone(&self.key);
                "failed"
            }
        };
        metrics::counter!("nuage_previews_total", "outcome" => outcome).increment(1);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.previews.running().remove(&self.key);
    }
}

fn preview(key: &Key, bytes: Vec<u8>) -> Option<Preview> {
    Some(Preview {
        media_type: cache::media_type_of(&bytes)?,
        etag: key.text(),
        bytes: bytes.into(),
    })
}
