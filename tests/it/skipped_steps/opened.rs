// fails with E0451: nobody but the step makes an Opened
use triseal::exchange::{Content, Opened};

pub fn make(content: Content) -> Opened {
    Opened {
        held: todo!(),
        content,
    }
}
