// fails with E0451: nobody but the step makes an Opened
use triseal::exchange::{Content, Opened};

pub fn make(content: Content) -> Opened {
    Opened {
        caller: todo!(),
        route: todo!(),
        target: todo!(),
        grant: None,
        method: todo!(),
        headers: todo!(),
        near: todo!(),
        content,
    }
}
