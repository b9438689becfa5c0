//! The pack format: header, frames, footer (docs/formats.md).
