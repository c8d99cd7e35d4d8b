// fails with E0451: nobody but the step makes an Admitted
use triseal::exchange::{Admitted, Identified};

pub fn make(identified: Identified) -> Admitted {
    Admitted {
        caller: todo!(),
        route: todo!(),
        target: todo!(),
        grant: None,
        method: todo!(),
        headers: todo!(),
        near: todo!(),
        uri: None,
    }
}
