// fails with E0451: an IDA message is one whose signature held
use triseal::{envelope::mosip_ida::Request, exchange::IdaMessage};

pub fn make(request: Request) -> IdaMessage {
    IdaMessage { request, opened: None, signature: todo!() }
}
