// fails with E0451: a Handling comes from a Permitted
use triseal::exchange::{Handling, Opened};

pub fn make(opened: Opened) -> Handling {
    Handling { opened, snapshot: todo!() }
}
