//! What is asked of IDA.

/// An IDA route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Yes/no authentication.
    Auth,
    /// Authentication that answers with identity attributes.
    Kyc,
    /// Sends a one-time password.
    Otp,
    /// Delegated authentication for an identity provider.
    KycAuth,
    /// The attributes for a token of `KycAuth`.
    KycExchange,
    /// Binds a wallet's key to an individual.
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

    /// The path segment after the version: `/idauthentication/v1/{word}/…`.
    pub const fn path_word(self) -> &'static str {
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

    /// The operation of a path segment.
    pub fn from_path_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.path_word() == word)
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
