//! Packs as objects of an S3 store: how it is reached, and how objects are made.
//!
//! Nothing of ours stands between the servers that share a bucket: the rows of packs are in
//! the database, and an object appears whole or not at all.
//!
//! # Always true
//!
//! * A pack's row is committed before its object is begun, and its key is never used for another.
//! * Nobody hears "durable" before the store acknowledged the whole object.

pub(super) mod appender;
pub(super) mod cache;
mod http;
mod rows;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use object_store::BackoffConfig;
use object_store::ObjectStore;
use object_store::RetryConfig;
use object_store::aws::AmazonS3Builder;
use tokio::runtime::Handle;
use tokio::runtime::Runtime;

use crate::store::chunks::ChunkError;
use crate::store::chunks::S3Settings;
use crate::store::chunks::s3::http::Connector;

/// Threads that carry requests and their answers.
const THREADS: usize = 2;
/// Threads that write the read cache and resolve names.
const BLOCKING_THREADS: usize = 3;
/// How long a request is repeated that failed; what is under way then may yet end. Tests do not wait.
const REPEAT_FOR: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 12 });
/// The first pause between two tries.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The runtime of everything that happens to an S3 store.
///
/// It is one of its own, so that closing can wait for the last object wherever it is called.
#[derive(Debug)]
pub(super) struct S3Runtime(Option<Runtime>);

impl S3Runtime {
    pub(super) fn start() -> Result<Self, ChunkError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("nuage-s3")
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| ChunkError::Unavailable(error.to_string()))?;
        Ok(Self(Some(runtime)))
    }

    pub(super) fn handle(&self) -> Result<&Handle, ChunkError> {
        let runtime = self.0.as_ref().ok_or(ChunkError::Closed)?;
        Ok(runtime.handle())
    }

    /// Waits for a future on a thread of its own, so that the caller may be on any thread. Blocks.
    pub(super) fn wait_for<F>(&self, future: F) -> Result<F::Output, ChunkError>
    where
        F: Future + Send,
        F::Output: Send,
    {
        let handle = self.handle()?;
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| handle.block_on(future));
            waiting.join().map_err(|_panic| ChunkError::Closed)
        })
    }
}

impl Drop for S3Runtime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Prepares the way to a bucket; nothing is asked of it yet.
pub(super) fn connect(
    settings: &S3Settings,
    runtime: &Handle,
) -> Result<Arc<dyn ObjectStore>, ChunkError> {
    let fault = |what: String| {
        let bucket = &settings.bucket;
        ChunkError::Unavailable(format!("S3 bucket {bucket}: {what}"))
    };
    let connector = Connector::new(runtime.clone()).map_err(|error| fault(error.to_string()))?;
    let mut builder = match &settings.credentials {
        Some(credentials) => AmazonS3Builder::new()
            .with_access_key_id(&credentials.key_id)
            .with_secret_access_key(&credentials.secret),
        None => AmazonS3Builder::from_env(),
    };
    let region = settings.region.clone().or_else(|| {
        let names = ["AWS_REGION", "AWS_DEFAULT_REGION"];
        names.iter().find_map(|name| std::env::var(name).ok())
    });
    if let Some(region) = region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &settings.endpoint {
        let endpoint = if settings.path_style {
            endpoint.clone()
        } else {
            in_host_name(endpoint, &settings.bucket)
                .ok_or_else(|| fault(format!("the endpoint {endpoint:?} is no URL")))?
        };
        builder = builder
            .with_allow_http(endpoint.starts_with("http://"))
            .with_endpoint(endpoint);
    }
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: PAUSE_FIRST,
            max_backoff: PAUSE_MAX,
            base: 2.0,
        },
        max_retries: 20,
        retry_timeout: REPEAT_FOR,
    };
    let store = builder
        .with_bucket_name(&settings.bucket)
        .with_virtual_hosted_style_request(!settings.path_style)
        .with_retry(retry)
        .with_http_connector(connector)
        .build()
        .map_err(|error| fault(error.to_string()))?;
    Ok(Arc::new(store))
}

/// Puts the bucket in front of the host name of a URL.
fn in_host_name(endpoint: &str, bucket: &str) -> Option<String> {
    let (scheme, host) = endpoint.split_once("://")?;
    Some(format!("{scheme}://{bucket}.{host}"))
}
