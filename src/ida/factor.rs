//! The factors a person can be authenticated with, in the words of policies and of MOSIP's messages.

use std::str::FromStr;

/// A biometric modality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bio {
    /// Fingerprints.
    Finger,
    /// Irises.
    Iris,
    /// The face.
    Face,
}

/// A factor of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Factor {
    /// Demographic data.
    Demo,
    /// A one-time password.
    Otp,
    /// A static PIN.
    Pin,
    /// Biometrics.
    Bio(Bio),
    /// A key-bound token.
    Kbt,
    /// A password.
    Pwd,
}

/// A word that is no factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a factor")]
pub struct UnknownFactor;

impl Factor {
    /// Every factor.
    pub const ALL: [Self; 8] = [
        Self::Demo,
        Self::Otp,
        Self::Pin,
        Self::Bio(Bio::Finger),
        Self::Bio(Bio::Iris),
        Self::Bio(Bio::Face),
        Self::Kbt,
        Self::Pwd,
    ];

    /// The `authType` of a policy.
    pub const fn auth_type(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Otp => "otp",
            Self::Pin => "pin",
            Self::Bio(_) => "bio",
            Self::Kbt => "kbt",
            Self::Pwd => "pwd",
        }
    }

    /// The `authSubType` of a policy; only biometrics have one.
    pub const fn auth_sub_type(self) -> Option<&'static str> {
        match self {
            Self::Bio(Bio::Finger) => Some("FINGER"),
            Self::Bio(Bio::Iris) => Some("IRIS"),
            Self::Bio(Bio::Face) => Some("FACE"),
            Self::Demo | Self::Otp | Self::Pin | Self::Kbt | Self::Pwd => None,
        }
    }

    /// The factor's name, as MOSIP's message about a mandatory factor writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Otp => "otp",
            Self::Pin => "pin",
            Self::Bio(Bio::Finger) => "bio-FINGER",
            Self::Bio(Bio::Iris) => "bio-IRIS",
            Self::Bio(Bio::Face) => "bio-FACE",
            Self::Kbt => "kbt",
            Self::Pwd => "pwd",
        }
    }

    /// The factor's name, as MOSIP's message about a factor that is not allowed writes it.
    pub const fn as_upper(self) -> &'static str {
        match self {
            Self::Demo => "DEMO",
            Self::Otp => "OTP",
            Self::Pin => "SPIN",
            Self::Bio(Bio::Finger) => "BIO-FINGER",
            Self::Bio(Bio::Iris) => "BIO-IRIS",
            Self::Bio(Bio::Face) => "BIO-FACE",
            Self::Kbt => "KBT",
            Self::Pwd => "PWD",
        }
    }
}

impl FromStr for Bio {
    type Err = UnknownFactor;

    /// Without regard to case.
    fn from_str(word: &str) -> Result<Self, UnknownFactor> {
        [
            ("finger", Self::Finger),
            ("iris", Self::Iris),
            ("face", Self::Face),
        ]
        .into_iter()
        .find_map(|(name, bio)| name.eq_ignore_ascii_case(word).then_some(bio))
        .ok_or(UnknownFactor)
    }
}

impl FromStr for Factor {
    type Err = UnknownFactor;

    /// Reads [`Factor::as_str`], without regard to case.
    fn from_str(word: &str) -> Result<Self, UnknownFactor> {
        Self::ALL
            .into_iter()
            .find(|factor| factor.as_str().eq_ignore_ascii_case(word))
            .ok_or(UnknownFactor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_factor_reads_back_in_any_case() {
        for factor in Factor::ALL {
            assert_eq!(factor.as_str().parse(), Ok(factor));
            assert_eq!(factor.as_str().to_uppercase().parse(), Ok(factor));
        }
        for bad in [
            "",
            "bio",
            "bio-",
            "finger",
            "bio-FINGERS",
            "otp-request",
            "kyc",
        ] {
            assert_eq!(bad.parse::<Factor>(), Err(UnknownFactor), "{bad}");
        }
    }
}
