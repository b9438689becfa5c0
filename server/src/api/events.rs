//! Changes as they happen, told on a stream of server-sent events (WHATWG HTML, section 9.2).
//!
//! What is told carries no content: the page asks then for the folder that it shows, where rights are tested.
//!
//! # Always true
//!
//! * Every change that is committed while a page listens is told, at the latest after [`PAUSE`].
//! * A session that is over hears nothing for longer than [`LOOK_IN_ANY_CASE`].

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::HeaderValue;
use http::Response;
use http::header;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::api::ApiResult;
use crate::api::call::Call;
use crate::api::problem::Problem;
use crate::files::Watcher;
use crate::http::body;
use crate::identity::Caller;
use crate::identity::Identity;

/// The pause between two messages.
const PAUSE: Duration = Duration::from_millis(500);
/// How often it is looked whether the session still holds, if any account has changed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked in any case: a session can end by itself.
const LOOK_IN_ANY_CASE: Duration = Duration::from_mins(1);
/// How often something is sent, so that nothing on the way takes the connection for dead.
const BEAT_EVERY: Duration = Duration::from_secs(25);
/// In how many milliseconds the browser tries again when the stream ends.
const RETRY: &str = "retry: 3000\n\n";

/// Who listens.
pub(super) struct Channels {
    per_person_max: u32,
    open: Mutex<HashMap<Arc<str>, u32>>,
}

/// The place of one listener, given back when it is dropped.
struct Place {
    of: Arc<Channels>,
    person: Arc<str>,
}

impl Channels {
    pub(super) fn new(per_person_max: u32) -> Arc<Self> {
        Arc::new(Self {
            per_person_max,
            open: Mutex::default(),
        })
    }

    fn place(self: &Arc<Self>, caller: &Caller) -> Option<Place> {
        let person = Arc::clone(&caller.name);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let held = open.entry(Arc::clone(&person)).or_default();
        if *held >= self.per_person_max {
            return None;
        }
        *held += 1;
        Some(Place {
            of: Arc::clone(self),
            person,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.of.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = open.get_mut(&self.person) {
            *held -= 1;
            if *held == 0 {
                open.remove(&self.person);
            }
        }
    }
}

/// A page that listens.
struct Listener {
    identity: Arc<Identity>,
    /// What its browser showed to prove who it is.
    session: String,
    watcher: Watcher,
    accounts: u64,
    looked_at: Instant,
    proved_at: Instant,
    told_at: Option<Instant>,
    is_over: bool,
    stop: CancellationToken,
    _place: Place,
}

impl Api {
    /// `GET /events`: tells of changes until the page is closed or the session is over.
    pub(super) async fn tell_changes(&self, call: &Call<'_>) -> ApiResult {
        let place = self.channels.place(call.caller);
        let place = place.ok_or_else(Problem::too_many_channels)?;
        let listener = Listener {
            identity: Arc::clone(&self.identity),
            session: call.session.to_owned(),
            watcher: self.files.watch(call.caller).await?,
            accounts: self.identity.account_changes(),
            looked_at: Instant::now(),
            proved_at: Instant::now(),
            told_at: None,
            is_over: false,
            stop: call.stop.clone(),
            _place: place,
        };
        let begin =
            stream::once(async { Ok::<_, Infallible>(Bytes::from_static(RETRY.as_bytes())) });
        let rest = stream::unfold(listener, async |mut listener| {
            let piece = listener.next().await?;
            Some((Ok(Bytes::from_static(piece.as_bytes())), listener))
        });
        let all = futures_util::StreamExt::chain(begin, Box::pin(rest));
        let mut response = Response::new(body::stream(all));
        let headers = response.headers_mut();
        let form = HeaderValue::from_static("text/event-stream");
        headers.insert(header::CONTENT_TYPE, form);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // A proxy in front must not gather what is told.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        Ok(response)
    }
}

impl Listener {
    /// Waits for what is to be told next; `None`: nothing any more.
    async fn next(&mut self) -> Option<&'static str> {
        if self.is_over {
            return None;
        }
        let beat = tokio::time::sleep(BEAT_EVERY);
        tokio::pin!(beat);
        loop {
            let look = self.looked_at + LOOK_EVERY;
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = self.watcher.changed() => break,
                () = &mut beat => return Some(": still here\n\n"),
                () = tokio::time::sleep_until(look) => {
                    self.looked_at = Instant::now();
                    if !self.is_signed_in().await {
                        self.is_over = true;
                        return Some("event: bye\ndata: signed-out\n\n");
                    }
                }
            }
        }
        if let Some(told_at) = self.told_at {
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep_until(told_at + PAUSE) => {}
            }
        }
        self.told_at = Some(Instant::now());
        Some("event: changed\ndata: files\n\n")
    }

    async fn is_signed_in(&mut self) -> bool {
        let accounts = self.identity.account_changes();
        if accounts == self.accounts && self.proved_at.elapsed() < LOOK_IN_ANY_CASE {
            return true;
        }
        match self.identity.is_session_valid(&self.session).await {
            Ok(holds) => {
                self.accounts = accounts;
                self.proved_at = Instant::now();
                holds
            }
            // Undecided: the next look asks again.
            Err(_) => true,
        }
    }
}
