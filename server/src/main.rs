//! The binary `nuage-server`: everything it does is in [`nuage_server::cli`].

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Gives memory back sooner than the C library's allocator does with many threads.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    nuage_server::cli::run()
}
