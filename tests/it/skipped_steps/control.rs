// compiles: a handler is given a Permitted, and answers or refuses
use std::{future::Future, pin::Pin};

use triseal::{
    exchange::{Content, Handler, Permitted, Recorded, RefusalAnswer, Reply, Trail, plain_refusal},
    refusal::{Code, Refusal},
};

#[derive(Debug)]
pub struct Mine;

impl Handler for Mine {
    fn handle<'a>(
        &'a self,
        permitted: Permitted,
        trail: &'a mut Trail,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send + 'a>> {
        Box::pin(async move {
            let (content, handling) = permitted.begin(trail);
            match content {
                Content::Plain(..) if !handling.route().name().is_empty() => Err(Code::Fault.into()),
                _ => Err(Code::RouteForbidden.into()),
            }
        })
    }

    fn refusal(&self, refusal: &Refusal, trail: &Trail) -> RefusalAnswer {
        plain_refusal(refusal, trail)
    }
}

pub fn write(recorded: Recorded) {
    drop(recorded.into_response());
}
