// fails with E0451: a Reply comes from a Handling
use triseal::{exchange::Reply, partners::Caller};

pub fn make(caller: Caller) -> Reply {
    Reply { caller, status: todo!(), headers: todo!(), body: todo!(), code: None }
}
