//! Numbers of rows: taken many at once from the table `counter`, handed out from memory.
//!
//! Each taking is a transaction of its own on a connection of its own, so that no
//! writer waits for another's commit because both make rows. What a server
//! has taken and not used is lost when it stops; a number is never used twice.

use std::collections::HashMap;
use std::ops::Range;

use deadpool_postgres::Pool;
use tokio::sync::Mutex;
use tokio_postgres::types::Type;

use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::postgres::connect::is_lost;
use crate::store::metadata::postgres::connect::store_error;
use crate::store::metadata::postgres::connection;

/// How many numbers are taken at once for rows that uploads make.
const BLOCK: i64 = 1_000;

const TAKE: &str = "INSERT INTO counter (name, next) VALUES ($1, $2 + 1) \
     ON CONFLICT (name) DO UPDATE SET next = counter.next + $2 RETURNING next - $2";

/// Hands out numbers.
#[derive(Debug)]
pub(super) struct Numbers {
    pool: Pool,
    blocks: Mutex<HashMap<&'static str, Range<i64>>>,
}

impl Numbers {
    pub(super) fn new(pool: Pool) -> Self {
        Self {
            pool,
            blocks: Mutex::default(),
        }
    }

    /// Reserves `count` numbers in a row and returns the first.
    pub(super) async fn reserve(&self, name: &'static str, count: i64) -> StoreResult<i64> {
        let count = count.max(0);
        let mut blocks = self.blocks.lock().await;
        if let Some(block) = blocks.get_mut(name)
            && block.end - block.start >= count
        {
            let first = block.start;
            block.start += count;
            return Ok(first);
        }
        let taken = if matches!(name, "node" | "content") {
            count.max(BLOCK)
        } else {
            count
        };
        let first = self.take(name, taken).await?;
        if taken > count {
            blocks.insert(name, first + count..first + taken);
        }
        Ok(first)
    }

    async fn take(&self, name: &'static str, count: i64) -> StoreResult<i64> {
        let mut is_second = false;
        loop {
            let client = connection(&self.pool).await?;
            let taken = async {
                let statement = client
                    .prepare_typed_cached(TAKE, &[Type::TEXT, Type::INT8])
                    .await?;
                client.query_one(&statement, &[&name, &count]).await
            };
            match taken.await {
                Ok(row) => return row.try_get(0).map_err(|error| store_error(&error)),
                // What a lost answer had taken is lost.
                Err(error) if is_lost(&error) && !is_second => is_second = true,
                Err(error) if is_lost(&error) => {
                    return Err(StoreError::Unavailable(error.to_string()));
                }
                Err(error) => return Err(store_error(&error)),
            }
        }
    }

    pub(super) fn close(&self) {
        self.pool.close();
    }
}
