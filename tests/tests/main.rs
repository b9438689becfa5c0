//! The suites that drive the real server, in one binary.
