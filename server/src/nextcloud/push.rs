//! Push: a client hears within a moment that something has changed, instead of asking every half minute.
//!
//! A client opens a WebSocket, says who it is in two messages, and then only listens. What
//! it hears carries no content: it asks then by WebDAV, where its rights are tested. Changes that come
//! fast are told as one.
//!
//! # Always true
//!
//! * Every change that is committed while a channel is open is told on it, at the latest after the pause
//!   between two messages.
//! * Nobody who may not sign in any more hears anything for longer than [`LOOK_EVERY`].

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::SinkExt;
use futures_util::StreamExt;
use http::Response;
use http::StatusCode;
use serde_json::Value;
use serde_json::json;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;

use crate::files::Files;
use crate::http::body::Body;
use crate::http::body::full;
use crate::http::visit::Visit;
use crate::http::websocket;
use crate::http::websocket::WebSocket;
use crate::identity::Caller;
use crate::identity::Identity;
use crate::identity::TicketKind;
use crate::identity::error::IdentityError;
use crate::identity::secret::Secret;

/// How long a client may take to say who it is.
const SIGN_IN_LIMIT: Duration = Duration::from_secs(15);
/// How long a ticket for the channel lasts, in seconds.
const TICKET_SECONDS: i64 = 15;
/// How often it is looked whether a listener may still listen, if any account has changed.
const LOOK_EVERY: Duration = Duration::from_secs(4);
/// A channel on which nothing moves is asked for a sign of life this often; after two it is closed.
const PING_EVERY: Duration = Duration::from_secs(30);
/// Messages are further spread by up to this, so that many listeners do not ask all at once.
const SPREAD: Duration = Duration::from_millis(250);

/// What an operator may choose.
#[derive(Debug, Clone)]
pub struct PushSettings {
    /// Open channels of one person.
    pub per_person_max: u32,
    /// Open channels in all.
    pub channels_max: u32,
    /// The pause between two messages on one channel.
    pub pause: Duration,
}

/// Tells clients how to listen.
pub(crate) fn capability(base_url: &str) -> Value {
    let socket = match base_url.split_once("://") {
        Some(("https", host)) => format!("wss://{host}"),
        Some((_, host)) => format!("ws://{host}"),
        None => base_url.to_owned(),
    };
    json!({
        "type": ["files"],
        "endpoints": {
            "websocket": format!("{socket}/push/ws"),
            "pre_auth": format!("{base_url}/index.php/apps/notify_push/pre_auth"),
        },
    })
}

/// Who listens.
pub(crate) struct Push {
    identity: Arc<Identity>,
    files: Arc<Files>,
    settings: PushSettings,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    channels: u32,
    by_person: HashMap<Arc<str>, u32>,
}

/// The place of one open channel, given back when it is dropped.
struct Place {
    of: Arc<Push>,
    person: Option<Arc<str>>,
}

impl Push {
    pub(crate) fn new(
        identity: Arc<Identity>,
        files: Arc<Files>,
        settings: PushSettings,
    ) -> Arc<Self> {
        Arc::new(Self {
            identity,
            files,
            settings,
            open: Mutex::default(),
        })
    }

    /// Gives a caller a ticket for the channel, as plain text.
    pub(crate) async fn pre_authenticate(
        &self,
        caller: &Caller,
    ) -> Result<Response<Body>, IdentityError> {
        let ticket = self
            .identity
            .issue_ticket(caller, TicketKind::Push, None, TICKET_SECONDS)
            .await?;
        Ok(Response::new(full(ticket.reveal().to_owned())))
    }

    /// Opens a channel.
    pub(crate) fn open(self: &Arc<Self>, visit: &mut Visit) -> Response<Body> {
        let Some(place) = self.place() else {
            let mut busy = Response::new(full("There are too many open channels.\n"));
            *busy.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return busy;
        };
        let push = Arc::clone(self);
        let (client, stop) = (visit.client, visit.stop.clone());
        websocket::accept(&mut visit.request, move |socket| {
            push.serve(socket, place, client, stop)
        })
    }

    fn place(self: &Arc<Self>) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.channels >= self.settings.channels_max {
            return None;
        }
        open.channels += 1;
        Some(Place {
            of: Arc::clone(self),
            person: None,
        })
    }

    async fn serve(
        self: Arc<Self>,
        mut socket: WebSocket,
        mut place: Place,
        client: IpAddr,
        stop: CancellationToken,
    ) {
        let signed_in = timeout(SIGN_IN_LIMIT, self.sign_in(&mut socket, client)).await;
        let caller = match signed_in {
            Ok(Some(Ok(caller))) => caller,
            Ok(Some(Err(error))) => {
                let words = match error {
                    IdentityError::Unauthenticated | IdentityError::Throttled { .. } => {
                        "err: Invalid credentials"
                    }
                    IdentityError::Busy | IdentityError::Unavailable(_) => "err: Try again later",
                };
                drop(socket.send(Message::text(words)).await);
                return end(socket, CloseCode::Policy).await;
            }
            Ok(None) => return,
            Err(_late) => return end(socket, CloseCode::Policy).await,
        };
        if !place.take_for(&caller, self.settings.per_person_max) {
            return end(socket, CloseCode::Again).await;
        }
        let code = self.tell(&mut socket, &caller, stop).await;
        if let Some(code) = code {
            end(socket, code).await;
        }
    }

    /// Hears who the client is; `None`: it left.
    async fn sign_in(
        &self,
        socket: &mut WebSocket,
        client: IpAddr,
    ) -> Option<Result<Caller, IdentityError>> {
        let name = next_text(socket).await?;
        let secret = Secret::new(next_text(socket).await?.to_string());
        Some(if name.is_empty() {
            let redeemed = self
                .identity
                .redeem_ticket(TicketKind::Push, secret.reveal())
                .await;
            redeemed.map(|(caller, _)| caller)
        } else {
            self.identity
                .authenticate_basic(&name, secret.reveal(), client)
                .await
        })
    }

    /// Tells a listener of changes until one side ends; `None`: the client left.
    async fn tell(
        &self,
        socket: &mut WebSocket,
        caller: &Caller,
        stop: CancellationToken,
    ) -> Option<CloseCode> {
        let mut accounts = self.identity.account_changes();
        let Ok(Some(standing)) = self.identity.standing(caller).await else {
            return Some(CloseCode::Again);
        };
        let Ok(mut watcher) = self.files.watch(caller).await else {
            return Some(CloseCode::Again);
        };
        socket.send(Message::text("authenticated")).await.ok()?;
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut heard_at = Instant::now();
        let mut pinged = 0;
        // The first change is told at once.
        let mut told_at: Option<Instant> = None;
        let mut has_news = false;
        loop {
            let due = told_at.map_or_else(Instant::now, |at| at + self.settings.pause + spread());
            tokio::select! {
                () = stop.cancelled() => return Some(CloseCode::Restart),
                () = watcher.changed(), if !has_news => has_news = true,
                () = tokio::time::sleep_until(due), if has_news => {
                    has_news = false;
                    told_at = Some(Instant::now());
                    socket.send(Message::text("notify_file")).await.ok()?;
                }
                message = socket.next() => {
                    // Pings are answered by the library; what else is said changes nothing.
                    if matches!(message?.ok()?, Message::Close(_)) {
                        return None;
                    }
                    (heard_at, pinged) = (Instant::now(), 0);
                }
                _ = look.tick() => {
                    if self.identity.is_over(&standing) {
                        return Some(CloseCode::Policy);
                    }
                    if accounts != self.identity.account_changes() {
                        accounts = self.identity.account_changes();
                        match self.identity.standing(caller).await {
                            Ok(now) if now == Some(standing) => {}
                            Ok(_) => return Some(CloseCode::Policy),
                            // Undecided: the next look asks again.
                            Err(_) => accounts = accounts.wrapping_sub(1),
                        }
                    }
                    if heard_at.elapsed() >= PING_EVERY * (pinged + 1) {
                        if pinged == 2 {
                            return Some(CloseCode::Away);
                        }
                        pinged += 1;
                        socket.send(Message::Ping(Vec::new().into())).await.ok()?;
                    }
                }
            }
        }
    }
}

impl Place {
    /// Counts the channel as a person's; `false`: that one has too many.
    fn take_for(&mut self, caller: &Caller, most: u32) -> bool {
        let mut open = self.of.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.by_person.entry(Arc::clone(&caller.name)).or_default();
        if *count >= most {
            return false;
        }
        *count += 1;
        self.person = Some(Arc::clone(&caller.name));
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.of.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.channels -= 1;
        if let Some(person) = &self.person
            && let Some(count) = open.by_person.get_mut(person)
        {
            *count -= 1;
            if *count == 0 {
                open.by_person.remove(person);
            }
        }
    }
}

async fn next_text(socket: &mut WebSocket) -> Option<Utf8Bytes> {
    loop {
        match socket.next().await?.ok()? {
            Message::Text(text) => return Some(text),
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Binary(_) | Message::Close(_) | Message::Frame(_) => return None,
        }
    }
}

fn spread() -> Duration {
    SPREAD.mul_f32(rand::random())
}

/// Says good-bye; whether anybody hears it does not matter.
async fn end(mut socket: WebSocket, code: CloseCode) {
    let frame = CloseFrame {
        code,
        reason: Utf8Bytes::default(),
    };
    drop(timeout(LOOK_EVERY, socket.close(Some(frame))).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_channel_is_encrypted_where_the_page_is() {
        let told = capability("https://cloud.example");
        assert_eq!(
            told["endpoints"]["websocket"],
            "wss://cloud.example/push/ws"
        );
        let told = capability("http://127.0.0.1:8080");
        assert_eq!(
            told["endpoints"]["websocket"],
            "ws://127.0.0.1:8080/push/ws"
        );
    }
}
