// fails with E0451: nobody but the step makes an Arrived
use triseal::exchange::Arrived;

pub fn make() -> Arrived {
    Arrived { request: todo!(), parts: todo!() }
}
