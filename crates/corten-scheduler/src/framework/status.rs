//! What a plugin answers.

use std::borrow::Cow;

use smallvec::SmallVec;

/// The kind of answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Code {
    /// Go on.
    #[default]
    Success,
    /// Something is broken; the cycle ends.
    Error,
    /// Not now: fewer or other pods on the node could change it.
    Unschedulable,
    /// Not now, whatever pods are removed.
    UnschedulableAndUnresolvable,
    /// The pod has to wait.
    Wait,
    /// The plugin has nothing to say in this cycle.
    Skip,
}

/// A plugin's answer, with reasons that users read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The kind.
    pub code: Code,
    /// Why.
    pub reasons: SmallVec<[Cow<'static, str>; 1]>,
    /// Who said it; filled in by the framework.
    pub plugin: &'static str,
}

impl Status {
    /// Go on.
    #[must_use]
    pub fn success() -> Self {
        Self::default()
    }

    /// Nothing to say in this cycle.
    #[must_use]
    pub fn skip() -> Self {
        Self { code: Code::Skip, ..Self::default() }
    }

    /// Not now.
    pub fn unschedulable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::with(Code::Unschedulable, reason)
    }

    /// Not now, whatever pods are removed.
    pub fn unresolvable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::with(Code::UnschedulableAndUnresolvable, reason)
    }

    /// Something is broken.
    pub fn error(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::with(Code::Error, reason)
    }

    fn with(code: Code, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reasons: SmallVec::from_iter([reason.into()]), plugin: "" }
    }

    /// The same, with one more reason.
    #[must_use]
    pub fn and(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        self.reasons.push(reason.into());
        self
    }

    /// The same, said by `plugin`.
    #[must_use]
    pub fn by(mut self, plugin: &'static str) -> Self {
        self.plugin = plugin;
        self
    }

    /// Whether the cycle goes on.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code == Code::Success
    }

    /// Whether the pod, or a node for it, was refused.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        matches!(self.code, Code::Unschedulable | Code::UnschedulableAndUnresolvable | Code::Wait)
    }

    /// All reasons as one text.
    #[must_use]
    pub fn message(&self) -> String {
        self.reasons.join(", ")
    }
}
