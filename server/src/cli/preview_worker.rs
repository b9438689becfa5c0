//! `nuage-server preview-worker`: what the server runs to look at somebody's bytes; not for people.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::previews::Fit;
use crate::previews::Shape;
use crate::previews::worker::Foreign;
use crate::previews::worker::Task;
use crate::previews::worker::work;

#[derive(Debug, Subcommand)]
pub(super) enum PreviewWorker {
    /// Makes the picture on the standard input smaller.
    Picture {
        /// How wide it becomes, in pixels.
        width: u32,
        /// How high.
        height: u32,
        /// How it fills that.
        fit: Fit,
        /// The most pixels that it may have.
        pixels_max: u64,
    },
    /// Becomes pdftoppm.
    Pdf(ForeignArguments),
    /// Becomes ffmpeg.
    Film(ForeignArguments),
}

#[derive(Debug, clap::Args)]
pub(super) struct ForeignArguments {
    /// The program.
    program: PathBuf,
    /// What it reads.
    file: PathBuf,
    /// The longest side of the picture.
    side: u32,
}

impl ForeignArguments {
    fn foreign(&self) -> Foreign {
        Foreign {
            program: self.program.clone(),
            file: self.file.clone(),
            side: self.side,
        }
    }
}

impl PreviewWorker {
    /// Works without settings, data or log: it must know nothing.
    pub(super) fn run(&self) -> ExitCode {
        work(&match self {
            Self::Picture {
                width,
                height,
                fit,
                pixels_max,
            } => Task::Picture {
                shape: Shape {
                    width: *width,
                    height: *height,
                    fit: *fit,
                },
                pixels_max: *pixels_max,
            },
            Self::Pdf(arguments) => Task::Pdf(arguments.foreign()),
            Self::Film(arguments) => Task::Film(arguments.foreign()),
        })
    }
}
