//! The pack files of a folder, as they are on the disk.

use std::io;
use std::path::Path;

use crate::clock::Timestamp;
use crate::store::chunks::ChunkError;
use crate::store::chunks::file_error;

/// A pack that is stored, as far as its name and its storage tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackFile {
    pub(super) uuid: [u8; 16],
    pub(super) size_bytes: u64,
    pub(super) modified_at: Timestamp,
}

/// Lists the pack files of a folder. Blocks.
pub(super) fn pack_files(folder: &Path) -> Result<Vec<PackFile>, ChunkError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(file_error(folder))? {
        let shelf = entry.map_err(file_error(folder))?.path();
        if !shelf.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&shelf).map_err(file_error(&shelf))? {
            let path = entry.map_err(file_error(&shelf))?.path();
            match look_at(&path) {
                Ok(file) => found.extend(file),
                // Deleted while we looked.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(file_error(&path)(error)),
            }
        }
    }
    Ok(found)
}

fn look_at(path: &Path) -> io::Result<Option<PackFile>> {
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(uuid) = name.and_then(pack_name) else {
        return Ok(None);
    };
    let about = path.metadata()?;
    Ok(Some(PackFile {
        uuid,
        size_bytes: about.len(),
        modified_at: Timestamp::from_system_time(about.modified()?),
    }))
}

/// Reads the name of a pack from that of its file; `None`: it is something else.
pub(super) fn pack_name(file_name: &str) -> Option<[u8; 16]> {
    let name = file_name.strip_suffix(".pack")?;
    let mut uuid = [0; 16];
    hex::decode_to_slice(name, &mut uuid).ok().map(|()| uuid)
}
