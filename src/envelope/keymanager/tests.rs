use super::*;
use crate::envelope::{
    mosip_ida::Recipient,
    testing::{GATEWAY, PARTNER, Party},
};
use crate::trust::Fingerprint;

const LAYOUTS: [Layout; 4] = [
    Layout::R2,
    Layout::R2NoKeyId,
    Layout::Legacy,
    Layout::LegacyNoKeyId,
];
const PLAIN: &[u8] = b"{\"credentialSubject\":{}}";

fn key(of: &Party) -> RecipientKey<'_> {
    RecipientKey {
        fingerprint: Fingerprint::of(&of.der),
        key: &of.decryption,
    }
}

fn sealed(layout: Layout, binding: Binding<'_>) -> Vec<u8> {
    let wrapping = crate::keys::WrappingKey::new(&PARTNER.public).unwrap();
    let recipient = Recipient {
        fingerprint: Fingerprint::of(&PARTNER.der),
        wrapping: &wrapping,
    };
    seal(PLAIN, &recipient, layout, binding).unwrap()
}

fn opened(sealed: &[u8], layouts: &[Layout], thumbprint: Thumbprint) -> Result<Vec<u8>, OpenError> {
    let contract = Contract {
        layouts,
        thumbprint,
    };
    open(sealed, &[key(&PARTNER)], contract, Binding::default()).map(|text| text.to_vec())
}

#[test]
fn each_layout_opens_under_its_own_contract_and_under_no_other() {
    for layout in LAYOUTS {
        let bytes = sealed(layout, Binding::default());
        for contract in LAYOUTS {
            let read = opened(&bytes, &[contract], Thumbprint::Ours);
            if layout == contract {
                assert_eq!(read.unwrap(), PLAIN);
            } else {
                assert_eq!(read, Err(OpenError::Layout), "{layout:?} as {contract:?}");
            }
        }
        assert_eq!(opened(&bytes, &LAYOUTS, Thumbprint::Ours).unwrap(), PLAIN);
    }
}

#[test]
fn the_layout_of_r2_is_the_contracted_one() {
    let bytes = sealed(Layout::R2, Binding::default());
    assert_eq!(bytes.len(), 6 + 32 + 256 + 14 + 32 + PLAIN.len() + 16);
    assert_eq!(&bytes[..6], b"VER_R2");
    assert_eq!(&bytes[6..38], Fingerprint::of(&PARTNER.der).as_bytes());
    assert_eq!(&bytes[294..308], b"#KEY_SPLITTER#");
    assert_ne!(bytes[308..], sealed(Layout::R2, Binding::default())[308..]);
}

#[test]
fn salt_and_additional_data_have_to_be_repeated() {
    let salt = [9; 12];
    for (mine, other) in [
        (
            Binding {
                salt: Some(&salt),
                additional: b"aad",
            },
            Binding {
                salt: Some(&salt),
                additional: b"aae",
            },
        ),
        (
            Binding {
                salt: None,
                additional: b"aad",
            },
            Binding::default(),
        ),
        (
            Binding {
                salt: Some(&salt),
                additional: b"",
            },
            Binding {
                salt: Some(&[8; 12]),
                additional: b"",
            },
        ),
    ] {
        let bytes = sealed(Layout::Legacy, mine);
        let contract = Contract {
            layouts: &LAYOUTS,
            thumbprint: Thumbprint::Ours,
        };
        let keys = [key(&PARTNER)];
        assert_eq!(
            open(&bytes, &keys, contract, mine).unwrap().as_slice(),
            PLAIN
        );
        assert_eq!(open(&bytes, &keys, contract, other), Err(OpenError::Failed));
        let r2 = sealed(Layout::R2, Binding::default());
        assert_eq!(open(&r2, &keys, contract, mine), Err(OpenError::Layout));
    }
    let wrapping = crate::keys::WrappingKey::new(&PARTNER.public).unwrap();
    let recipient = Recipient {
        fingerprint: Fingerprint::of(&PARTNER.der),
        wrapping: &wrapping,
    };
    let salted = Binding {
        salt: Some(&salt),
        additional: b"",
    };
    assert_eq!(
        seal(PLAIN, &recipient, Layout::R2, salted),
        Err(SealError::Binding)
    );
}

#[test]
fn another_thumbprint_is_taken_only_where_the_contract_says_so() {
    let ours = sealed(Layout::R2, Binding::default());
    let with = |thumbprint: [u8; 32]| {
        let mut bytes = ours.clone();
        bytes[6..38].copy_from_slice(&thumbprint);
        bytes
    };
    let read = |bytes: &[u8], rule| opened(bytes, &[Layout::R2], rule);
    let (zero, random) = (with([0; 32]), with([7; 32]));
    assert_eq!(read(&zero, Thumbprint::Ours), Err(OpenError::NotOurs));
    assert_eq!(read(&random, Thumbprint::Ours), Err(OpenError::NotOurs));
    assert_eq!(
        read(&random, Thumbprint::OursOrZero),
        Err(OpenError::NotOurs)
    );
    assert_eq!(read(&zero, Thumbprint::OursOrZero).unwrap(), PLAIN);
    assert_eq!(read(&random, Thumbprint::Any).unwrap(), PLAIN);
    let mut near = *Fingerprint::of(&PARTNER.der).as_bytes();
    near[31] ^= 1;
    assert_eq!(
        read(&with(near), Thumbprint::OursOrZero),
        Err(OpenError::NotOurs)
    );
}

#[test]
fn a_value_for_another_recipient_is_not_ours() {
    let bytes = sealed(Layout::R2, Binding::default());
    let keys = [key(&GATEWAY)];
    let read = open(&bytes, &keys, Contract::STRICT, Binding::default());
    assert_eq!(read, Err(OpenError::NotOurs));
    let both = [key(&GATEWAY), key(&PARTNER)];
    let read = open(&bytes, &both, Contract::STRICT, Binding::default());
    assert_eq!(read.unwrap().as_slice(), PLAIN);
    let read = open(&bytes, &[], Contract::STRICT, Binding::default());
    assert_eq!(read, Err(OpenError::Layout));
    // A stranger's key and a thumbprint that says nothing: the same error as a broken tag.
    let any = Contract {
        layouts: &[Layout::R2],
        thumbprint: Thumbprint::Any,
    };
    assert_eq!(
        open(&bytes, &keys, any, Binding::default()),
        Err(OpenError::Failed)
    );
}

#[test]
fn every_failure_behind_the_visible_form_is_one_error() {
    for layout in LAYOUTS {
        let bytes = sealed(layout, Binding::default());
        let content = bytes.windows(14).position(|w| w == SPLITTER).unwrap() + 14;
        let wrapped = content - 14 - 256;
        for at in (wrapped..content - 14)
            .step_by(61)
            .chain(content..bytes.len())
        {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert_eq!(
                opened(&altered, &[layout], Thumbprint::Ours),
                Err(OpenError::Failed),
                "{layout:?} byte {at}"
            );
        }
    }
}

#[test]
fn what_is_too_short_or_has_its_splitter_elsewhere_is_in_no_layout() {
    for layout in LAYOUTS {
        let bytes = sealed(layout, Binding::default());
        let content = bytes.windows(14).position(|w| w == SPLITTER).unwrap() + 14;
        for cut in 0..content + 32 {
            let read = opened(&bytes[..cut], &LAYOUTS, Thumbprint::Ours);
            assert!(
                matches!(read, Err(OpenError::Layout)),
                "{layout:?} {cut} {read:?}"
            );
        }
        let mut moved = bytes.clone();
        moved.insert(content - 14, 0);
        assert_eq!(
            opened(&moved, &[layout], Thumbprint::Ours),
            Err(OpenError::Layout)
        );
        let mut broken = bytes.clone();
        broken[content - 1] = b'!';
        assert_eq!(
            opened(&broken, &[layout], Thumbprint::Ours),
            Err(OpenError::Layout)
        );
    }
}
