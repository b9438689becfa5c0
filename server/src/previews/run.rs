//! Running workers: what they are given, how long they may take, what of them is believed.

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::process::Child;
use tokio::process::Command;
use tokio::time::timeout;

use crate::files::Download;
use crate::previews::cache::PICTURE_BYTES_MAX;
use crate::previews::cache::media_type_of;
use crate::previews::kinds::Kind;
use crate::previews::kinds::Kinds;
use crate::previews::shape::SIDE_MAX;
use crate::previews::shape::Shape;
use crate::previews::worker::UNCONFINED;
use crate::previews::worker::UNDECODABLE;

/// This program, also when its file has been replaced.
const PROGRAM: &str = "/proc/self/exe";

/// From this code on, ffmpeg names what the system refused: 256 less its number.
const FFMPEG_SYSTEM: i32 = 200;
/// The code of a file whose values make no sense (`EINVAL`).
const FFMPEG_NO_SENSE: i32 = 256 - libc::EINVAL;

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The content is no picture, or one that costs too much.
    #[error("the content cannot be decoded")]
    Undecodable,
    /// It took too long.
    #[error("it took too long")]
    Late,
    /// The worker did not do its work, or was killed.
    #[error("the worker ended with {0}")]
    Worker(String),
    /// The disk or the process table failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Unreadable,
}

/// How workers are run.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) work_folder: PathBuf,
    pub(super) kinds: Kinds,
    pub(super) timeout: Duration,
    pub(super) pixels_max: u64,
}

/// A file for a worker to read, gone with its value.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

impl Runner {
    /// Makes the largest preview of a file.
    pub(super) async fn make_from_file(
        &self,
        kind: Kind,
        file: Download,
    ) -> Result<Vec<u8>, Fault> {
        let shape = Shape::largest();
        let source = self.copy(file).await?;
        let program = match kind {
            Kind::Picture => {
                let input = File::open(&source.0)?;
                return self.make_picture(Stdio::from(input), None, shape).await;
            }
            Kind::Pdf => ("pdf", &self.kinds.pdftoppm),
            Kind::Film => ("film", &self.kinds.ffmpeg),
        };
        let (word, Some(program)) = program else {
            return Err(Fault::Undecodable);
        };
        let mut command = worker(word);
        let side = SIDE_MAX.to_string();
        command.arg(program).arg(&source.0).arg(side);
        let picture = self.run(command.stdin(Stdio::null()), None, kind).await?;
        // What it made out of somebody's bytes is somebody's bytes still.
        self.make_smaller(picture, shape).await
    }

    /// Makes a smaller picture of a picture.
    pub(super) async fn make_smaller(
        &self,
        picture: Vec<u8>,
        shape: Shape,
    ) -> Result<Vec<u8>, Fault> {
        self.make_picture(Stdio::piped(), Some(picture), shape)
            .await
    }

    async fn make_picture(
        &self,
        input: Stdio,
        bytes: Option<Vec<u8>>,
        shape: Shape,
    ) -> Result<Vec<u8>, Fault> {
        let mut command = worker("picture");
        let Shape { width, height, fit } = shape;
        command.args([width.to_string(), height.to_string(), fit.to_string()]);
        command.arg(self.pixels_max.to_string());
        self.run(command.stdin(input), bytes, Kind::Picture).await
    }

    /// Copies a file to where a worker can read it.
    async fn copy(&self, file: Download) -> Result<Temporary, Fault> {
        let name = format!("{:032x}", rand::random::<u128>());
        let source = Temporary(self.work_folder.join(name));
        let size = file.node.size_bytes;
        let mut stream = std::pin::pin!(file.stream(0..size));
        let mut copy = tokio::fs::File::create_new(&source.0).await?;
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|_unreadable| Fault::Unreadable)?;
            copy.write_all(&piece).await?;
        }
        copy.flush().await?;
        Ok(source)
    }

    /// Runs a worker to its end, or ends it.
    async fn run(
        &self,
        command: &mut Command,
        input: Option<Vec<u8>>,
        kind: Kind,
    ) -> Result<Vec<u8>, Fault> {
        let mut child = command.spawn()?;
        let ended = timeout(self.timeout, converse(&mut child, input)).await;
        let Ok(ended) = ended else {
            child.kill().await?;
            return Err(Fault::Late);
        };
        let (output, end) = ended?;
        match end {
            End::Code(0) if media_type_of(&output).is_some() => Ok(output),
            End::Code(code) if is_about_the_file(kind, code) => Err(Fault::Undecodable),
            // It had all the seconds of a core that a preview may cost.
            End::Signal(libc::SIGXCPU) | End::TooMuch => Err(Fault::Undecodable),
            End::Code(code) => Err(Fault::Worker(format!("code {code}"))),
            End::Signal(signal) => Err(Fault::Worker(format!("signal {signal}"))),
        }
    }
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Code(i32),
    Signal(i32),
    /// It said more than any preview does.
    TooMuch,
}

/// Returns whether a program's code says that it does not understand the file; else it could not work.
fn is_about_the_file(kind: Kind, code: i32) -> bool {
    // Our own part, before it becomes another program; 127: the system could not begin it.
    if code == i32::from(UNCONFINED) || code == 127 {
        return false;
    }
    match kind {
        // 101: the decoder has met what it does not expect.
        Kind::Picture => [0, 101, i32::from(UNDECODABLE)].contains(&code),
        // pdftoppm: 1, it cannot be opened; 3, it forbids to be read.
        Kind::Pdf => [0, 1, 3].contains(&code),
        // ffmpeg: what the system refuses is a small negative number; 234 of them, that a value makes no sense, is the file's.
        Kind::Film => code < FFMPEG_SYSTEM || code == FFMPEG_NO_SENSE,
    }
}

fn worker(word: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(["preview-worker", word])
        .env_clear()
        .current_dir("/")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Gives a worker its input, takes its output, and waits for its end.
async fn converse(child: &mut Child, input: Option<Vec<u8>>) -> io::Result<(Vec<u8>, End)> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let give = async {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // A worker that has heard enough may close it.
            drop(stdin.write_all(&input).await);
        }
    };
    let take = async {
        let mut output = Vec::new();
        if let Some(stdout) = stdout {
            let mut stdout = stdout.take(PICTURE_BYTES_MAX + 1);
            stdout.read_to_end(&mut output).await?;
        }
        Ok::<_, io::Error>(output)
    };
    let ((), output) = tokio::join!(give, take);
    let output = output?;
    if output.len() as u64 > PICTURE_BYTES_MAX {
        child.kill().await?;
        return Ok((Vec::new(), End::TooMuch));
    }
    let status = child.wait().await?;
    let end = match status.code() {
        Some(code) => End::Code(code),
        None => End::Signal(status.signal().unwrap_or_default()),
    };
    Ok((output, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_program_says_of_the_file_is_remembered() {
        for (kind, of_the_file, of_the_machine) in [
            (Kind::Picture, &[0, 65, 101][..], &[1, 70, 127][..]),
            (Kind::Pdf, &[0, 1, 3], &[2, 70, 99, 127]),
            // No memory, no permission, no descriptor left; seccomp.
            (
                Kind::Film,
                &[0, 1, 8, 183, 234],
                &[70, 127, 232, 243, 244, 255],
            ),
        ] {
            for code in of_the_file {
                assert!(is_about_the_file(kind, *code), "{kind:?} {code}");
            }
            for code in of_the_machine {
                assert!(!is_about_the_file(kind, *code), "{kind:?} {code}");
            }
        }
    }
}
