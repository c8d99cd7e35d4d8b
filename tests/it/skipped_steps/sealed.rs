// fails with E0451: nobody but the step makes a Sealed
use triseal::exchange::Sealed;

pub fn make() -> Sealed {
    Sealed { response: todo!(), bytes_out: 0, noted: todo!() }
}
