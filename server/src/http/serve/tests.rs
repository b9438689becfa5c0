//! What a connection may do to the server, over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::Response;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::http::body::Body;
use crate::http::body::RequestBody;
use crate::http::body::full;
use crate::http::observe::Handler;
use crate::http::observe::Peer;
use crate::http::serve::ServeSettings;
use crate::http::serve::listen;
use crate::http::serve::serve;

/// Answers by the path of the request.
struct Script;

impl Handler for Script {
    async fn respond(&self, _peer: Peer, request: Request<RequestBody>) -> Response<Body> {
        match request.uri().path() {
            "/panic" => panic!("on purpose"),
            "/slow" => tokio::time::sleep(Duration::from_millis(400)).await,
            "/body" => {
                let read = request.into_body().read_limited(1 << 20).await;
                return Response::new(full(read.map_or("broken", |_| "whole")));
            }
            // More than the buffers of both ends hold.
            "/large" => return Response::new(full(vec![0; 64 << 20])),
            _ => {}
        }
        Response::new(full("done"))
    }
}

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Server {
    fn start(settings: ServeSettings) -> Self {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = serve(listener, None, settings, Arc::new(Script), stop.clone());
        let served = tokio::spawn(serving);
        Self {
            address,
            stop,
            served,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn ask(&self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        read_to_end(self.send(&request).await).await
    }
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let ended = tokio::time::timeout(Duration::from_secs(20), reading).await;
    // A connection that is cut off may end with an error: what came before it counts.
    assert!(ended.is_ok(), "the connection stays open");
    String::from_utf8_lossy(&answer).into_owned()
}

fn settings() -> ServeSettings {
    ServeSettings {
        connections_max: 100,
        head_timeout: Duration::from_secs(5),
        stall_timeout: Duration::from_secs(5),
        shutdown_timeout: Duration::from_secs(5),
        upload_window_bytes: 1 << 20,
    }
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_server_lives() {
    let server = Server::start(settings());
    assert!(server.ask("/panic").await.starts_with("HTTP/1.1 500"));
    assert!(server.ask("/").await.ends_with("done"));
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_the_others_go_on() {
    let server = Server::start(ServeSettings {
        connections_max: 2,
        ..settings()
    });
    let mut first = server.send("GET / HTTP/1.1\r\n").await;
    let second = server.connect().await;
    // The loop takes connections in their order, so both places are taken.
    let refused = read_to_end(server.connect().await).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    drop(second);
    let rest = b"Host: x\r\nConnection: close\r\n\r\n";
    first.write_all(rest).await.unwrap();
    assert!(read_to_end(first).await.ends_with("done"));
}

#[tokio::test]
async fn who_sends_no_head_is_closed_after_a_while() {
    let server = Server::start(ServeSettings {
        head_timeout: Duration::from_millis(300),
        ..settings()
    });
    read_to_end(server.connect().await).await;
    read_to_end(server.send("GET / HT").await).await;
    let kept = server.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(read_to_end(kept).await.contains("done"));
}

#[tokio::test]
async fn a_sender_that_stops_is_given_up() {
    let server = Server::start(ServeSettings {
        stall_timeout: Duration::from_millis(300),
        ..settings()
    });
    let head = "PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc";
    let answer = read_to_end(server.send(head).await).await;
    assert!(answer.is_empty() || answer.ends_with("broken"), "{answer}");
}

#[tokio::test]
async fn a_reader_that_stops_is_cut_off() {
    // An answer that is wholly in the hands of the connection counts as an idle connection.
    let server = Server::start(ServeSettings {
        head_timeout: Duration::from_millis(500),
        stall_timeout: Duration::from_millis(500),
        ..settings()
    });
    let stream = server.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let received = read_to_end(stream).await.len();
    assert!(received < 64 << 20, "{received} bytes came all the same");
}

#[tokio::test]
async fn a_stop_lets_requests_finish_and_takes_no_new_ones() {
    let server = Server::start(settings());
    let running = server.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let idle = server.connect().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.stop.cancel();
    assert!(read_to_end(running).await.ends_with("done"));
    assert!(read_to_end(idle).await.is_empty());
    server.served.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_stop_does_not_wait_longer_than_its_deadline() {
    let server = Server::start(ServeSettings {
        shutdown_timeout: Duration::from_millis(200),
        ..settings()
    });
    let _stuck = server.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(3), server.served).await;
    assert!(ended.is_ok(), "it waits for a reader that stopped");
}
