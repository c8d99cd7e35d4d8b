// fails with E0599: a Sealed has no way to the wire
use triseal::exchange::Sealed;

pub fn skip(sealed: Sealed) {
    drop(sealed.into_response());
}
