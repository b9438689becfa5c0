//! Real programs against the real server: what people have.
//!
//! `tests/install-packages.sh` installs them. A test whose program is missing
//! fails and says so, unless `NUAGE_TEST_WITHOUT` excuses the program by name.

mod cadaver;
mod curl;
mod davfs;
mod desktops;
mod habits;
mod litmus;
mod observed;
mod rclone;
mod sync;
