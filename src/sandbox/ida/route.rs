//! Which IDA service a path means, and what goes with it (reference, section 1.1).

/// The context path.
const CONTEXT: [&str; 2] = ["idauthentication", "v1"];

/// One of IDA's external routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Auth,
    Kyc,
    Otp,
    KycAuth,
    KycExchange,
    KeyBinding,
    VciExchange,
}

/// The three identifiers of the path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identifiers<'a> {
    pub(super) licence_key: &'a str,
    pub(super) partner_id: &'a str,
    pub(super) api_key: &'a str,
}

impl Route {
    /// The route of a path and the segments after it. A trailing slash does not count; the raw text is taken as it is.
    pub(super) fn of(path: &str) -> Option<(Self, Vec<&str>)> {
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        for expected in CONTEXT {
            if segments.next()? != expected {
                return None;
            }
        }
        let route = match segments.next()? {
            "auth" => Self::Auth,
            "kyc" => Self::Kyc,
            "otp" => Self::Otp,
            "kyc-auth" => Self::KycAuth,
            "kyc-exchange" => Self::KycExchange,
            "identity-key-binding" => Self::KeyBinding,
            "vci-exchange" => Self::VciExchange,
            _ => return None,
        };
        if route.delegated() && segments.next()? != "delegated" {
            return None;
        }
        let rest: Vec<_> = segments.collect();
        (rest.len() <= 3).then_some((route, rest))
    }

    /// The name for logs.
    pub(super) const fn name(self) -> &'static str {
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

    /// The `id` that requests must carry and answers do; the default configuration sets none for the last two.
    pub(super) const fn id(self) -> Option<&'static str> {
        match self {
            Self::Auth => Some("mosip.identity.auth"),
            Self::Kyc => Some("mosip.identity.kyc"),
            Self::Otp => Some("mosip.identity.otp"),
            Self::KycAuth => Some("mosip.identity.kycauth"),
            Self::KycExchange => Some("mosip.identity.kycexchange"),
            Self::KeyBinding | Self::VciExchange => None,
        }
    }

    /// Whether an identity provider calls it on behalf of a partner.
    pub(super) const fn delegated(self) -> bool {
        match self {
            Self::Auth | Self::Kyc | Self::Otp => false,
            Self::KycAuth | Self::KycExchange | Self::KeyBinding | Self::VciExchange => true,
        }
    }

    /// Whether the body has an encrypted block.
    pub(super) const fn encrypted(self) -> bool {
        match self {
            Self::Auth | Self::Kyc | Self::KycAuth | Self::KeyBinding => true,
            Self::Otp | Self::KycExchange | Self::VciExchange => false,
        }
    }
}

impl<'a> Identifiers<'a> {
    /// Exactly three, or none.
    pub(super) fn of(segments: &[&'a str]) -> Option<Self> {
        match *segments {
            [licence_key, partner_id, api_key] => Some(Self {
                licence_key,
                partner_id,
                api_key,
            }),
            _ => None,
        }
    }
}
