//! WebDAV, by requests written by hand.

mod access;
mod archive;
mod compression;
mod etags;
mod history;
mod listing;
mod locks;
mod pieces;
mod properties;
mod put;
mod quota;
mod read;
mod tree;
