// fails with E0451: nobody but the step makes an Identified
use triseal::{exchange::{Arrived, Identified}, partners::Caller};

pub fn make(arrived: Arrived, caller: Caller) -> Identified {
    Identified { arrived, caller }
}
