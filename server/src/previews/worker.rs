//! The process that looks at somebody's bytes: this program again, confined.
//!
//! ```text
//! nuage-server preview-worker picture WIDTH HEIGHT FIT PIXELS   a picture on stdin → a smaller one on stdout
//! nuage-server preview-worker pdf|film PROGRAM FILE SIDE   becomes that program, which writes a picture to stdout
//! ```
//!
//! It ends with 0, or with [`UNDECODABLE`] when the bytes are no picture.

use std::io;
use std::io::Cursor;
use std::io::Read;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitCode;

use image::DynamicImage;
use image::ImageDecoder;
use image::ImageFormat;
use image::ImageReader;
use image::Limits;
use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;

use crate::previews::confine::limit;
use crate::previews::confine::no_network;
use crate::previews::confine::only_compute;
use crate::previews::confine::only_files;
use crate::previews::shape::Shape;

/// How a worker ends that was given no picture.
pub const UNDECODABLE: u8 = 65;
/// How a worker ends that did not dare to begin.
pub const UNCONFINED: u8 = 70;
/// What a decoder may allocate, in bytes.
const DECODER_BYTES_MAX: u64 = 1 << 30;
/// The quality of pictures without transparency, of 100.
const QUALITY: u8 = 82;
/// Containers of films; none that names other files or addresses.
const CONTAINERS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,ogg,flv,asf";

/// What a worker does.
#[derive(Debug, Clone)]
pub enum Task {
    /// Makes a picture smaller.
    Picture {
        /// What it becomes.
        shape: Shape,
        /// The most pixels that it may have.
        pixels_max: u64,
    },
    /// Becomes `pdftoppm`.
    Pdf(Foreign),
    /// Becomes `ffmpeg`.
    Film(Foreign),
}

/// What a foreign program is given.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// Where it is.
    pub program: PathBuf,
    /// What it reads.
    pub file: PathBuf,
    /// The longest side of the picture that it makes.
    pub side: u32,
}

/// Does a task, confined; to be the only thing that its process does.
pub fn work(task: &Task) -> ExitCode {
    let done = match task {
        Task::Picture { shape, pixels_max } => make_smaller(*shape, *pixels_max),
        Task::Pdf(foreign) => {
            let side = foreign.side.to_string();
            let mut words = vec![
                "-q",
                "-f",
                "1",
                "-l",
                "1",
                "-singlefile",
                "-png",
                "-scale-to",
            ];
            words.push(&side);
            become_program(foreign, &words, &[])
        }
        Task::Film(foreign) => {
            let side = foreign.side;
            let scale = format!("scale=w={side}:h={side}:force_original_aspect_ratio=decrease");
            let before = [
                "-nostdin",
                "-loglevel",
                "quiet",
                "-threads",
                "1",
                "-protocol_whitelist",
                "file,pipe",
                "-format_whitelist",
                CONTAINERS,
                "-i",
            ];
            let after = [
                "-map",
                "0:v:0",
                "-frames:v",
                "1",
                "-vf",
                &scale,
                "-an",
                "-f",
                "image2pipe",
                "-c:v",
                "png",
                "pipe:1",
            ];
            become_program(foreign, &before, &after)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => ExitCode::from(code),
    }
}

/// Turns this process into a foreign program; returns only if that fails.
fn become_program(foreign: &Foreign, before: &[&str], after: &[&str]) -> Result<(), u8> {
    let confined = limit()
        .and_then(|()| only_files(Some(&foreign.file)))
        .and_then(|_is_known| no_network());
    confined.map_err(|_unconfined| UNCONFINED)?;
    let failed = Command::new(&foreign.program)
        .args(before)
        .arg(input_of(&foreign.file))
        .args(after)
        .env_clear()
        .exec();
    tracing::debug!(error = %failed, "a program did not begin");
    Err(UNCONFINED)
}

/// Names a file so that no program takes it for an option or an address.
fn input_of(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}

fn make_smaller(shape: Shape, pixels_max: u64) -> Result<(), u8> {
    limit().map_err(|_unconfined| UNCONFINED)?;
    let mut bytes = Vec::new();
    let mut input = io::stdin().lock();
    input
        .read_to_end(&mut bytes)
        .map_err(|_unread| UNCONFINED)?;
    only_files(None).map_err(|_unconfined| UNCONFINED)?;
    only_compute().map_err(|_unconfined| UNCONFINED)?;
    let picture = smaller(&bytes, shape, pixels_max).map_err(|_fault| UNDECODABLE)?;
    let mut output = io::stdout().lock();
    let written = output.write_all(&picture).and_then(|()| output.flush());
    written.map_err(|_unwritten| UNCONFINED)
}

/// Why a picture has no preview.
#[derive(Debug, thiserror::Error)]
enum PictureFault {
    #[error(transparent)]
    Image(#[from] image::ImageError),
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error("more pixels than may be decoded")]
    TooLarge,
}

/// Returns a picture in its shape, upright, as JPEG, or as PNG where it is transparent.
fn smaller(bytes: &[u8], shape: Shape, pixels_max: u64) -> Result<Vec<u8>, PictureFault> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODER_BYTES_MAX);
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > pixels_max {
        return Err(PictureFault::TooLarge);
    }
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    let is_on_its_side = matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    let shape = if is_on_its_side {
        shape.turned()
    } else {
        shape
    };
    picture = shape.of(picture);
    picture.apply_orientation(orientation);
    let mut encoded = Vec::new();
    if picture.color().has_alpha() {
        let picture = DynamicImage::from(picture.into_rgba8());
        picture.write_to(&mut Cursor::new(&mut encoded), ImageFormat::Png)?;
    } else {
        let writer = JpegEncoder::new_with_quality(&mut encoded, QUALITY);
        picture.into_rgb8().write_with_encoder(writer)?;
    }
    Ok(encoded)
}
