//! Running workers: what they are given, how long they may take, what of them is believed.

use std::fs::File;
use std::io;
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
use crate::previews::worker::UNCONFINED;

/// This program, also when its file has been replaced.
const PROGRAM: &str = "/proc/self/exe";

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
    /// Makes the preview of a file.
    pub(super) async fn make_from_file(
        &self,
        kind: Kind,
        file: Download,
        side: u32,
    ) -> Result<Vec<u8>, Fault> {
        let source = self.copy(file).await?;
        let program = match kind {
            Kind::Picture => {
                let input = File::open(&source.0)?;
                return self.make_picture(Stdio::from(input), None, side).await;
            }
            Kind::Pdf => ("pdf", &self.kinds.pdftoppm),
            Kind::Film => ("film", &self.kinds.ffmpeg),
        };
        let (word, Some(program)) = program else {
            return Err(Fault::Undecodable);
        };
        let mut command = worker(word);
        command.arg(program).arg(&source.0).arg(side.to_string());
        let picture = self.run(command.stdin(Stdio::null()), None).await?;
        // What it made out of somebody's bytes is somebody's bytes still.
        self.make_smaller(picture, side).await
    }

    /// Makes a smaller picture of a picture.
    pub(super) async fn make_smaller(&self, picture: Vec<u8>, side: u32) -> Result<Vec<u8>, Fault> {
        self.make_picture(Stdio::piped(), Some(picture), side).await
    }

    async fn make_picture(
        &self,
        input: Stdio,
        bytes: Option<Vec<u8>>,
        side: u32,
    ) -> Result<Vec<u8>, Fault> {
        let mut command = worker("picture");
        command.arg(side.to_string());
        command.arg(self.pixels_max.to_string());
        self.run(command.stdin(input), bytes).await
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
    async fn run(&self, command: &mut Command, input: Option<Vec<u8>>) -> Result<Vec<u8>, Fault> {
        let mut child = command.spawn()?;
        let ended = timeout(self.timeout, converse(&mut child, input)).await;
        let Ok(ended) = ended else {
            child.kill().await?;
            return Err(Fault::Late);
        };
        let (output, code) = ended?;
        match code {
            Ok(0) if media_type_of(&output).is_some() => Ok(output),
            Ok(code) if code == i32::from(UNCONFINED) => {
                Err(Fault::Worker("no confinement".into()))
            }
            // The worker has a code for it; a foreign program says by any other code that it does not understand the file.
            Ok(_) => Err(Fault::Undecodable),
            Err(how) => Err(Fault::Worker(how)),
        }
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
async fn converse(
    child: &mut Child,
    input: Option<Vec<u8>>,
) -> io::Result<(Vec<u8>, Result<i32, String>)> {
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
        return Ok((Vec::new(), Err("too much output".to_owned())));
    }
    let status = child.wait().await?;
    let code = status.code().ok_or_else(|| status.to_string());
    Ok((output, code))
}
