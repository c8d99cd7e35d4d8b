//! The section `[evidence]` and what routes say of it, before anything runs.

use crate::config::{Config, EvidenceBodies, Report, TimeStamping};

/// Checks the section and what routes say of it.
pub(in crate::exchange) fn check(config: &Config, report: &mut Report<'_>) {
    let general = config.evidence.as_ref();
    let mut keeps = general.is_some_and(|e| e.bodies != EvidenceBodies::None);
    for (i, route) in config.route.iter().enumerate() {
        let own = &route.evidence;
        keeps |= own.bodies.is_some_and(|b| b != EvidenceBodies::None);
        if general.is_none() && (own.level.is_some() || own.bodies.is_some()) {
            let what = "the route says what is recorded, but there is no [evidence]";
            report.within(format!("route[{i}]")).error(
                "evidence",
                what,
                "Add [evidence], or remove it here.",
            );
        }
    }
    let Some(general) = general else {
        return;
    };
    let mut here = report.within("evidence");
    if keeps && config.store.is_none() {
        let remedy = "Add [store] with a key, or keep no bodies.";
        here.error(
            "bodies",
            "kept bodies are sealed under the key of the store, and there is none",
            remedy,
        );
    }
    if general.queue_max == 0 {
        here.error(
            "queue_max",
            "no record could ever wait",
            "Leave it out for the default.",
        );
    }
    if let Some(authority) = &general.time_stamping {
        check_authority(authority, config, &mut here.within("time_stamping"));
    }
    if general.commit_timeout_ms == 0 {
        here.error(
            "commit_timeout_ms",
            "no record is on disk in no time",
            "Leave it out for the default.",
        );
    }
}

fn check_authority(authority: &TimeStamping, config: &Config, report: &mut Report<'_>) {
    if !config.upstream.iter().any(|u| u.name == authority.upstream) {
        let what = format!("there is no upstream `{}`", authority.upstream);
        report.error("upstream", what, "Add it as [[upstream]].");
    }
    if authority.anchors.is_empty() {
        report.error(
            "anchors",
            "no stamp could ever be believed",
            "Name the anchor of the authority.",
        );
    }
    for name in &authority.anchors {
        if !config.anchor.iter().any(|a| a.name == *name) {
            report.error(
                "anchors",
                format!("there is no anchor `{name}`"),
                "Add it as [[anchor]].",
            );
        }
    }
    if !authority.path.starts_with('/') || authority.every_s == 0 {
        let what = "the path begins with `/`, and `every_s` is at least 1";
        report.error("", what, "Correct it.");
    }
}
