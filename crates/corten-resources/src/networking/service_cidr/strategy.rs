//! Ranges stay, but for a second family that may come. A write of the range may also set its status, as upstream's may:
//! its strategies name the fields to reset under a group that there is not, and reset none.

use corten_apimachinery::field::ErrorList;

use super::validation;
use crate::{as_sent::AsSent, status::Status};

/// The range itself.
pub(super) static MAIN: AsSent = AsSent { create: validation::create, update: validation::update };

/// `status`: whether services get addresses of the range.
pub(super) static STATUS: Status = Status::new(|_cx, _range, _old| ErrorList::new()).keeping_metadata().resetting(&[]);
