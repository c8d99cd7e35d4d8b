//! PKCS#12 key stores: the entry that is meant, with its chain in order.
//!
//! The order of certificates in a store means nothing here: the leaf is the certificate that holds the key's public half, and
//! the chain is followed from it by names. (Tools that take the first one for the leaf are a known fault elsewhere.)

use p12_keystore::{Pkcs12Archive, PrivateKeyBag};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{PublicKey, private::PrivateKey};

/// The longest chain that is followed.
const CHAIN_MAX: usize = 8;

/// Why no entry was taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StoreProblem {
    /// Wrong password, or not a key store.
    Unreadable,
    /// It has no private key.
    NoKey,
    /// No entry has the wished name; these there are.
    NoSuchAlias(Vec<String>),
    /// Several entries, and no wish.
    Several(Vec<String>),
    /// The private key is of no known kind.
    Key,
    /// No certificate in it belongs to the key.
    NoCertificate,
    /// Several certificates belong to the key.
    SeveralCertificates(Vec<String>),
}

/// The private key and the chain (DER, leaf first) of the wished entry.
pub(super) fn open(
    store: &[u8],
    password: &str,
    alias: Option<&str>,
) -> Result<(PrivateKey, Vec<Vec<u8>>), StoreProblem> {
    let archive =
        Pkcs12Archive::from_pkcs12(store, password).map_err(|_| StoreProblem::Unreadable)?;
    let bag = choose(&archive.keys, alias)?;
    let key = PrivateKey::from_pkcs8(bag.key.as_der()).map_err(|_| StoreProblem::Key)?;

    let all: Vec<(X509Certificate<'_>, Option<&str>, &[u8])> = archive
        .certs
        .iter()
        .filter_map(|c| {
            let (_, read) = X509Certificate::from_der(c.cert.as_der()).ok()?;
            Some((read, c.friendly_name.as_deref(), c.cert.as_der()))
        })
        .collect();
    let mut own: Vec<_> = all
        .iter()
        .filter(|(c, ..)| {
            PublicKey::from_spki(c.public_key().raw).is_ok_and(|p| key.belongs_to(&p))
        })
        .collect();
    own.sort_by_key(|(.., der)| *der);
    own.dedup_by_key(|(.., der)| *der);
    if own.len() > 1 {
        // A store may keep the self-signed certificate of the request beside the one that was issued on it.
        own.retain(|(c, ..)| c.subject().as_raw() != c.issuer().as_raw());
    }
    if own.len() > 1
        && let Some(alias) = alias
    {
        own.retain(|(_, name, _)| name.is_some_and(|n| n.eq_ignore_ascii_case(alias)));
    }
    let (leaf, _, leaf_der) = match own.as_slice() {
        [one] => one,
        [] => return Err(StoreProblem::NoCertificate),
        several => {
            return Err(StoreProblem::SeveralCertificates(
                several
                    .iter()
                    .map(|(c, ..)| format!("{} by {}", c.subject(), c.issuer()))
                    .collect(),
            ));
        }
    };

    let mut chain = vec![leaf_der.to_vec()];
    let mut last = leaf;
    while chain.len() < CHAIN_MAX && last.subject().as_raw() != last.issuer().as_raw() {
        let issuer = all.iter().find(|(c, _, der)| {
            c.subject().as_raw() == last.issuer().as_raw() && !chain.iter().any(|d| d == der)
        });
        let Some((issuer, _, der)) = issuer else {
            break;
        };
        chain.push(der.to_vec());
        last = issuer;
    }
    Ok((key, chain))
}

/// The wished private key; the only one, where nothing is wished.
fn choose<'b>(
    bags: &'b [PrivateKeyBag],
    alias: Option<&str>,
) -> Result<&'b PrivateKeyBag, StoreProblem> {
    let names = || {
        bags.iter()
            .map(|b| {
                b.friendly_name
                    .clone()
                    .unwrap_or_else(|| "(without a name)".to_owned())
            })
            .collect()
    };
    if bags.is_empty() {
        return Err(StoreProblem::NoKey);
    }
    let named: Vec<&PrivateKeyBag> = match alias {
        // Java writes aliases in lower case.
        Some(alias) => bags
            .iter()
            .filter(|b| {
                b.friendly_name
                    .as_deref()
                    .is_some_and(|n| n.eq_ignore_ascii_case(alias))
            })
            .collect(),
        None => bags.iter().collect(),
    };
    match named.as_slice() {
        [one] => Ok(one),
        [] => Err(StoreProblem::NoSuchAlias(names())),
        _ => Err(StoreProblem::Several(names())),
    }
}
