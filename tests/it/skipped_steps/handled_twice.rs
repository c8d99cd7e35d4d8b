// fails with E0382: what is permitted is handled once
use triseal::exchange::{Handler, Permitted, Trail};

pub async fn twice(handler: &dyn Handler, permitted: Permitted, trail: &mut Trail) {
    let _ = handler.handle(permitted, trail).await;
    let _ = handler.handle(permitted, trail).await;
}
