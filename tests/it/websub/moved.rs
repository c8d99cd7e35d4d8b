//! A subscription gets another callback: the hub is told to leave the old one, and nothing is lost on the way.

use super::*;
use crate::harness::Reloaded;

const NEW_PATH: &str = "/websub/moved";
const NEW: &str = "https://new.example/websub/moved";

/// A subscription that the hub has verified at the old callback.
fn verified(name: &str) -> Firewall {
    let firewall = Firewall::started(name, "");
    firewall.hub.nth("/hub", 0);
    let asked = firewall.ask(&question("subscribe", TOPIC, "a"));
    assert_eq!(asked.status, 200, "{}", asked.text());
    firewall
}

/// Gives it another callback while it runs; the old route stays.
fn moved(firewall: &Firewall, from: &str, to: &str) {
    let site = &firewall.site;
    site.edit("crvs/gateway.toml", |text| {
        text.replace(
            &format!("callback = \"{from}\""),
            &format!("callback = \"{to}\""),
        )
    });
    if !site.read("crvs/gateway.toml").contains("websub-moved") {
        site.append(
            "crvs/gateway.toml",
            &format!(
                "\n[[route]]\nname = \"websub-moved\"\npath = \"{NEW_PATH}\"\nhandler = \"websub\"\nfrom = {{ face = \"service\", envelope = \"insecure_plain\" }}\n"
            ),
        );
        site.replace(
            "crvs/partners/sdk.toml",
            "routes = [",
            "routes = [\"websub-moved\", ",
        );
    }
    assert_eq!(site.crvs().reload(), Reloaded::Published);
}

/// Waits until the hub was asked this for a callback.
#[track_caller]
fn asked(firewall: &Firewall, mode: &str, callback: &str) -> String {
    let callback = callback.replace(':', "%3A").replace('/', "%2F");
    until(&format!("{mode} of {callback}"), || {
        firewall
            .hub
            .seen("/hub")
            .iter()
            .map(hub::Seen::text)
            .find(|text| {
                text.starts_with(&format!("hub.mode={mode}&"))
                    && text.contains(&format!("&hub.callback={callback}"))
            })
    })
}

fn leaves(firewall: &Firewall) -> usize {
    let all = firewall.hub.seen("/hub");
    all.iter()
        .filter(|s| s.text().starts_with("hub.mode=unsubscribe"))
        .count()
}

#[test]
fn the_old_callback_is_left_and_the_new_one_subscribed() {
    let firewall = verified("websub-moved");
    let face = firewall.site.service_face();
    // Nothing moved: nothing is left.
    assert_eq!(
        ask(face, PATH, &question("unsubscribe", TOPIC, "x")).status,
        404
    );
    moved(&firewall, CALLBACK, NEW);
    let new = asked(&firewall, "subscribe", NEW);
    assert!(new.contains("hub.secret="), "{new}");
    let old = asked(&firewall, "unsubscribe", CALLBACK);
    assert!(!old.contains("hub.secret"), "{old}");

    // What was published before the new address is verified comes to the old one, and is taken; forgeries are not.
    let body = firewall.birth("event-1", "request-1", "10001");
    let sign = signature(SECRET, &body);
    assert_eq!(deliver(face, PATH, Some(&sign), &body).unwrap().status, 202);
    firewall.hub.nth("/taken", 0);
    let forged = firewall.birth("event-2", "request-2", "10002");
    deliver(face, PATH, Some(&sign), &forged).unwrap();
    let kept = firewall.standing("parked", 1);
    assert!(kept[0].contains("websub-quarantine"), "{}", kept[0]);

    // Only the question about the old one is answered with yes: not another topic, mode or path.
    for (path, foreign) in [
        (
            PATH,
            question("unsubscribe", "other/CREDENTIAL_ISSUED", "x"),
        ),
        (PATH, question("subscribe", TOPIC, "x")),
        (PATH, question("unsubscribe", TOPIC, "")),
        (NEW_PATH, question("unsubscribe", TOPIC, "x")),
    ] {
        let answer = ask(face, path, &foreign);
        assert_eq!(answer.status, 404, "{path} {foreign}: {}", answer.text());
        assert_eq!(answer.code(), "WSB-001");
    }
    let yes = ask(face, PATH, &question("unsubscribe", TOPIC, "b-1"));
    assert_eq!((yes.status, yes.text().as_str()), (200, "b-1"));
    assert_eq!(
        ask(face, NEW_PATH, &question("subscribe", TOPIC, "c")).text(),
        "c"
    );
    until("the old callback is forgotten", || {
        let answer = ask(face, PATH, &question("unsubscribe", TOPIC, "d"));
        (answer.status == 404).then_some(())
    });
    // Nobody delivers there any more.
    let late = firewall.birth("event-3", "request-3", "10003");
    let sign = signature(SECRET, &late);
    assert_ne!(deliver(face, PATH, Some(&sign), &late).unwrap().status, 202);
    until("health finds nothing of it", || {
        (!firewall.findings().contains("subscription credentials")).then_some(())
    });
    assert_eq!(leaves(&firewall), 1);
}

#[test]
fn a_callback_with_another_host_alone_is_another_subscription_at_the_hub() {
    let firewall = verified("websub-moved-host");
    let face = firewall.site.service_face();
    let elsewhere = "https://elsewhere.example/websub/callback";
    moved(&firewall, CALLBACK, elsewhere);
    asked(&firewall, "subscribe", elsewhere);
    asked(&firewall, "unsubscribe", CALLBACK);
    // The hub says that it has no such subscription, as MOSIP's does before it asks all the same. It is no denial of the new one.
    let notice = "hub.mode=denied&hub.topic=crvs%2FCREDENTIAL_ISSUED&hub.reason=Subscriber+has+not+been+registered+with+the+Hub";
    assert_eq!(ask(face, PATH, notice).status, 200);
    assert_eq!(
        ask(face, PATH, &question("subscribe", TOPIC, "n")).text(),
        "n"
    );
    assert_eq!(
        ask(face, PATH, &question("unsubscribe", TOPIC, "o")).text(),
        "o"
    );
    until("health finds nothing", || {
        (!firewall.findings().contains("subscription credentials")).then_some(())
    });
    // Should the hub have meant the new one, it is asked for again at once.
    until("it is subscribed to anew", || {
        let all = firewall.hub.seen("/hub");
        let last = all.last()?.text();
        (last.starts_with("hub.mode=subscribe") && last.contains("elsewhere.example")).then_some(())
    });
}

#[test]
fn a_hub_that_is_down_is_asked_again_and_a_restart_forgets_nothing() {
    let mut firewall = verified("websub-moved-down");
    let down = || (503, "no healthy upstream".to_owned());
    firewall
        .hub
        .answers
        .lock()
        .unwrap()
        .extend([down(), down(), down()]);
    moved(&firewall, CALLBACK, NEW);
    firewall.site.crvs().process().signal("KILL");
    firewall.site.start_crvs();
    asked(&firewall, "subscribe", NEW);
    until("it is asked until it answers", || {
        let tried = firewall.hub.answers.lock().unwrap().is_empty();
        (tried && leaves(&firewall) >= 1).then_some(())
    });
    let face = firewall.site.service_face();
    until("the question is answered", || {
        let yes = ask(face, PATH, &question("unsubscribe", TOPIC, "yes"));
        (yes.text() == "yes").then_some(())
    });
}

#[test]
fn back_at_the_old_callback_it_is_not_left() {
    let firewall = verified("websub-moved-back");
    let face = firewall.site.service_face();
    moved(&firewall, CALLBACK, NEW);
    asked(&firewall, "unsubscribe", CALLBACK);
    assert_eq!(
        ask(face, NEW_PATH, &question("subscribe", TOPIC, "n")).text(),
        "n"
    );
    moved(&firewall, NEW, CALLBACK);
    asked(&firewall, "unsubscribe", NEW);
    // The address is ours again.
    let answer = ask(face, PATH, &question("unsubscribe", TOPIC, "x"));
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert_eq!(
        ask(face, NEW_PATH, &question("unsubscribe", TOPIC, "y")).text(),
        "y"
    );
    until("it is asked for at the old callback again", || {
        let answer = ask(face, PATH, &question("subscribe", TOPIC, "z"));
        (answer.text() == "z").then_some(())
    });
}

#[test]
fn a_subscription_with_an_upstream_of_its_own_is_asked_for_renewed_and_left_there_alone() {
    let mut firewall = Firewall::new("websub-own-upstream", "renew_s = 2");
    let (own, site) = (Hub::start(), &firewall.site);
    site.append(
        "crvs/gateway.toml",
        &format!(
            r#"
[[upstream]]
name = "hub-as-crvs"
addresses = ["http://127.0.0.1:{}"]

[[websub.subscription]]
name = "general"
topic = "GENERAL"
callback = "https://crvs.example/websub/general"
secret = {{ file = "secrets/hub" }}
hand_on = {{ service = {{ upstream = "hub", envelope = "insecure_plain", path = "/taken" }} }}

[[route]]
name = "websub-general"
path = "/websub/general"
handler = "websub"
from = {{ face = "service", envelope = "insecure_plain" }}
"#,
            own.port
        ),
    );
    let callback = format!("callback = \"{CALLBACK}\"");
    site.replace(
        "crvs/gateway.toml",
        &callback,
        &format!("upstream = \"hub-as-crvs\"\n{callback}"),
    );
    site.replace(
        "crvs/partners/sdk.toml",
        "routes = [",
        "routes = [\"websub-general\", ",
    );
    firewall.site.start_crvs();
    let partner = |seen: &hub::Seen| seen.text().contains("CREDENTIAL_ISSUED");
    assert!(partner(&own.nth("/hub", 0)));
    assert!(!partner(&firewall.hub.nth("/hub", 0)));
    assert_eq!(firewall.ask(&question("subscribe", TOPIC, "a")).text(), "a");
    // Renewed there.
    own.nth("/hub", 1);
    moved(&firewall, CALLBACK, NEW);
    let left = until("the old callback is left there", || {
        let all = own.seen("/hub");
        all.into_iter()
            .find(|seen| seen.text().starts_with("hub.mode=unsubscribe"))
    });
    assert!(partner(&left));
    let first = firewall.hub.seen("/hub");
    assert!(!first.is_empty() && !first.iter().any(partner));
    assert!(own.seen("/hub").iter().all(partner));
}
