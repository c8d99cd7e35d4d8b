//! Reading a body: JWE compact to one certificate.

use std::{fmt, sync::LazyLock};

use bytes::Bytes;
use josekit::jwe::JweContext;
use zeroize::Zeroizing;

use super::{
    BodyProblem, compact,
    content::{Aes256Gcm, IV, TAG},
    header::{BodyHeader, Management},
    management::Decrypter,
};
use crate::{
    keys::{ContentUnwrapKey, WRAPPED_LEN},
    trust::Fingerprint,
};

/// josekit with nothing in it but our one content encryption: no inflating, no other cipher.
static CONTEXT: LazyLock<JweContext> = LazyLock::new(|| {
    let mut context = JweContext::new();
    context.remove_compression("DEF");
    for name in [
        "A128CBC-HS256",
        "A192CBC-HS384",
        "A256CBC-HS512",
        "A128GCM",
        "A192GCM",
    ] {
        context.remove_content_encryption(name);
    }
    context.add_content_encryption(Box::new(Aes256Gcm));
    context
});

/// A content key wrapped to RSA-8192, encoded.
const WRAPPED_MAX: usize = 1366;

/// A body of the exact form. Nothing is decrypted yet.
#[derive(Clone, Debug)]
pub struct SealedBody {
    text: Bytes,
    header: BodyHeader,
}

/// What was in a body.
pub struct Plain {
    /// The content. Wiped when the last reference is dropped.
    pub content: Bytes,
    /// Its media type.
    pub media_type: String,
}

impl SealedBody {
    /// Reads a body of at least one octet; an empty body is not sealed.
    ///
    /// # Errors
    /// [`BodyProblem::Form`] when it is not exactly five parts of canonical unpadded base64url with a protected header of
    /// `alg`, `enc`, `kid`, `cty` (and `epk`), a 12-byte IV, a 16-byte tag and at least one octet of content.
    pub fn parse(text: Bytes) -> Result<Self, BodyProblem> {
        let [header, wrapped, ..] = parts(&text)?;
        let header = BodyHeader::read(header)?;
        if let Management::EcdhEsA256Kw(_) = header.management
            && wrapped.len() != WRAPPED_LEN.saturating_mul(4).div_ceil(3)
        {
            return Err(BodyProblem::Form("the encrypted key has not 40 octets"));
        }
        Ok(Self { text, header })
    }

    /// The certificate it is sealed to. Only selects among our own keys.
    pub const fn recipient(&self) -> Fingerprint {
        self.header.recipient
    }

    /// Opens it with the key of the certificate that [`SealedBody::recipient`] names.
    ///
    /// # Errors
    /// [`BodyProblem::Form`] when `alg` is not for that key; [`BodyProblem::Undecryptable`], whatever the cause.
    pub fn open(&self, key: &ContentUnwrapKey) -> Result<Plain, BodyProblem> {
        Ok(Plain {
            content: unseal(&self.text, &self.header.management, key)?,
            media_type: self.header.media_type.clone(),
        })
    }
}

/// The five parts, each checked for what needs no key.
pub(super) fn parts(text: &[u8]) -> Result<[&str; 5], BodyProblem> {
    let text = std::str::from_utf8(text)
        .ok()
        .filter(|t| t.is_ascii())
        .ok_or(BodyProblem::Form("it is not ASCII"))?;
    let parts = compact::split::<5>(text).ok_or(BodyProblem::Form("it has not five parts"))?;
    let [_, wrapped, iv, content, tag] = parts;
    if wrapped.is_empty() || wrapped.len() > WRAPPED_MAX || !compact::is_canonical(wrapped) {
        return Err(BodyProblem::Form(
            "the encrypted key is not canonical unpadded base64url",
        ));
    }
    if compact::exactly::<IV>(iv).is_none() {
        return Err(BodyProblem::Form(
            "the initialisation vector is not 12 octets in canonical unpadded base64url",
        ));
    }
    if compact::exactly::<TAG>(tag).is_none() {
        return Err(BodyProblem::Form(
            "the tag is not 16 octets in canonical unpadded base64url",
        ));
    }
    if content.is_empty() || !compact::is_canonical(content) {
        return Err(BodyProblem::Form(
            "the content is empty or not canonical unpadded base64url",
        ));
    }
    Ok(parts)
}

/// Unwraps and decrypts a text that has passed every check of form.
pub(super) fn unseal(
    text: &[u8],
    management: &Management,
    key: &ContentUnwrapKey,
) -> Result<Bytes, BodyProblem> {
    let ephemeral = match (management, key) {
        (Management::RsaOaep256, ContentUnwrapKey::Rsa(_)) => None,
        (Management::EcdhEsA256Kw(ephemeral), ContentUnwrapKey::Curve(_)) => {
            Some(ephemeral.clone())
        }
        _ => {
            return Err(BodyProblem::Form(
                "`alg` does not go with the key of the certificate in `kid`",
            ));
        }
    };
    let decrypter = Decrypter::new(key.clone(), ephemeral);
    let (content, _) = CONTEXT
        .deserialize_compact(text, &decrypter)
        .map_err(|_| BodyProblem::Undecryptable)?;
    Ok(Bytes::from_owner(Zeroizing::new(content)))
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain")
            .field("media_type", &self.media_type)
            .finish_non_exhaustive()
    }
}
