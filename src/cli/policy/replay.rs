//! `triseal policy replay`: rules asked about exchanges that were recorded, before they count.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use clap::Args;

use super::{all_named, moment, records, snapshot};
use crate::{
    cli::output::say,
    clock::{Clock, Moment},
    config::Mistakes,
    exchange::rfc3339,
    policy::{
        Facts,
        rules::{Asked, Hook, Rules},
    },
};

/// Ask rules about recorded exchanges, and list who would be refused that was not, and the other way round.
///
/// Without --proposed, the rules of the configuration are asked. What was refused for another reason than the rules stays
/// refused. Exit code 0: nothing changes; 1: something does; 2: it could not be found out.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// From when on: a time (RFC 3339), or how long ago, such as 90m, 24h or 7d.
    #[arg(long, value_name = "TIME")]
    since: String,
    /// A folder of rules in place of the configuration's.
    #[arg(long, value_name = "FOLDER")]
    proposed: Option<PathBuf>,
    /// The gateway's configuration: its routes, partners and upstreams.
    #[arg(long, short, value_name = "FILE", env = "TRISEAL_CONFIG")]
    config: PathBuf,
    /// The evidence's folder. Default: that of the configuration.
    #[arg(long, value_name = "FOLDER")]
    evidence: Option<PathBuf>,
}

/// What is the same about several changes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    /// First those who would be refused.
    allows: bool,
    partner: String,
    method: String,
    route: String,
    by: String,
}

/// How often, and the first of them.
#[derive(Debug)]
struct Times {
    count: u64,
    first: (i64, String),
}

#[derive(Debug, Default)]
struct Counts {
    asked: u64,
    otherwise: u64,
    without_facts: u64,
    unknown: BTreeMap<String, u64>,
    changes: BTreeMap<Change, Times>,
}

/// Runs it.
pub(super) fn run(args: &Replay, clock: &Clock) -> Result<ExitCode, String> {
    let since = since(&args.since, clock.now())?;
    let snapshot = snapshot(&args.config, clock)?;
    let proposed = args.proposed.as_ref().map(|folder| {
        let mut mistakes = Mistakes::default();
        let world = snapshot.world(clock.now());
        let rules = Rules::read(folder, &world, &mut mistakes);
        eprint!("{mistakes}");
        rules.ok_or_else(|| format!("{}: these rules cannot be used", folder.display()))
    });
    let proposed = proposed.transpose()?;
    let rules = proposed
        .as_ref()
        .or_else(|| snapshot.rules())
        .ok_or("the configuration has no [rules]. Say which rules to ask: --proposed FOLDER.")?;
    let folder = args.evidence.clone();
    let folder = folder.unwrap_or_else(|| snapshot.evidence_folder());
    let mut counts = Counts::default();
    let unread = records::every(&folder.join("records"), |record| {
        one(rules, since, record, &mut counts);
    })?;
    for place in &unread {
        eprintln!("{place}");
    }
    report(&counts, since, rules);
    if !unread.is_empty() {
        return Err("some records could not be read: the list above is not whole".to_owned());
    }
    Ok(match counts.changes.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(super::NO),
    })
}

fn one(rules: &Rules, since: Moment, record: records::Record, counts: &mut Counts) {
    if record.errand.is_some() {
        return;
    }
    let (Some(facts), Some(route), Some(method), Some(caller)) =
        (record.facts, record.route, record.method, record.caller)
    else {
        counts.without_facts = counts.without_facts.saturating_add(1);
        return;
    };
    if facts.time < since.s() {
        return;
    }
    let was_allowed = match (record.verdict.as_deref(), record.code.as_deref()) {
        (Some("refused"), Some(code)) if of_the_rules(code) => false,
        // Answered, or failed after the rules had let it pass.
        (Some("refused"), _) => {
            counts.otherwise = counts.otherwise.saturating_add(1);
            return;
        }
        _ => true,
    };
    counts.asked = counts.asked.saturating_add(1);
    let asked = Asked {
        partner: &caller.id,
        route: &route,
        method: &method,
    };
    match said(rules, asked, &facts) {
        Err(_) => {
            let name = format!("{}, {method} {route}", caller.id);
            let times = counts.unknown.entry(name).or_default();
            *times = times.saturating_add(1);
        }
        Ok((allowed, _)) if allowed == was_allowed => {}
        Ok((allowed, by)) => {
            let change = Change {
                allows: allowed,
                partner: caller.id,
                method,
                route,
                by,
            };
            let first = (facts.time, record.correlation_id);
            let times = counts
                .changes
                .entry(change)
                .or_insert(Times { count: 0, first });
            times.count = times.count.saturating_add(1);
        }
    }
}

/// Whether the rules allow it, and by which policies.
fn said(rules: &Rules, asked: Asked<'_>, facts: &Facts) -> Result<(bool, String), ()> {
    // What ended at admission showed no content: no more can be said than what admission says.
    let hook = if facts.content {
        Hook::Permit
    } else {
        Hook::Admit
    };
    let decision = rules.decide(hook, asked, facts).map_err(|_| ())?;
    let by = match (decision.allowed, hook) {
        (true, Hook::Permit) => format!("permitted by {}", all_named(rules, &decision.permits)),
        (true, Hook::Admit) => format!(
            "admitted by {}; the content was not recorded and may still be refused",
            all_named(rules, &decision.permits)
        ),
        (false, _) if !decision.failed.is_empty() => {
            format!(
                "cannot be evaluated: {}",
                all_named(rules, &decision.failed)
            )
        }
        (false, _) if decision.forbids.is_empty() => "nothing permits it".to_owned(),
        (false, _) => format!("forbidden by {}", all_named(rules, &decision.forbids)),
    };
    Ok((decision.allowed, by))
}

fn report(counts: &Counts, since: Moment, rules: &Rules) {
    let changed: u64 = counts.changes.values().map(|times| times.count).sum();
    let unknown: u64 = counts.unknown.values().sum();
    say(format_args!("rules {}", rules.digest()));
    say(format_args!(
        "{} exchanges since {}: {} stay as they were, {changed} change",
        counts.asked,
        rfc3339(since),
        counts.asked.saturating_sub(changed).saturating_sub(unknown),
    ));
    for (change, times) in &counts.changes {
        let word = match change.allows {
            false => "allow -> deny",
            true => "deny -> allow",
        };
        let (at, id) = &times.first;
        say(format_args!(
            "{word}: {}, {} {}: {} times, first {} ({id}): {}",
            change.partner,
            change.method,
            change.route,
            times.count,
            rfc3339(Moment::from_s(*at)),
            change.by,
        ));
    }
    for (name, times) in &counts.unknown {
        say(format_args!(
            "not asked: {name}: {times} times: the configuration does not know it any more"
        ));
    }
    if counts.otherwise > 0 {
        say(format_args!(
            "{} were refused for other reasons, and stay refused",
            counts.otherwise
        ));
    }
    if counts.without_facts > 0 {
        say(format_args!(
            "{} hold no facts: they ended before the rules, or were recorded without",
            counts.without_facts
        ));
    }
}

/// Codes with which the rules refuse.
fn of_the_rules(code: &str) -> bool {
    matches!(
        code,
        "POL-006" | "POL-007" | "POL-008" | "POL-009" | "POL-010"
    )
}

/// A time, or how long ago.
fn since(text: &str, now: Moment) -> Result<Moment, String> {
    let ago = text.char_indices().last().and_then(|(at, unit)| {
        let number: i64 = text.get(..at)?.parse().ok().filter(|n| *n >= 0)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        number.checked_mul(seconds)
    });
    match ago {
        Some(seconds) => Ok(Moment::from_s(now.s().saturating_sub(seconds))),
        None => {
            moment(text).map_err(|why| format!("--since: {why}, nor how long ago, such as 24h"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_takes_a_time_and_how_long_ago() {
        let now = Moment::from_s(1_000_000);
        assert_eq!(since("90s", now), Ok(Moment::from_s(999_910)));
        assert_eq!(since("1d", now), Ok(Moment::from_s(913_600)));
        assert_eq!(since("1970-01-01T00:00:07Z", now), Ok(Moment::from_s(7)));
        for bad in ["", "h", "-1h", "1w", "99999999999999999999d", "yesterday"] {
            assert!(since(bad, now).is_err(), "{bad}");
        }
    }
}
