//! Do people read what happened to what is theirs, and nothing else; are they told by mail of what they are given?

mod letters;
mod reading;
