// fails with E0308: a Reply is not yet sealed
use triseal::exchange::{Reply, Sealed};

pub fn skip(reply: Reply) -> Sealed {
    reply
}
