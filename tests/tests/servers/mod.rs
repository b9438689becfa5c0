//! Do several servers on PostgreSQL and S3 act as one, and survive each other?
//!
//! These run on the scaled shape whatever `NUAGE_TEST_SHAPE` says: it is what they are about.

mod away;
mod feed;
mod ground;
mod moving;
mod refused;
mod storm;
mod together;

use nuage_tests::TestServer;
use nuage_tests::server::DataFolder;
use nuage_tests::shape::Ground;

/// Starts so many servers of one installation on the ground.
#[track_caller]
pub(crate) fn servers(ground: &Ground, count: usize, settings: &[(&str, &str)]) -> Vec<TestServer> {
    let mut data = DataFolder::scaled(ground.place()).with_secret_file();
    for (name, value) in settings {
        data = data.env(name, value);
    }
    let first = TestServer::over(data);
    let others: Vec<TestServer> = (1..count).map(|_| first.beside()).collect();
    std::iter::once(first).chain(others).collect()
}
