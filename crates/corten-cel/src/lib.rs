//! CEL, the language of validation rules, admission policies and device selectors.
//!
//! Flow: text -> `syntax` (tree) -> `checker` (types, overloads) -> `eval` (plan, value and cost); `cost` estimates before
//! anything is evaluated. `library` has the functions, `environment` is the door.
//! Pure: no I/O, clock, randomness, tasks or logs. Whatever the text is, work, memory and depth are bounded.
//!
//! Upstream: google/cel-go v0.26.0, k8s.io/apiserver/pkg/cel (v1.35).
#![forbid(unsafe_code)]

pub mod environment;
pub mod syntax;
pub mod types;
pub mod value;

pub mod checker;
pub mod cost;
pub mod declared;
pub mod error;
pub mod eval;
mod library;
pub mod limits;
pub mod rules;

pub mod admission;
pub mod device;

pub use environment::{Environment, Program};
pub use error::{ErrorKind, EvalError};
pub use library::{Implementation, Libraries, authorization};
pub use types::Type;
pub use value::Value;
