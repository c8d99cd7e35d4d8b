//! A site whose gateways speak the envelope `jose`: a relay route on the partner face of the MISP's gateway, and one from the
//! service face of the partner's gateway through it.

use crate::harness::Site;

/// A site before an upstream at that port; nothing is started.
pub fn before(name: &str, upstream: u16) -> Site {
    let site = Site::new(name);
    site.append(
        "misp/gateway.toml",
        &format!(
            "[[upstream]]\nname = \"echo\"\naddresses = [\"http://127.0.0.1:{upstream}\"]\n\n\
             [[route]]\nname = \"echo\"\npath = \"/echo/{{rest}}\"\n\
             methods = [\"GET\", \"HEAD\", \"POST\", \"PUT\"]\nhandler = \"relay\"\n\
             from = {{ face = \"partner\", envelope = \"jose\" }}\n\
             to = {{ upstream = \"echo\", envelope = \"insecure_plain\" }}"
        ),
    );
    site.append(
        "crvs/gateway.toml",
        "[[route]]\nname = \"echo\"\npath = \"/echo/{rest}\"\n\
         methods = [\"GET\", \"HEAD\", \"POST\", \"PUT\"]\nhandler = \"relay\"\n\
         from = { face = \"service\", envelope = \"insecure_plain\" }\n\
         to = { upstream = \"misp\", envelope = \"jose\" }",
    );
    for file in [
        "misp/partners/crvs.toml",
        "misp/partners/seeder.toml",
        "crvs/partners/sdk.toml",
    ] {
        site.replace(file, "routes = [", "routes = [\"echo\", ");
    }
    site
}
