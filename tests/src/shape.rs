//! The two shapes of an installation: one machine with a folder, or any number on PostgreSQL and S3.
//!
//! `NUAGE_TEST_SHAPE=scaled` runs every suite on the second. A test that is about the first
//! alone says so by [`embedded_only`]; one that is about the second makes its own
//! [`Ground`], whatever the variable says.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;

use crate::command::not_tested;
use crate::object_store::KEY_ID;
use crate::object_store::KEY_SECRET;
use crate::object_store::ObjectStore;
use crate::postgres::Postgres;

/// A shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// SQLite and a folder of packs.
    Embedded,
    /// PostgreSQL and S3.
    Scaled,
}

impl Shape {
    /// Returns the shape of this run, from `NUAGE_TEST_SHAPE`.
    pub fn of_this_run() -> Self {
        match std::env::var("NUAGE_TEST_SHAPE").as_deref() {
            Err(_) | Ok("" | "embedded") => Self::Embedded,
            Ok("scaled") => Self::Scaled,
            Ok(other) => panic!("NUAGE_TEST_SHAPE is {other:?}, not embedded or scaled"),
        }
    }
}

/// Returns whether this run is on the other shape; says then why the test is not for it.
pub fn embedded_only(why: &str) -> bool {
    let is_other = Shape::of_this_run() != Shape::Embedded;
    if is_other {
        not_tested(&format!("embedded only: {why}"));
    }
    is_other
}

/// What servers of one installation share: a PostgreSQL and an S3 store.
///
/// The one of the process is shared by its tests. A test that stops one of the two makes a
/// ground of its own.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The database server.
    pub postgres: Arc<Postgres>,
    /// The object store.
    pub store: Arc<ObjectStore>,
}

impl Ground {
    /// Starts one for a single test, which may stop and break it.
    pub fn own() -> Self {
        Self {
            postgres: Arc::new(Postgres::start()),
            store: Arc::new(ObjectStore::start()),
        }
    }

    /// Returns the one that the tests of this process share.
    pub fn shared() -> Self {
        static SHARED: OnceLock<Ground> = OnceLock::new();
        SHARED.get_or_init(Self::own).clone()
    }

    /// Makes an empty database and an empty bucket on it.
    pub fn place(&self) -> Place {
        Place {
            database: self.postgres.database(),
            bucket: self.store.bucket(),
            ground: self.clone(),
        }
    }
}

/// Where one installation keeps its metadata and its bytes on a [`Ground`].
#[derive(Debug, Clone)]
pub struct Place {
    /// The servers of both.
    pub ground: Ground,
    /// The database's name.
    pub database: String,
    /// The bucket's name.
    pub bucket: String,
}

impl Place {
    /// Returns the settings that lead a server there, as variables of the environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("NUAGE_METADATA", self.ground.postgres.url(&self.database)),
            ("NUAGE_CHUNKS", format!("s3://{}/chunks", self.bucket)),
            ("NUAGE_S3__ENDPOINT", self.ground.store.endpoint()),
            ("NUAGE_S3__REGION", "us-east-1".to_owned()),
            ("NUAGE_S3__PATH_STYLE", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", KEY_SECRET.to_owned()),
        ]
    }

    /// Returns the folder whose files are the objects of this installation.
    pub fn objects(&self) -> PathBuf {
        self.ground.store.folder_of(&self.bucket)
    }
}
