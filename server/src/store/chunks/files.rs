//! The pack files of a folder, as they are on the disk.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;

use nuage_shared::frame::PACK_HEADER_BYTES;
use nuage_shared::frame::PackHeader;

use crate::clock::Timestamp;
use crate::store::chunks::ChunkError;
use crate::store::chunks::file_error;

/// A file whose name is a pack's.
#[derive(Debug, Clone)]
pub(super) struct PackFile {
    /// As its name says.
    pub(super) uuid: [u8; 16],
    /// `None`: its first bytes are no header.
    pub(super) header: Option<PackHeader>,
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
    let is_pack = path.extension().is_some_and(|kind| kind == "pack");
    let name = path.file_stem().and_then(|name| name.to_str());
    let uuid = name.filter(|_| is_pack).and_then(|name| {
        let mut uuid = [0; 16];
        hex::decode_to_slice(name, &mut uuid).ok().map(|()| uuid)
    });
    let Some(uuid) = uuid else {
        return Ok(None);
    };
    let mut file = File::open(path)?;
    let about = file.metadata()?;
    let mut header = [0; PACK_HEADER_BYTES];
    let header = match file.read_exact(&mut header) {
        Ok(()) => PackHeader::decode(&header).ok(),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
        Err(error) => return Err(error),
    };
    Ok(Some(PackFile {
        uuid,
        header,
        size_bytes: about.len(),
        modified_at: Timestamp::from_system_time(about.modified()?),
    }))
}
