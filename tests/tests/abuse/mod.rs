//! Bad input: the server stays alive, small and right, and says what was wrong.

mod big_tree;
mod bodies;
mod connections;
mod heads;
mod locks;
mod paths;
mod slow;
mod xml;
