// fails with E0451: plain content comes from decryption alone
use triseal::envelope::mosip_ida::Opened;

pub fn make() -> Opened {
    Opened { plain: todo!(), timestamp: todo!(), factors: Vec::new() }
}
