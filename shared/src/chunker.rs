//! Where to cut a stream of bytes (FastCDC, 2020 form; zip members are cut points).

/// The sizes by which a file is cut; sticky from version to version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// 16 / 64 / 256 KiB.
    S,
    /// 64 / 256 / 1024 KiB.
    M,
    /// 256 KiB / 1 MiB / 4 MiB.
    L,
}
