//! What every adapter needs: the caller of a request, statuses, bodies, limits. No routes here.

pub mod body;
pub mod conditions;
pub mod download;
pub mod status;
