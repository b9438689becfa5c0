//! What the Nuage server and its clients must agree on. No I/O.

pub mod chunk_id;
pub mod chunker;
pub mod frame;
pub mod manifest;
pub mod node_path;
