// fails with E0451: a Reply comes from a Handling
use triseal::exchange::Reply;

pub fn make() -> Reply {
    Reply { held: todo!(), body: todo!(), code: None }
}
