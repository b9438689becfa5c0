//! The few differences between the SQL of the engines.
//!
//! Statements are shared; only column types of the migrations differ.

/// An engine that runs the shared statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// SQLite, bundled.
    Sqlite,
}

/// The migrations in order; the first is version 1.
pub(crate) const MIGRATIONS: &[&str] = &[include_str!("../../../migrations/0001_core.sql")];

impl Engine {
    /// Fills the type placeholders of a migration.
    pub(crate) fn migration(self, text: &str) -> String {
        match self {
            Self::Sqlite => text
                .replace("{INT}", "INTEGER")
                .replace("{BLOB}", "BLOB")
                .replace("{TEXT}", "TEXT"),
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
