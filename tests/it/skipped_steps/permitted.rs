// fails with E0451: nobody but the step makes a Permitted
use triseal::exchange::{Opened, Permitted};

pub fn make(opened: Opened) -> Permitted {
    Permitted { opened }
}
