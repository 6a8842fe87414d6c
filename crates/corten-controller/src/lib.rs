//! What controllers are made of.
