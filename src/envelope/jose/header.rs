//! The protected header of a body: exactly `alg`, `enc`, `kid`, `cty`, and `epk` where the algorithm has one.

use super::{BodyProblem, compact};
use crate::{
    envelope::{
        forms,
        json::{self, Object, Value},
    },
    trust::Fingerprint,
};

/// The media type of a sealed body (RFC 7515 section 9.2.1).
pub const MEDIA_TYPE: &str = "application/jose";

/// Bytes of a protected header, encoded.
pub(super) const HEADER_MAX: usize = 2048;

/// Bytes of a media type.
const MEDIA_TYPE_MAX: usize = 255;

/// The one content encryption.
pub(super) const CONTENT_ENCRYPTION: &str = "A256GCM";

/// How the content key travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Management {
    /// `RSA-OAEP-256`.
    RsaOaep256,
    /// `ECDH-ES+A256KW`, with the sender's point.
    EcdhEsA256Kw(EphemeralKey),
}

/// The sender's point, uncompressed; whether it is on its curve is for the agreement to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EphemeralKey {
    P256([u8; 65]),
    P384([u8; 97]),
}

/// A protected header of the exact form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BodyHeader {
    pub(super) management: Management,
    pub(super) recipient: Fingerprint,
    pub(super) media_type: String,
}

impl BodyHeader {
    /// Reads the encoded header.
    pub(super) fn read(encoded: &str) -> Result<Self, BodyProblem> {
        let decoded = decoded(encoded)?;
        let members = members(&decoded)?;
        let management = management(&members)?;
        let expected = match management {
            Management::RsaOaep256 => 4,
            Management::EcdhEsA256Kw(_) => 5,
        };
        // Those that are read are there, so that their number says that there is no other.
        let text = |name| members.get(name).and_then(Value::as_str);
        let recipient = text("kid")
            .and_then(compact::exactly::<32>)
            .ok_or(BodyProblem::Form(
                "`kid` is not the base64url SHA-256 of a certificate",
            ))?;
        let media_type = text("cty")
            .filter(|t| is_media_type(t))
            .ok_or(BodyProblem::Form("`cty` is not a media type"))?;
        if members.len() != expected {
            return Err(BodyProblem::Form(
                "the protected header has a member that is not taken",
            ));
        }
        Ok(Self {
            management,
            recipient: Fingerprint::from_bytes(recipient),
            media_type: media_type.to_owned(),
        })
    }
}

/// The JSON of an encoded header.
pub(super) fn decoded(encoded: &str) -> Result<Vec<u8>, BodyProblem> {
    if encoded.len() > HEADER_MAX {
        return Err(BodyProblem::Form("the protected header is too large"));
    }
    forms::base64url(encoded).ok_or(BodyProblem::Form(
        "the protected header is not canonical unpadded base64url",
    ))
}

/// The members of a decoded header, strictly read.
pub(super) fn members(decoded: &[u8]) -> Result<Object<'_>, BodyProblem> {
    json::read(decoded, HEADER_MAX).map_err(|_| {
        BodyProblem::Form("the protected header is not a JSON object with each name once")
    })
}

/// `alg`, `enc` and `epk`.
pub(super) fn management(members: &Object<'_>) -> Result<Management, BodyProblem> {
    let text = |name| members.get(name).and_then(Value::as_str);
    if text("enc") != Some(CONTENT_ENCRYPTION) {
        return Err(BodyProblem::Form("`enc` is not A256GCM"));
    }
    match text("alg") {
        Some("RSA-OAEP-256") => Ok(Management::RsaOaep256),
        Some("ECDH-ES+A256KW") => members
            .get("epk")
            .and_then(Value::as_object)
            .and_then(ephemeral)
            .map(Management::EcdhEsA256Kw)
            .ok_or(BodyProblem::Form(
                "`epk` is not exactly `kty`, `crv`, `x`, `y` of a P-256 or P-384 key",
            )),
        _ => Err(BodyProblem::Form(
            "`alg` is neither RSA-OAEP-256 nor ECDH-ES+A256KW",
        )),
    }
}

fn ephemeral(members: &Object<'_>) -> Option<EphemeralKey> {
    let text = |name| members.get(name).and_then(Value::as_str);
    if members.len() != 4 || text("kty") != Some("EC") {
        return None;
    }
    let (x, y) = (text("x")?, text("y")?);
    match text("crv")? {
        "P-256" => {
            let mut point = [4; 65];
            let (_, xy) = point.split_first_mut()?;
            let (to_x, to_y) = xy.split_first_chunk_mut::<32>()?;
            *to_x = compact::exactly(x)?;
            to_y.copy_from_slice(&compact::exactly::<32>(y)?);
            Some(EphemeralKey::P256(point))
        }
        "P-384" => {
            let mut point = [4; 97];
            let (_, xy) = point.split_first_mut()?;
            let (to_x, to_y) = xy.split_first_chunk_mut::<48>()?;
            *to_x = compact::exactly(x)?;
            to_y.copy_from_slice(&compact::exactly::<48>(y)?);
            Some(EphemeralKey::P384(point))
        }
        _ => None,
    }
}

impl EphemeralKey {
    /// The uncompressed point.
    pub(super) const fn point(&self) -> &[u8] {
        match self {
            Self::P256(point) => point,
            Self::P384(point) => point,
        }
    }
}

/// Whether a text is a media type as `cty` and `Content-Type` carry it: `type/subtype`, then parameters of visible ASCII.
pub fn is_media_type(text: &str) -> bool {
    let (media, parameters) = text.split_once(';').unwrap_or((text, ""));
    let token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
    };
    text.len() <= MEDIA_TYPE_MAX
        && media
            .split_once('/')
            .is_some_and(|(kind, subtype)| token(kind) && token(subtype.trim_end_matches(' ')))
        && parameters
            .bytes()
            .all(|b| b == b' ' || b.is_ascii_graphic())
        && !text.ends_with(' ')
}
