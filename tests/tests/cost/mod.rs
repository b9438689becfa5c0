//! Nothing becomes slower because a folder, or the whole installation, is full.

mod flat;
mod shared;
mod total;
