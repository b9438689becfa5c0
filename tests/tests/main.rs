//! The suites that drive the real server, in one binary.
//!
//! | suite | question |
//! | --- | --- |
//! | `dav` | does WebDAV say and do what it should, to the byte? |
//! | `nextcloud` | do clients of the Nextcloud family find what they ask beside WebDAV, and can they sign in? |
//! | `api` | does the web page get what it asks, and nobody else anything? |
//! | `clients` | do real programs work? |
//! | `storage` | is what was acknowledged still there after the worst? |
//! | `abuse` | does bad input leave the server alive, small and silent? |
//! | `cost` | does anything become slower as folders fill? |
//! | `sharing` | does everybody see what they were given, and nothing else? |
//! | `servers` | do several servers on PostgreSQL and S3 act as one, and survive each other? |
//! | `activity` | do people read what happened to what is theirs, and are they told by mail of what they are given? |
//! | `mail` | do letters arrive, late rather than never? |
//! | `deployment` | are the container files right, as far as can be told without an engine? |
//! | `tidy` | is the code in the shape that was agreed? |

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code: a failed assumption must end the test there"
)]

mod abuse;
mod activity;
mod api;
mod clients;
mod cost;
mod dav;
mod deployment;
mod mail;
mod nextcloud;
mod servers;
mod sharing;
mod storage;
mod tidy;
