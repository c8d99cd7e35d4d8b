//! Which layouts there are, and what a caller may bind to a message of the older ones.

/// How the bytes of an encrypted value are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// 1.2.0 and later: with the recipient's thumbprint.
    R2,
    /// 1.2.0 with the switch `113nothumbprint`.
    R2NoKeyId,
    /// 1.1.5, and every version where the caller brings additional data or a salt.
    Legacy,
    /// 1.1.3 and before.
    LegacyNoKeyId,
}

impl Layout {
    /// Whether it begins with `VER_R2`.
    pub(super) const fn is_r2(self) -> bool {
        matches!(self, Self::R2 | Self::R2NoKeyId)
    }

    /// Whether it names the recipient's certificate.
    pub(super) const fn has_key_id(self) -> bool {
        matches!(self, Self::R2 | Self::Legacy)
    }
}

/// What both sides of a legacy message know besides the key. `VER_R2` messages have none: both are ignored by keymanager
/// there, and refused here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Binding<'b> {
    /// The nonce, which then does not travel.
    pub salt: Option<&'b [u8; 12]>,
    /// Additional data under the tag.
    pub additional: &'b [u8],
}

impl Binding<'_> {
    pub(super) const fn is_empty(&self) -> bool {
        self.salt.is_none() && self.additional.is_empty()
    }
}
