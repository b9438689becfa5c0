//! The few differences between the SQL of the engines.
//!
//! Statements are shared; only the definitions of tables differ.

/// An engine that runs the shared statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// SQLite, bundled.
    Sqlite,
    /// PostgreSQL, a server.
    Postgres,
}

/// The temporary tables that every connection has from its start, empty between transactions.
const SCRATCH: &str = "\
CREATE TEMP TABLE copied (old_id {INT} PRIMARY KEY, ordinal {INT} NOT NULL){SCRATCH};
CREATE TEMP TABLE carried (old_id {INT} PRIMARY KEY, new_id {INT}, ordinal {INT} NOT NULL){SCRATCH};";

/// One step of the schema.
pub(crate) struct Migration {
    /// Its statements, with placeholders.
    pub(crate) text: &'static str,
    /// The oldest version whose program can work on a database that has this one: a step that only adds
    /// names an older version, one that changes what is there names itself.
    pub(crate) oldest: usize,
}

/// The migrations in order; the first is version 1.
///
/// Servers of two neighbouring releases must be able to run side by side: a release
/// takes away only what the one before it did not use any more.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        text: include_str!("../../../migrations/0001_core.sql"),
        oldest: 1,
    },
    Migration {
        text: include_str!("../../../migrations/0002_clients.sql"),
        oldest: 1,
    },
    Migration {
        text: include_str!("../../../migrations/0003_sharing.sql"),
        oldest: 1,
    },
    Migration {
        text: include_str!("../../../migrations/0004_directory.sql"),
        oldest: 1,
    },
    Migration {
        text: include_str!("../../../migrations/0005_mail.sql"),
        oldest: 1,
    },
    Migration {
        text: include_str!("../../../migrations/0007_mounts.sql"),
        oldest: 1,
    },
];

/// Returns the oldest version whose program can work on a database of this program's version.
pub(crate) fn oldest_beside() -> usize {
    MIGRATIONS.last().map_or(0, |newest| newest.oldest)
}

impl Engine {
    /// Fills the placeholders of a migration.
    ///
    /// Integers have 64 bits and texts compare as bytes on every engine.
    pub(crate) fn migration(self, text: &str) -> String {
        let [int, blob, words, scratch] = match self {
            Self::Sqlite => ["INTEGER", "BLOB", "TEXT", ""],
            Self::Postgres => [
                "BIGINT",
                "BYTEA",
                "TEXT COLLATE \"C\"",
                " ON COMMIT DELETE ROWS",
            ],
        };
        text.replace("{INT}", int)
            .replace("{BLOB}", blob)
            .replace("{TEXT}", words)
            .replace("{SCRATCH}", scratch)
    }

    /// Returns what makes the temporary tables of a new connection.
    ///
    /// PostgreSQL takes a table that was never analyzed for one of ten pages, and would
    /// rather read all nodes than look up so many.
    pub(crate) fn scratch(self) -> String {
        let tables = self.migration(SCRATCH);
        match self {
            Self::Sqlite => tables,
            Self::Postgres => format!("{tables} ANALYZE copied, carried;"),
        }
    }
}

/// Returns whether the parameters of a statement first appear as `$1`, `$2`, ….
///
/// SQLite numbers named parameters by first appearance, PostgreSQL by their
/// digits; only such statements mean the same to both.
pub(crate) fn has_ascending_parameters(sql: &str) -> bool {
    let mut greatest = 0;
    for after in sql.split('$').skip(1) {
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        match digits.parse::<u32>() {
            Ok(number) if number == greatest + 1 => greatest = number,
            Ok(number) if (1..=greatest).contains(&number) => {}
            Ok(_) | Err(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_out_of_order_are_noticed() {
        assert!(has_ascending_parameters("SELECT $1, $2, $1, $3"));
        assert!(has_ascending_parameters("SELECT 1"));
        assert!(!has_ascending_parameters("SELECT $2, $1"));
        assert!(!has_ascending_parameters("SELECT $1, $3"));
    }
}
