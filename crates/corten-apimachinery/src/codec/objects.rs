//! How many objects are in a text, counted while it is read: as bytes they are nothing, as trees they cost hundreds of times
//! as much, so who reads what strangers send has a bound.
//!
//! Not counted are the sets in `metadata.managedFields`: they stay as they are, and have an object for each field.

use super::DecodeError;

/// How many objects there may still be.
#[derive(Debug)]
pub(super) struct Objects {
    /// `None` once there were more.
    left: Option<usize>,
    max: usize,
}

impl Objects {
    pub(super) fn at_most(max: usize) -> Self {
        Self { left: Some(max), max }
    }

    /// There is one more, at `place`.
    pub(super) fn count(&mut self, place: Place) -> Result<(), DecodeError> {
        if place != Place::FieldSet {
            self.left = self.left.and_then(|left| left.checked_sub(1));
        }
        self.refusal().map_or(Ok(()), Err)
    }

    /// That there were too many, if there were.
    pub(super) fn refusal(&self) -> Option<DecodeError> {
        self.left.is_none().then_some(DecodeError::TooManyObjects(self.max))
    }
}

/// Where in an object a reader is, as far as that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Root,
    Metadata,
    ManagedFields,
    /// One of the managed fields.
    Entry,
    /// The set of one of them, or within it.
    FieldSet,
    Elsewhere,
}

impl Place {
    /// The place of the field `key` of an object here.
    pub(super) fn field(self, key: &str) -> Self {
        match (self, key) {
            (Self::Elsewhere, _) => Self::Elsewhere,
            (Self::Root, "metadata") => Self::Metadata,
            (Self::Metadata, "managedFields") => Self::ManagedFields,
            (Self::Entry, "fieldsV1") | (Self::FieldSet, _) => Self::FieldSet,
            _ => Self::Elsewhere,
        }
    }

    /// The place of an item of a list here.
    pub(super) fn item(self) -> Self {
        match self {
            Self::ManagedFields => Self::Entry,
            Self::FieldSet => Self::FieldSet,
            _ => Self::Elsewhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::codec::{DecodeError, FieldValidation, cbor, json, yaml};

    /// A body of 3 MB with a million empty containers cost gigabytes; then it was refused, but only when it was a tree.
    #[test]
    fn objects_are_counted_in_every_encoding_but_for_sets_of_managed_fields() {
        #[track_caller]
        fn check(text: &str, max: usize) {
            let value = json::decode(text.as_bytes(), None, FieldValidation::Ignore).unwrap().value;
            let (block, binary) = (yaml::encode(&value), cbor::encode(&value));
            let all = |max: usize| {
                [
                    json::decode_bounded(text.as_bytes(), None, FieldValidation::Warn, max),
                    yaml::decode_bounded(text.as_bytes(), None, FieldValidation::Warn, max),
                    yaml::decode_bounded(&block, None, FieldValidation::Warn, max),
                    cbor::decode_bounded(&binary, None, FieldValidation::Warn, max),
                ]
            };
            for decoded in all(max) {
                assert_eq!(decoded.unwrap().value, value, "{text}");
            }
            for decoded in all(max - 1) {
                assert_eq!(decoded.unwrap_err(), DecodeError::TooManyObjects(max - 1), "{text}");
            }
        }
        check("{}", 1);
        check(r#"[{}, [{"a": {}}], {}]"#, 4);
        check(r#"{"a": {"b": {}}, "c": [{}, 1, {"d": {}}]}"#, 6);
        check(r#"{"metadata": {"managedFields": [{"fieldsV1": {"f:a": {"f:b": {}}, "x": [{}]}}, {}]}}"#, 4);
        check(r#"{"spec": {"metadata": {"managedFields": [{"fieldsV1": {"f:a": {"f:b": {}}}}]}}}"#, 7);
        check(r#"{"metadata": {"managedFields": {"fieldsV1": {"f:a": {}}}}}"#, 5);
        check(r#"[{"metadata": {"managedFields": [{"fieldsV1": {"f:a": {}}}]}}]"#, 5);
    }

    /// It was read to its end before it was refused, in nine seconds.
    #[test]
    fn what_comes_behind_too_many_objects_is_not_read() {
        let text = format!("[{}\u{1}", "{},".repeat(1_000));
        let refused = Err(DecodeError::TooManyObjects(2));
        assert_eq!(json::decode_bounded(text.as_bytes(), None, FieldValidation::Warn, 2), refused);
        assert_eq!(yaml::decode_bounded(text.as_bytes(), None, FieldValidation::Warn, 2), refused);
        assert_eq!(cbor::decode_bounded(b"\x84\xa0\xa0\xa0", None, FieldValidation::Warn, 2), refused);
    }
}
