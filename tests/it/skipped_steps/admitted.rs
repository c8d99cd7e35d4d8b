// fails with E0451: nobody but the step makes an Admitted
use triseal::exchange::Admitted;

pub fn make() -> Admitted {
    Admitted {
        held: todo!(),
    }
}
