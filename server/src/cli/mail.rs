//! `nuage-server mail`: whether letters go out.

use clap::Subcommand;

use crate::app::AppError;
use crate::app::letters;
use crate::app::post_settings;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::cli::output::print_line;
use crate::mail::Post;

#[derive(Debug, Subcommand)]
pub(super) enum Mail {
    /// Sends a letter at once, past the queue, and says what failed.
    Test {
        /// Who gets it, such as zoe@example.org.
        address: String,
    },
}

impl Mail {
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let Self::Test { address } = self;
        let settings = post_settings(&context.folder, &context.settings)?;
        let settings = settings.ok_or(CliError::NoMail)?;
        let post = tokio::task::block_in_place(|| Post::open(&settings)).map_err(AppError::Mail)?;
        let letter = letters(&context.settings).test(address);
        let id = format!("nuage.test.{:x}", rand::random::<u64>());
        let sent = post.send(&letter, &id, context.clock.now()).await;
        let host = settings.host;
        sent.map_err(|error| CliError::NotSent {
            host: host.clone(),
            reason: error.reason(),
        })?;
        print_line(&format!("{host} has taken a letter to {address}"))?;
        Ok(())
    }
}
