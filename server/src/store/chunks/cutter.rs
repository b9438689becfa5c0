//! The work on an upload's bytes that takes processor time: cut, hash, compress.
//!
//! A [`Cutter`] is handed to a blocking thread with the next bytes and comes back
//! with pieces: chunks that are known, and frames to store. It stops early when
//! a chunk is a hook that the database should be asked about.

use std::sync::Arc;

use bytes::Bytes;
use nuage_shared::chunk_id::ChunkId;
use nuage_shared::chunk_id::ChunkKey;
use nuage_shared::chunk_id::ContentHasher;
use nuage_shared::chunk_id::ContentId;
use nuage_shared::chunker::Chunker;
use nuage_shared::chunker::Profile;

use crate::store::chunks::appender::NewFrame;
use crate::store::chunks::buffers::Buffers;
use crate::store::chunks::checksum::Checksums;
use crate::store::chunks::compress::Compressors;
use crate::store::chunks::damage::Damage;
use crate::store::chunks::known::Known;
use crate::store::chunks::known::KnownChunk;

/// Bytes that go to a blocking thread together.
pub(super) const BATCH_BYTES: usize = 256 << 10;
/// Pieces after which a blocking thread hands back, in bytes of new frames.
const FRAMES_BYTES_MAX: usize = 1 << 20;

/// A chunk of the content, in order.
#[derive(Debug)]
pub(super) enum Piece {
    /// It is stored already.
    Known(KnownChunk),
    /// It must be stored.
    New(NewFrame),
}

/// A piece whose frame lies in a buffer that is still being filled.
enum Draft {
    Known(KnownChunk),
    /// With the length of its payload, which lies behind the one before.
    New(ChunkId, u32, usize),
}

/// What one turn on a blocking thread made.
#[derive(Debug, Default)]
pub(super) struct Cut {
    pub(super) pieces: Vec<Piece>,
    /// A hook that the database should be asked about before the next turn.
    pub(super) question: Option<ChunkId>,
    /// More can be cut without further bytes.
    pub(super) has_more: bool,
}

/// What all chunks together are.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) hash: ContentId,
    pub(super) checksums: Checksums,
}

/// How a content is cut and named.
#[derive(Debug)]
pub(super) struct CutterSettings {
    pub(super) profile: Profile,
    pub(super) seed: u64,
    pub(super) key: ChunkKey,
    pub(super) checksums: Checksums,
    /// The length that was announced, or a guess.
    pub(super) expected_bytes: u64,
    /// Whether hooks that nobody knows are worth a question.
    pub(super) asks_hooks: bool,
    /// Frames that nothing new may rest on.
    pub(super) damage: Arc<Damage>,
}

/// Returns the memory that cutting takes, in bytes: the largest chunk, a batch, and a
/// quarter more, so that bytes are not moved to the front with every batch.
pub(super) fn window_bytes(profile: Profile) -> usize {
    profile.max_bytes() + profile.max_bytes() / 4 + BATCH_BYTES
}

/// An upload's state between turns on blocking threads.
#[derive(Debug)]
pub(super) struct Cutter {
    chunker: Chunker,
    key: ChunkKey,
    compressors: Arc<Compressors>,
    buffers: Arc<Buffers>,
    hasher: ContentHasher,
    checksums: Checksums,
    window: Vec<u8>,
    window_bytes: usize,
    largest: usize,
    /// Where in the window the next chunk begins.
    start: usize,
    /// The chunk at `start`, named already, while a question about it is open.
    undecided: Option<(ChunkId, usize)>,
    asks_hooks: bool,
    is_first: bool,
    pub(super) known: Known,
}

impl Cutter {
    pub(super) fn new(
        settings: CutterSettings,
        compressors: Arc<Compressors>,
        buffers: Arc<Buffers>,
    ) -> Self {
        let window_bytes = window_bytes(settings.profile);
        let begin_bytes = usize::try_from(settings.expected_bytes)
            .unwrap_or(usize::MAX)
            .min(window_bytes);
        Self {
            chunker: Chunker::new(settings.profile, settings.seed),
            hasher: settings.key.content_hasher(),
            key: settings.key,
            compressors,
            buffers,
            checksums: settings.checksums,
            window: Vec::with_capacity(begin_bytes),
            window_bytes,
            largest: settings.profile.max_bytes(),
            start: 0,
            undecided: None,
            asks_hooks: settings.asks_hooks,
            is_first: true,
            known: Known::new(settings.damage),
        }
    }

    /// Takes the next bytes and cuts what can be cut; `at_end`: nothing follows.
    pub(super) fn run(&mut self, input: Vec<Bytes>, at_end: bool) -> Cut {
        self.take(input);
        let mut cut = Cut::default();
        let waiting = self.window.len() - self.start;
        let mut frames = self.buffers.take(waiting.min(self.frames_bytes_max()));
        let mut drafts = Vec::new();
        while let Some((id, length)) = self.next_chunk(at_end) {
            let plain_bytes = u32::try_from(length).unwrap_or(u32::MAX);
            let draft = match self.known.find(&id, plain_bytes) {
                Some(known) => Draft::Known(known),
                None if self.is_question(&id) => {
                    self.undecided = Some((id, length));
                    cut.question = Some(id);
                    cut.has_more = true;
                    break;
                }
                None => {
                    let chunk = self.start..self.start + length;
                    let Some(plain) = self.window.get(chunk) else {
                        break;
                    };
                    let payload_bytes = self.compressors.store(plain, &mut frames);
                    Draft::New(id, plain_bytes, payload_bytes)
                }
            };
            self.hasher.push(id, plain_bytes);
            self.is_first = false;
            self.start += length;
            drafts.push(draft);
            if frames.len() >= FRAMES_BYTES_MAX {
                cut.has_more = true;
                break;
            }
        }
        let mut frames = self.buffers.share(frames);
        let finish = |draft| match draft {
            Draft::Known(known) => Piece::Known(known),
            Draft::New(id, plain_bytes, payload_bytes) => Piece::New(NewFrame {
                id,
                plain_bytes,
                payload: frames.split_to(payload_bytes),
            }),
        };
        cut.pieces = drafts.into_iter().map(finish).collect();
        cut
    }

    /// Returns what the frames of one turn take at most, in bytes.
    fn frames_bytes_max(&self) -> usize {
        FRAMES_BYTES_MAX + self.largest
    }

    fn take(&mut self, input: Vec<Bytes>) {
        if input.is_empty() {
            return;
        }
        let input_bytes: usize = input.iter().map(Bytes::len).sum();
        let is_full = self.window.len() + input_bytes > self.window.capacity();
        if is_full || self.start == self.window.len() {
            self.window.drain(..self.start);
            self.start = 0;
        }
        if self.window.len() + input_bytes > self.window.capacity() {
            // Its length was not announced: from small to whole in one step.
            let whole = self.window_bytes.max(self.window.len() + input_bytes);
            self.window.reserve_exact(whole - self.window.len());
        }
        for bytes in input {
            self.checksums.update(&bytes);
            self.window.extend_from_slice(&bytes);
        }
    }

    /// Returns the chunk at `start`: its name and length.
    fn next_chunk(&mut self, at_end: bool) -> Option<(ChunkId, usize)> {
        if let Some(named) = self.undecided.take() {
            return Some(named);
        }
        let rest = self.window.get(self.start..)?;
        let length = self.chunker.next_cut(rest, at_end)?;
        let chunk = rest.get(..length)?;
        Some((self.key.chunk_id(chunk), length))
    }

    fn is_question(&mut self, id: &ChunkId) -> bool {
        self.asks_hooks && (self.is_first || id.is_hook()) && self.known.ask(id.prefix8())
    }

    /// Names the whole, after the last turn.
    pub(super) fn finish(&mut self) -> Whole {
        Whole {
            hash: self.hasher.clone().finish(),
            checksums: std::mem::take(&mut self.checksums),
        }
    }
}
