//! The Nuage server: storage core, rules, and the protocols on top.

pub mod api;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dav;
pub mod files;
pub mod http;
pub mod identity;
pub mod jobs;
pub mod language;
pub mod mail;
pub mod nextcloud;
pub mod previews;
pub mod routes;
pub mod sharing;
pub mod size;
pub mod store;
pub mod telemetry;
pub mod web;
