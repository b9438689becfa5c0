//! The conditions that a request sets; they are tested inside its transaction.

pub use crate::store::metadata::precondition::Condition;
pub use crate::store::metadata::precondition::ConditionList;
pub use crate::store::metadata::precondition::EtagList;
pub use crate::store::metadata::precondition::Precondition;
