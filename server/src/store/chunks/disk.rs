//! The file layer under the appenders: everything that can fail because a disk does.
//!
//! One small trait stands between the appenders and the system, so that a test
//! can refuse a write or a sync at any point, as a full or dying disk would.

use std::fmt::Debug;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::IoSlice;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Most pieces that one write hands to the system (IOV_MAX on Linux).
const PIECES_MAX: usize = 1_024;

/// A pack file that is being appended to.
pub(super) trait SegmentFile: Send + Debug {
    /// Appends all pieces, in order; on failure some of them may have been written.
    fn append(&mut self, pieces: &mut [IoSlice<'_>]) -> io::Result<()>;
    /// Makes everything appended so far durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file.
    fn cut(&mut self, bytes: u64) -> io::Result<()>;
}

/// Where segments are made.
pub(super) trait Disk: Send + Sync + Debug {
    /// Creates a file that does not exist; returns it for appending and for reading.
    fn create(&self, path: &Path) -> io::Result<(Box<dyn SegmentFile>, Arc<File>)>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Returns the bytes that may still be written.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// The system's files.
#[derive(Debug)]
pub(super) struct SystemDisk;

impl Disk for SystemDisk {
    fn create(&self, path: &Path) -> io::Result<(Box<dyn SegmentFile>, Arc<File>)> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(true)
            .open(path)?;
        let reader = Arc::new(file.try_clone()?);
        Ok((Box::new(SystemFile(file)), reader))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let system = rustix::fs::statvfs(path)?;
        Ok(system.f_bavail.saturating_mul(system.f_frsize))
    }
}

#[derive(Debug)]
struct SystemFile(File);

impl SegmentFile for SystemFile {
    fn append(&mut self, pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut rest = pieces;
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            let front = rest.get(..PIECES_MAX).unwrap_or(rest);
            match self.0.write_vectored(front) {
                // The disk took nothing and gave no reason.
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }
}

/// Returns whether an error says that the disk is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
