//! The bytes, addressed by content: packs on the local disk (or, later, on S3).
