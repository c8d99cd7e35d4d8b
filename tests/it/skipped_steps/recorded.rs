// fails with E0451: nobody but the step makes a Recorded
use triseal::exchange::Recorded;

pub fn make() -> Recorded {
    Recorded { response: todo!() }
}
