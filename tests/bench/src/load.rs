//! Makes requests over some connections, each in a thread of its own, one after
//! the other, and times them from the first byte sent to the last received.
//!
//! Every answer is checked: its status, each byte of a file, the number of
//! entries of a listing. A wrong answer is counted and its time is not, so that a
//! server that fails fast wins nothing.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::connection::Connection;
use crate::fault::BenchFault;
use crate::fault::BenchResult;
use crate::noise::Noise;

/// A running server, as its clients see it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The folder in which everything happens; ends with `/`.
    pub(crate) folder: String,
    /// Value of the `Authorization` header.
    pub(crate) authorization: String,
}

impl Target {
    /// Describes a server that takes Basic credentials.
    pub(crate) fn new(address: SocketAddr, folder: &str, name: &str, password: &str) -> Self {
        Self {
            address,
            folder: folder.to_owned(),
            authorization: format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))),
        }
    }
}

/// What a request carries.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Body<'a> {
    /// Nothing.
    None,
    /// A document.
    Text(&'static str),
    /// The small file with this number.
    Small {
        /// Its number.
        number: u64,
        /// Its length.
        bytes: usize,
    },
    /// A large file.
    Whole(&'a [u8]),
}

/// What the answer must be, beside its status.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expect<'a> {
    /// Anything.
    Anything,
    /// The small file with this number.
    Small {
        /// Its number.
        number: u64,
        /// Its length.
        bytes: usize,
    },
    /// These bytes.
    Whole(&'a [u8]),
    /// A listing of so many entries, with the folder itself.
    Entries(usize),
}

/// One request and what its answer must be.
#[derive(Debug, Clone)]
pub(crate) struct Call<'a> {
    /// The method; times are gathered by it.
    pub(crate) method: &'static str,
    /// Path below the target's folder.
    pub(crate) path: String,
    /// Further header lines, each with its line end.
    pub(crate) headers: String,
    /// What it carries.
    pub(crate) body: Body<'a>,
    /// What the answer must be.
    pub(crate) expect: Expect<'a>,
    /// The statuses that are right.
    pub(crate) statuses: &'static [u16],
}

impl Call<'_> {
    /// Describes a request without a body, that any success answers.
    pub(crate) fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: String::new(),
            body: Body::None,
            expect: Expect::Anything,
            statuses: &[200, 201, 204],
        }
    }

    /// Stores a small file.
    pub(crate) fn put(path: impl Into<String>, number: u64, bytes: usize) -> Self {
        let body = Body::Small { number, bytes };
        Self {
            body,
            ..Self::new("PUT", path)
        }
    }

    /// Reads a small file.
    pub(crate) fn get(path: impl Into<String>, number: u64, bytes: usize) -> Self {
        let expect = Expect::Small { number, bytes };
        Self {
            expect,
            statuses: &[200],
            ..Self::new("GET", path)
        }
    }

    /// Lists a folder of so many entries, as a sync client does.
    pub(crate) fn list(path: impl Into<String>, entries: usize) -> Self {
        Self {
            headers: "Depth: 1\r\nContent-Type: application/xml\r\n".to_owned(),
            body: Body::Text(SYNC_PROPERTIES),
            expect: Expect::Entries(entries + 1),
            statuses: &[207],
            ..Self::new("PROPFIND", path)
        }
    }

    /// Copies or moves a tree or file; the target must not exist.
    pub(crate) fn to(method: &'static str, target: &Target, from: &str, to: &str) -> Self {
        let Target {
            address, folder, ..
        } = target;
        Self {
            headers: format!("Destination: http://{address}{folder}{to}\r\nOverwrite: F\r\n"),
            ..Self::new(method, from)
        }
    }
}

/// What Nextcloud's desktop client asks of each entry.
const SYNC_PROPERTIES: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8"?>"#,
    r#"<d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns">"#,
    "<d:prop><d:resourcetype/><d:getlastmodified/><d:getcontentlength/><d:getetag/>",
    "<d:quota-available-bytes/><d:quota-used-bytes/>",
    "<oc:size/><oc:id/><oc:fileid/><oc:downloadURL/><oc:dDC/><oc:permissions/><oc:checksums/><oc:share-types/>",
    "<nc:is-encrypted/><nc:metadata-files-live-photo/><nc:lock/><nc:lock-owner/><nc:lock-owner-displayname/>",
    "<nc:lock-owner-type/><nc:lock-owner-editor/><nc:lock-time/><nc:lock-timeout/></d:prop></d:propfind>",
);

/// What a load took.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    /// Time of each right answer.
    pub(crate) times: Vec<(&'static str, Duration)>,
    /// From the first request to the last answer.
    pub(crate) wall: Duration,
    /// Wrong answers, by what was wrong with them.
    pub(crate) faults: BTreeMap<String, usize>,
}

impl Samples {
    /// Returns right answers for each second.
    pub(crate) fn per_second(&self) -> f64 {
        count(self.times.len()) / self.wall.as_secs_f64().max(1e-9)
    }

    /// Returns the time below which this share (0 to 1) of the answers came, in milliseconds.
    pub(crate) fn milliseconds(&self, share: f64) -> f64 {
        let mut times: Vec<f64> = self
            .times
            .iter()
            .map(|(_, time)| time.as_secs_f64())
            .collect();
        percentile(&mut times, share) * 1000.0
    }

    /// Returns what was wrong, or `None`.
    pub(crate) fn complaint(&self) -> Option<String> {
        let (first, _) = self.faults.first_key_value()?;
        let all: usize = self.faults.values().sum();
        Some(format!("{all} wrong answers, among them: {first}"))
    }

    fn add(&mut self, outcome: BenchResult<(&'static str, Duration)>) {
        match outcome {
            Ok(time) => self.times.push(time),
            Err(fault) => *self.faults.entry(fault.to_string()).or_default() += 1,
        }
    }
}

/// Returns a number of things as a factor.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub(crate) fn count(things: usize) -> f64 {
    things as f64
}

/// Returns the value below which this share (0 to 1) of the values lies.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length is an index"
    )]
    let at = (count(values.len()) * share) as usize;
    values
        .get(at)
        .or(values.last())
        .copied()
        .unwrap_or(f64::NAN)
}

/// Makes requests.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    /// To whom.
    pub(crate) target: &'a Target,
    /// What small files are made of.
    pub(crate) noise: &'a Noise,
}

impl<'a> Load<'a> {
    /// Runs one worker for each connection; `next` is asked for the calls of worker `n` until it has none.
    pub(crate) fn run<'c, F>(&self, connections: usize, next: F) -> Samples
    where
        F: Fn(usize) -> Option<Call<'c>> + Sync,
        'a: 'c,
    {
        let begun = Instant::now();
        let next = &next;
        let parts: Vec<Samples> = thread::scope(|scope| {
            let workers: Vec<_> = (0..connections)
                .map(|worker| scope.spawn(move || self.work(&mut || next(worker))))
                .collect();
            workers
                .into_iter()
                .filter_map(|worker| worker.join().ok())
                .collect()
        });
        let mut all = Samples {
            wall: begun.elapsed(),
            ..Samples::default()
        };
        for part in parts {
            all.times.extend(part.times);
            for (fault, times) in part.faults {
                *all.faults.entry(fault).or_default() += times;
            }
        }
        all
    }

    /// Makes one request.
    pub(crate) fn once(&self, call: Call<'_>) -> Samples {
        let calls = std::sync::Mutex::new(Some(call));
        self.run(1, |_| calls.lock().ok()?.take())
    }

    fn work<'c>(&self, next: &mut dyn FnMut() -> Option<Call<'c>>) -> Samples {
        let mut samples = Samples::default();
        let mut connection = None;
        let mut gathered = Vec::new();
        while let Some(call) = next() {
            let opened = match connection.take() {
                Some(opened) => Ok(opened),
                None => Connection::open(self.target.address),
            };
            let outcome = opened.and_then(|mut opened| {
                let outcome = self.make(&mut opened, &call, &mut gathered);
                if outcome.is_ok() && !opened.is_spent() {
                    connection = Some(opened);
                }
                outcome
            });
            samples.add(outcome.map(|time| (call.method, time)));
        }
        samples
    }

    fn make(
        &self,
        connection: &mut Connection,
        call: &Call<'_>,
        gathered: &mut Vec<u8>,
    ) -> BenchResult<Duration> {
        gathered.clear();
        let stamp;
        let (front, rest): (&[u8], &[u8]) = match call.body {
            Body::None => (&[], &[]),
            Body::Text(text) => (&[], text.as_bytes()),
            Body::Whole(bytes) => (&[], bytes),
            Body::Small { number, bytes } => {
                let (front, rest) = self.noise.small(number, bytes);
                stamp = front;
                (&stamp, rest)
            }
        };
        let mut head = self.head(call, front.len() + rest.len()).into_bytes();
        head.extend_from_slice(front);
        // Small bodies go out with their head, in one packet.
        let (joined, apart) = if rest.len() <= 64 << 10 {
            (rest, &[][..])
        } else {
            (&[][..], rest)
        };
        head.extend_from_slice(joined);
        let mut is_same = true;
        let mut taken = 0;
        let begun = Instant::now();
        let status =
            connection.exchange(
                &[&head, apart],
                call.method != "HEAD",
                &mut |part| match call.expect {
                    Expect::Anything => {}
                    Expect::Whole(bytes) => {
                        is_same &= bytes.get(taken..taken + part.len()) == Some(part);
                        taken += part.len();
                    }
                    Expect::Small { .. } | Expect::Entries(_) => gathered.extend_from_slice(part),
                },
            )?;
        let time = begun.elapsed();
        if !call.statuses.contains(&status) {
            let (method, path) = (call.method, call.path.clone());
            return Err(BenchFault::Status {
                method,
                path,
                status,
            });
        }
        is_same &= !matches!(call.expect, Expect::Whole(bytes) if bytes.len() != taken);
        self.check(call, gathered, is_same).map(|()| time)
    }

    fn check(&self, call: &Call<'_>, gathered: &[u8], is_same: bool) -> BenchResult<()> {
        let is_same = match call.expect {
            Expect::Anything | Expect::Whole(_) => is_same,
            Expect::Small { number, bytes } => {
                let (stamp, rest) = self.noise.small(number, bytes);
                gathered.strip_prefix(&stamp[..]) == Some(rest)
            }
            Expect::Entries(expected) => {
                let found = entries(gathered);
                if found != expected {
                    let path = call.path.clone();
                    return Err(BenchFault::Entries {
                        path,
                        found,
                        expected,
                    });
                }
                true
            }
        };
        if is_same {
            Ok(())
        } else {
            Err(BenchFault::Content {
                path: call.path.clone(),
            })
        }
    }

    fn head(&self, call: &Call<'_>, body_bytes: usize) -> String {
        let Target {
            address,
            folder,
            authorization,
        } = self.target;
        let mut head = format!(
            "{} {folder}{} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {authorization}\r\n{}",
            call.method, call.path, call.headers,
        );
        if body_bytes > 0 || call.method == "PUT" {
            // Writing to a string cannot fail.
            let _written = write!(head, "Content-Length: {body_bytes}\r\n");
        }
        head.push_str("\r\n");
        head
    }
}

/// Counts the entries of a listing that is whole; 0 where it is not.
fn entries(listing: &[u8]) -> usize {
    let text = String::from_utf8_lossy(listing);
    let is_whole = text.trim_end().ends_with("multistatus>");
    let closings = text.split("</").skip(1).filter(|after| {
        let name = after.split('>').next().unwrap_or_default();
        name.rsplit(':').next() == Some("response")
    });
    if is_whole { closings.count() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::entries;
    use super::percentile;

    #[test]
    fn entries_are_counted_whatever_the_prefix_and_only_in_a_whole_listing() {
        let whole = "<D:multistatus><D:response><a/></D:response><D:response></D:response></D:multistatus>\n";
        assert_eq!(entries(whole.as_bytes()), 2);
        assert_eq!(
            entries(b"<multistatus><response></response></multistatus>"),
            1
        );
        assert_eq!(entries(b"<D:multistatus><D:response></D:response>"), 0);
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert!((percentile(&mut values, 0.5) - 51.0).abs() < 0.1);
        assert!((percentile(&mut values, 1.0) - 100.0).abs() < 0.1);
        assert!(percentile(&mut [], 0.5).is_nan());
    }
}
