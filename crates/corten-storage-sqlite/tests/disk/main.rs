//! What the engine makes of a disk that fails: power cuts at every write, errors of every call, no space.
//!
//! SQLite's calls go through a VFS of the test (`vfs`) that notes them and lets some fail (`disk`). From the notes a model
//! (`medium`) makes the files that a power cut at any moment leaves; the engine is opened on them and compared with what it
//! had acknowledged (`history`).

mod power;

mod errors;

mod history;

mod disk;
mod medium;
mod vfs;

#[path = "../support/mod.rs"]
mod support;
