// fails with E0308: who is known is not yet admitted
use triseal::exchange::{Admitted, Identified};

pub fn skip(identified: Identified) -> Admitted {
    identified
}
