//! A folder or a selection as a ZIP file, written while it is read.
//!
//! The first bytes go out at once and the length is not announced: files come and go meanwhile. What went away is named
//! in a last text file, in the language of whoever asked. Anything else that fails, a damaged file for instance, breaks the
//! connection before the directory at the end, without which nothing takes the file for whole.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use crc32fast::hash;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream;
use http::HeaderValue;
use http::Response;
use http::header;

use crate::files::Archive;
use crate::files::Download;
use crate::files::Member;
use crate::files::Missing;
use crate::files::Timestamp;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::http::body;
use crate::http::body::Body;
use crate::http::download::disposition;
use crate::http::language::Language;
use crate::http::zip::Head;
use crate::http::zip::HeadKind;
use crate::http::zip::WrongSize;
use crate::http::zip::ZipWriter;

/// Small things are gathered until they are so many bytes.
const PIECE_BYTES: usize = 64 << 10;
/// Files of at most so many bytes are read before their header is written, which then has their check sum: that
/// lets even programs read them that read a ZIP file from its beginning.
const SMALL_BYTES: u64 = 64 << 10;
/// 1: may be run; the flag of a node.
const EXECUTABLE: i64 = 1;

/// Why an archive broke off.
#[derive(Debug, thiserror::Error)]
enum ArchiveFault {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    WrongSize(#[from] WrongSize),
    #[error("the directory of the archive was lost")]
    Directory,
}

/// Answers with an archive; `name` is that of the file, without its ending.
pub fn respond(
    archive: Archive,
    name: &str,
    now: Timestamp,
    language: Language,
    is_head: bool,
) -> Response<Body> {
    let mut response = Response::new(if is_head {
        body::empty()
    } else {
        body::stream(zip(archive, now, language))
    });
    let headers = response.headers_mut();
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, "application/zip");
    set(
        header::CONTENT_DISPOSITION,
        &disposition("attachment", &format!("{name}.zip")),
    );
    set(header::CACHE_CONTROL, "private, no-store");
    set(header::ACCEPT_RANGES, "none");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; sandbox",
    );
    response
}

type Content = Pin<Box<dyn Stream<Item = FilesResult<Bytes>> + Send>>;

/// What is being written.
enum Phase {
    Members,
    /// The bytes of a file, whose check sum follows them.
    Content(Content),
    Directory,
    Done,
}

/// A ZIP file on its way out.
struct Writing {
    archive: Archive,
    zip: ZipWriter,
    phase: Phase,
    /// What is gathered.
    gathered: Vec<u8>,
    /// What goes out next.
    ready: VecDeque<Bytes>,
    now: Timestamp,
    language: Language,
}

impl fmt::Debug for Writing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writing").finish_non_exhaustive()
    }
}

fn zip(
    archive: Archive,
    now: Timestamp,
    language: Language,
) -> impl Stream<Item = Result<Bytes, impl std::error::Error + Send + Sync + 'static>> + Send + 'static
{
    let writing = Writing {
        archive,
        zip: ZipWriter::default(),
        phase: Phase::Members,
        gathered: Vec::new(),
        ready: VecDeque::new(),
        now,
        language,
    };
    stream::try_unfold(writing, |mut writing| async move {
        let piece = writing.next_piece().await;
        if let Err(error) = &piece {
            tracing::error!(%error, archive = ?writing.archive, "an archive breaks off");
        }
        piece.map(|piece| piece.map(|piece| (piece, writing)))
    })
}

impl Writing {
    /// Returns the next bytes; `None`: the file is whole.
    async fn next_piece(&mut self) -> Result<Option<Bytes>, ArchiveFault> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            if self.gathered.len() >= PIECE_BYTES {
                self.let_go();
                continue;
            }
            match &mut self.phase {
                Phase::Done if self.gathered.is_empty() => return Ok(None),
                Phase::Done => self.let_go(),
                Phase::Directory => {
                    if !self.zip.finish(&mut self.gathered) {
                        self.phase = Phase::Done;
                    }
                    if self.zip.is_damaged() {
                        return Err(ArchiveFault::Directory);
                    }
                }
                Phase::Content(content) => {
                    if let Some(piece) = content.next().await.transpose()? {
                        self.zip.note(&piece);
                        self.put(piece);
                    } else {
                        self.zip.end(&mut self.gathered)?;
                        self.phase = Phase::Members;
                    }
                }
                Phase::Members => {
                    if let Some(member) = self.archive.next_member().await? {
                        self.begin(member).await?;
                    } else {
                        self.tell_missing();
                        self.phase = Phase::Directory;
                    }
                }
            }
        }
    }

    /// Hands on what is gathered.
    fn let_go(&mut self) {
        if !self.gathered.is_empty() {
            let gathered = std::mem::take(&mut self.gathered);
            self.ready.push_back(gathered.into());
        }
    }

    /// Adds bytes behind what is gathered, without a copy where they are many.
    fn put(&mut self, bytes: Bytes) {
        if bytes.len() < PIECE_BYTES / 4 {
            self.gathered.extend_from_slice(&bytes);
        } else {
            self.let_go();
            self.ready.push_back(bytes);
        }
    }

    async fn begin(&mut self, member: Member) -> Result<(), ArchiveFault> {
        let Member {
            name,
            modified,
            file,
        } = member;
        let Some(download) = file else {
            let kind = HeadKind::Folder;
            let head = Head {
                name: &name,
                modified,
                kind,
            };
            self.zip.begin(&head, &mut self.gathered);
            return Ok(());
        };
        let size_bytes = download.node.size_bytes;
        let is_program = download.node.flags & EXECUTABLE != 0;
        let mut content: Content = Box::pin(download_stream(download));
        let (mut small, mut checksum) = (Vec::new(), None);
        if size_bytes <= SMALL_BYTES {
            while let Some(piece) = content.next().await {
                small.extend_from_slice(&piece?);
            }
            checksum = Some(hash(&small));
            WrongSize::refuse(size_bytes, small.len() as u64)?;
        }
        let head = Head {
            name: &name,
            modified,
            kind: HeadKind::File {
                size_bytes,
                checksum,
                is_program,
            },
        };
        self.zip.begin(&head, &mut self.gathered);
        if checksum.is_some() {
            self.gathered.extend_from_slice(&small);
        } else {
            self.let_go();
            self.phase = Phase::Content(content);
        }
        Ok(())
    }

    /// Writes the text that names what went away, if anything did.
    fn tell_missing(&mut self) {
        let missing = &self.archive.missing;
        if missing.count == 0 {
            return;
        }
        let text = missing_text(missing, self.language);
        let name = self.archive.missing_file();
        let head = Head {
            name: &name,
            modified: self.now,
            kind: HeadKind::File {
                size_bytes: text.len() as u64,
                checksum: Some(hash(text.as_bytes())),
                is_program: false,
            },
        };
        self.zip.begin(&head, &mut self.gathered);
        self.gathered.extend_from_slice(text.as_bytes());
    }
}

fn download_stream(download: Download) -> impl Stream<Item = FilesResult<Bytes>> + Send + 'static {
    let size = download.node.size_bytes;
    download.stream(0..size)
}

fn missing_text(missing: &Missing, language: Language) -> String {
    let mut text = String::from(match language {
        Language::French => {
            "Ce qui suit a été supprimé, déplacé ou renommé pendant la création de cette archive\n\
             et n’y figure donc pas :\n\n"
        }
        Language::English => {
            "These were deleted, moved or renamed while this archive was made, so they are not\n\
             in it:\n\n"
        }
    });
    for name in &missing.names {
        text.push_str(name);
        text.push('\n');
    }
    let unnamed = missing.count - missing.names.len() as u64;
    if unnamed > 0 {
        let (and, more) = match language {
            Language::French => ("et", "autres"),
            Language::English => ("and", "more"),
        };
        for part in ["… ", and, " ", &unnamed.to_string(), " ", more, "\n"] {
            text.push_str(part);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::missing_text;
    use crate::files::Missing;
    use crate::http::language::Language;

    #[test]
    fn what_is_missing_is_named_as_far_as_it_is_known() {
        let missing = Missing {
            names: vec!["a/b".to_owned()],
            count: 3,
        };
        assert!(missing_text(&missing, Language::French).ends_with("\na/b\n… et 2 autres\n"));
        assert!(missing_text(&missing, Language::English).ends_with("\na/b\n… and 2 more\n"));
    }
}
