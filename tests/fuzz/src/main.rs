//! Feeds every parser of foreign bytes with what libFuzzer thinks up.
//!
//! One binary holds all targets, because linking is what takes the time; the
//! variable `NUAGE_FUZZ` names the one to run (`list` prints their names). `run`
//! beside this crate builds it, instrumented, and runs each for some seconds.
//!
//! A target asserts more than the absence of panics: what is accepted must be
//! what writing it again yields, in its normal form, within the limits.

#![no_main]

mod formats;
mod names;
mod requests;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

/// Takes one input; panics where a promise is broken.
type Target = fn(&[u8]);

/// Every target, by name.
const TARGETS: &[(&str, Target)] = &[
    ("chunker", formats::chunker),
    ("frame", formats::frame),
    ("footer", formats::footer),
    ("map", formats::map),
    ("node_path", names::node_path),
    ("byte_size", names::byte_size),
    ("url", requests::url),
    ("if_header", requests::if_header),
    ("request", requests::request),
    ("other_headers", requests::other_headers),
    ("range", requests::range),
    ("xml", requests::xml),
    ("settings", requests::settings),
];

static CHOSEN: OnceLock<Target> = OnceLock::new();

/// Chooses the target that `NUAGE_FUZZ` names.
fn choose() {
    let wanted = std::env::var("NUAGE_FUZZ").unwrap_or_default();
    if wanted == "list" {
        for (name, _) in TARGETS {
            println!("{name}");
        }
        std::process::exit(0);
    }
    let Some((_, target)) = TARGETS.iter().find(|(name, _)| *name == wanted) else {
        eprintln!("NUAGE_FUZZ must name a target (or say `list`), not '{wanted}'");
        std::process::exit(2);
    };
    CHOSEN.get_or_init(|| *target);
}

fuzz_target!(init: choose(), |input: &[u8]| {
    if let Some(target) = CHOSEN.get() {
        target(input);
    }
});
