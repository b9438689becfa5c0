//! An address that stays the same while the server behind it is stopped, killed and started again.
//!
//! Sync clients remember the address that they were told. The front hands each connection on,
//! byte for byte, to wherever the server listens at that moment.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;

use crate::user::User;

/// A fixed door to a server that may change its address.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    received: Arc<AtomicU64>,
}

impl Front {
    /// Opens a door to the server that `user` finds.
    pub fn of(user: &User) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let received = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&received);
        let user = user.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // While the server is down, its clients see a closed connection.
                let Ok(server) = TcpStream::connect(user.address()) else {
                    continue;
                };
                drop(join(client, server, &counter));
            }
        });
        Self { address, received }
    }

    /// Returns the address as a URL, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns how many bytes clients have sent through it.
    pub fn received_bytes(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// Carries bytes both ways until both sides have ended.
fn join(client: TcpStream, server: TcpStream, received: &Arc<AtomicU64>) -> io::Result<()> {
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (up_from, up_to) = (client.try_clone()?, server.try_clone()?);
    let counter = Arc::clone(received);
    thread::spawn(move || carry(up_from, up_to, &counter));
    thread::spawn(move || carry(server, client, &AtomicU64::new(0)));
    Ok(())
}

fn carry(mut from: TcpStream, mut to: TcpStream, counter: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length) = from.read(&mut buffer) {
        // The door must not hold back acknowledgements that the server would give at once.
        let _is_prompt = rustix::net::sockopt::set_tcp_quickack(&from, true);
        if length == 0 || to.write_all(&buffer[..length]).is_err() {
            break;
        }
        counter.fetch_add(length as u64, Ordering::Relaxed);
    }
    drop(to.shutdown(Shutdown::Write));
    drop(from.shutdown(Shutdown::Read));
}
