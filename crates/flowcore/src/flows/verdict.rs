//! What a whitelist said of a flow, in four bytes.

use crate::allow::{RuleId, Verdict};

/// A [`Verdict`] that was given or not, in four bytes: rule ids are kept below [`RuleId::LIMIT`].
#[derive(Copy, Clone, Debug)]
pub(super) struct KeptVerdict(u32);

impl KeptVerdict {
    pub(super) const NONE: Self = Self(u32::MAX);
    const UNDECIDED: Self = Self(u32::MAX - 1);
    const UNLISTED: Self = Self(u32::MAX - 2);
}

impl Default for KeptVerdict {
    fn default() -> Self {
        Self::NONE
    }
}

impl From<Verdict> for KeptVerdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Allowed(rule) => Self(rule.0.min(RuleId::LIMIT - 1)),
            Verdict::Unlisted => Self::UNLISTED,
            Verdict::Undecided => Self::UNDECIDED,
        }
    }
}

impl From<KeptVerdict> for Option<Verdict> {
    fn from(kept: KeptVerdict) -> Self {
        match kept.0 {
            rule if rule < RuleId::LIMIT => Some(Verdict::Allowed(RuleId(rule))),
            code if code == KeptVerdict::UNLISTED.0 => Some(Verdict::Unlisted),
            code if code == KeptVerdict::UNDECIDED.0 => Some(Verdict::Undecided),
            _ => None,
        }
    }
}
