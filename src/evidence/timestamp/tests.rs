//! Stamps of `openssl ts`, and what is near them.

use super::super::testing::{Authority, SIGNER, TSA};
use super::{token::generalized_time, *};

#[test]
fn a_stamp_of_openssl_is_taken_and_leads_to_its_anchor() {
    let authority = Authority::new();
    authority.issue("rsa", "Time", TSA, "rsa:2048");
    authority.issue("ec", "Time", TSA, "ec -pkeyopt ec_paramgen_curve:P-256");
    for (signer, section) in [("rsa", "one"), ("ec", "one"), ("rsa", "old")] {
        let request = Request::new([7; 32]).unwrap();
        let reply = authority.reply(&request.to_der(), signer, section);
        let stamp = request.read_reply(&reply).unwrap();
        let path = stamp.chain(&authority.anchor()).unwrap();
        assert_eq!(path.len(), 2, "{path:?}");
        assert_eq!(
            Stamp::read(stamp.token(), &[7; 32]).unwrap().time(),
            stamp.time()
        );
        let other = Authority::new();
        assert!(matches!(
            stamp.chain(&other.anchor()),
            Err(StampProblem::Chain(_))
        ));
        assert_eq!(
            Stamp::read(stamp.token(), &[8; 32]).unwrap_err(),
            StampProblem::Imprint
        );
        let again = Request::new([7; 32]).unwrap();
        assert_eq!(again.read_reply(&reply).unwrap_err(), StampProblem::Nonce);
    }
}

#[test]
fn a_flipped_bit_anywhere_in_a_stamp_is_found() {
    let authority = Authority::new();
    authority.issue("rsa", "Time", TSA, "rsa:2048");
    let request = Request::new([7; 32]).unwrap();
    let reply = authority.reply(&request.to_der(), "rsa", "one");
    let token = request.read_reply(&reply).unwrap().token().to_vec();
    let anchor = authority.anchor();
    let mut unfound = Vec::new();
    for at in 0..token.len() {
        let mut changed = token.clone();
        changed[at] ^= 1;
        if let Ok(stamp) = Stamp::read(&changed, &[7; 32])
            && stamp.chain(&anchor).is_ok()
        {
            unfound.push(at);
        }
    }
    // CMS does not sign its own version numbers, its list of digest algorithms, or by which name the signer's certificate is found (the
    // signed attribute names it by digest). None of that is relied on.
    assert!(unfound.len() < 120, "{unfound:?}");
    let stamp = Stamp::read(&token, &[7; 32]).unwrap();
    let signed = |part: &[u8]| {
        let begin = token.windows(part.len()).position(|w| w == part).unwrap();
        begin..begin + part.len()
    };
    let certificate = signed(stamp.authority().der());
    let imprint = signed(&[7; 32]);
    assert!(
        !unfound
            .iter()
            .any(|at| certificate.contains(at) || imprint.contains(at))
    );
}

#[test]
fn a_refusal_and_a_certificate_for_something_else_are_refused() {
    let authority = Authority::new();
    authority.issue("rsa", "Time", TSA, "rsa:2048");
    let request = Request::new([7; 32]).unwrap();
    // It takes SHA-512 only.
    let reply = authority.reply(&request.to_der(), "rsa", "picky");
    assert_eq!(
        request.read_reply(&reply).unwrap_err(),
        StampProblem::Status(2)
    );
    assert!(matches!(
        request.read_reply(b"<html>"),
        Err(StampProblem::Form(_))
    ));
    for extensions in [
        SIGNER,
        "extendedKeyUsage=timeStamping\n",
        "extendedKeyUsage=critical,timeStamping,codeSigning\n",
        "extendedKeyUsage=critical,codeSigning\n",
    ] {
        let certificate = authority.issue("other", "Time", extensions, "rsa:2048");
        assert!(!is_for_time_stamping(certificate.der()), "{extensions}");
    }
}

#[test]
fn times_are_read_with_and_without_fractions() {
    let at = |text: &[u8]| generalized_time(text).map(Moment::ms);
    assert_eq!(at(b"19700101000001Z"), Some(1000));
    assert_eq!(at(b"19700101000001.25Z"), Some(1250));
    for bad in [
        &b"19700101000001"[..],
        b"197001010000Z",
        b"19700101000001.Z",
        b"19700101000001+0100",
    ] {
        assert_eq!(at(bad), None);
    }
}
