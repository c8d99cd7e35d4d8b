//! What a MOSIP IDA route does, and which permission of an auth policy it needs (IDA reference 1.1 and 2.3).

/// An operation of ID authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Yes or no.
    Auth,
    /// Yes or no, with attributes.
    Kyc,
    /// Asks for a one-time password to be sent.
    Otp,
    /// An identity provider's yes or no, with a token.
    KycAuth,
    /// The token for attributes.
    KycExchange,
    /// Binds a wallet's key to an identity.
    KeyBinding,
    /// Issues a verifiable credential.
    VciExchange,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 7] = [
        Self::Auth,
        Self::Kyc,
        Self::Otp,
        Self::KycAuth,
        Self::KycExchange,
        Self::KeyBinding,
        Self::VciExchange,
    ];

    /// The path segments before the three identifiers.
    pub const fn segments(self) -> &'static [&'static str] {
        match self {
            Self::Auth => &["auth"],
            Self::Kyc => &["kyc"],
            Self::Otp => &["otp"],
            Self::KycAuth => &["kyc-auth", "delegated"],
            Self::KycExchange => &["kyc-exchange", "delegated"],
            Self::KeyBinding => &["identity-key-binding", "delegated"],
            Self::VciExchange => &["vci-exchange", "delegated"],
        }
    }

    /// The word for logs: the first of the segments.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Kyc => "kyc",
            Self::Otp => "otp",
            Self::KycAuth => "kyc-auth",
            Self::KycExchange => "kyc-exchange",
            Self::KeyBinding => "identity-key-binding",
            Self::VciExchange => "vci-exchange",
        }
    }

    /// The operation whose segments end this path.
    pub fn ending<S: AsRef<str>>(path: &[S]) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| {
            let wanted = operation.segments();
            path.len()
                .checked_sub(wanted.len())
                .and_then(|start| path.get(start..))
                .is_some_and(|tail| tail.iter().map(AsRef::as_ref).eq(wanted.iter().copied()))
        })
    }

    /// The `authType` that a policy must list for the operation; none for `auth`.
    pub const fn permission(self) -> Option<&'static str> {
        match self {
            Self::Auth => None,
            Self::Kyc => Some("kyc"),
            Self::Otp => Some("otp-request"),
            Self::KycAuth => Some("kycauth"),
            Self::KycExchange => Some("kycexchange"),
            Self::KeyBinding => Some("keybinding"),
            Self::VciExchange => Some("vciexchange"),
        }
    }

    /// Whether a policy's mandatory factors must be there. Where no factor is due, or the token of an earlier request
    /// stands for them, MOSIP does not ask.
    pub const fn demands_mandatory(self) -> bool {
        match self {
            Self::Auth | Self::Kyc | Self::KycAuth => true,
            Self::Otp | Self::KycExchange | Self::KeyBinding | Self::VciExchange => false,
        }
    }

    /// The `id` that a request must carry. `None` where MOSIP's default configuration sets none: any non-empty one passes.
    pub const fn id(self) -> Option<&'static str> {
        match self {
            Self::Auth => Some("mosip.identity.auth"),
            Self::Kyc => Some("mosip.identity.kyc"),
            Self::Otp => Some("mosip.identity.otp"),
            Self::KycAuth => Some("mosip.identity.kycauth"),
            Self::KycExchange => Some("mosip.identity.kycexchange"),
            Self::KeyBinding | Self::VciExchange => None,
        }
    }

    /// Whether the request carries the encrypted members.
    pub const fn encrypted(self) -> bool {
        match self {
            Self::Auth | Self::Kyc | Self::KycAuth | Self::KeyBinding => true,
            Self::Otp | Self::KycExchange | Self::VciExchange => false,
        }
    }

    /// Whether the path has the segment `delegated` after its word.
    pub const fn delegated(self) -> bool {
        match self {
            Self::KycAuth | Self::KycExchange | Self::KeyBinding | Self::VciExchange => true,
            Self::Auth | Self::Kyc | Self::Otp => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_path_names_the_operation() {
        for operation in Operation::ALL {
            let mut path = vec!["idauthentication", "v1"];
            path.extend(operation.segments());
            assert_eq!(Operation::ending(&path), Some(operation));
            assert_eq!(operation.segments().first(), Some(&operation.as_str()));
        }
    }

    #[test]
    fn half_an_operation_is_none() {
        for bad in [
            &["v1", "kyc-auth"][..],
            &["v1", "delegated"],
            &["auth", "delegated"],
            &["auth", "v1"],
            &["Auth"],
            &["kyc-auth", "x", "delegated"],
            &[],
        ] {
            assert_eq!(Operation::ending(bad), None, "{bad:?}");
        }
    }
}
