//! Which packets a route lets through, and which of these a partner may make.
//!
//! A packet overwrites one of the same id, and its process decides what becomes of a person's record: neither is left to the
//! caller's word.

use http::Method;

use super::path::{PathPattern, Segment};
use crate::{
    config::{self, HandlerKind, PacketRules, Report},
    refusal::{Code, Refusal},
};

/// What a `packet` route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketOperation {
    /// `createPacket`: makes a packet, or overwrites one.
    Create,
    /// `workflowinstance`: starts what becomes of it.
    StartWorkflow,
}

impl PacketOperation {
    const ALL: [Self; 2] = [Self::Create, Self::StartWorkflow];

    /// The words with which its path ends.
    const fn words(self) -> [&'static str; 2] {
        match self {
            Self::Create => ["packetmanager", "createPacket"],
            Self::StartWorkflow => ["workflowmanager", "workflowinstance"],
        }
    }

    /// Its one method.
    pub const fn method(self) -> Method {
        match self {
            Self::Create => Method::PUT,
            Self::StartWorkflow => Method::POST,
        }
    }
}

/// What a request says about its packet.
#[derive(Clone, Copy)]
pub struct AskedPacket<'r> {
    /// The registration id.
    pub id: &'r str,
    /// The process.
    pub process: &'r str,
    /// The source.
    pub source: &'r str,
    /// Centre and machine, where the operation names them.
    pub ref_id: Option<&'r str>,
}

/// What a `packet` route does and allows.
#[derive(Clone, Debug)]
pub struct PacketPolicy {
    operation: PacketOperation,
    rules: PacketRules,
}

impl PacketPolicy {
    /// Checks a route's part; `path` is the one towards the upstream. `None` for other handlers.
    pub(super) fn build(
        raw: &config::Route,
        path: &PathPattern,
        report: &mut Report<'_>,
    ) -> Option<Self> {
        if raw.handler != HandlerKind::Packet {
            if raw.packet.is_some() {
                let remedy = "Remove it, or set handler = \"packet\".";
                report.error("packet", "the route makes no packets", remedy);
            }
            return None;
        }
        let operation = operation(path);
        if operation.is_none() {
            let remedy =
                "End it with /packetmanager/createPacket or /workflowmanager/workflowinstance.";
            report.error("path", "the path names no packet operation", remedy);
        }
        let rules = raw.packet.clone().unwrap_or_default();
        for (name, list, example) in [
            ("processes", &rules.processes, "CRVS_NEW"),
            ("sources", &rules.sources, "OPENCRVS"),
        ] {
            if list.is_empty() {
                report.error(
                    &format!("packet.{name}"),
                    "nothing is allowed where nothing is listed",
                    format!("List them: packet = {{ {name} = [\"{example}\"], … }}."),
                );
            }
        }
        Some(Self {
            operation: operation?,
            rules,
        })
    }

    /// What it does.
    pub const fn operation(&self) -> PacketOperation {
        self.operation
    }

    /// Lets a packet pass that the route and the partner allow.
    ///
    /// # Errors
    /// `PKT-001`, naming the member that is not allowed.
    pub fn permits(
        &self,
        partner: Option<&PacketRules>,
        asked: AskedPacket<'_>,
    ) -> Result<(), Refusal> {
        within(&self.rules, asked, "the route")?;
        partner.map_or(Ok(()), |rules| within(rules, asked, "the partner"))
    }
}

fn operation(path: &PathPattern) -> Option<PacketOperation> {
    let literals: Vec<&str> = (path.segments().iter())
        .filter_map(|segment| match segment {
            Segment::Literal(text) => Some(text.as_str()),
            Segment::Capture(_) => None,
        })
        .collect();
    if path.has_rest() || literals.len() != path.segments().len() {
        return None;
    }
    PacketOperation::ALL
        .into_iter()
        .find(|operation| literals.ends_with(&operation.words()))
}

fn within(rules: &PacketRules, asked: AskedPacket<'_>, whose: &str) -> Result<(), Refusal> {
    let refuse = |member: &'static str| {
        let cause = format!("`{member}` is not in the list of {whose}");
        Err(Refusal::new(Code::PacketForbidden, cause).naming(member))
    };
    let listed = |list: &[String], value: &str| list.is_empty() || list.iter().any(|v| v == value);
    if !listed(&rules.processes, asked.process) {
        return refuse("process");
    }
    if !listed(&rules.sources, asked.source) {
        return refuse("source");
    }
    let begins = |prefix: &String| asked.id.starts_with(prefix.as_str());
    if !rules.id_prefixes.is_empty() && !rules.id_prefixes.iter().any(begins) {
        return refuse("id");
    }
    if (asked.ref_id).is_some_and(|ref_id| !listed(&rules.ref_ids, ref_id)) {
        return refuse("refId");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    fn policy() -> PacketPolicy {
        PacketPolicy {
            operation: PacketOperation::Create,
            rules: PacketRules {
                processes: strings(&["CRVS_NEW", "CRVS_DEATH"]),
                sources: strings(&["OPENCRVS"]),
                ..PacketRules::default()
            },
        }
    }

    const BIRTH: AskedPacket<'_> = AskedPacket {
        id: "BRN0001",
        process: "CRVS_NEW",
        source: "OPENCRVS",
        ref_id: Some("10001_10002"),
    };

    #[test]
    fn only_listed_processes_and_sources_pass() {
        assert!(policy().permits(None, BIRTH).is_ok());
        for (asked, member) in [
            (
                AskedPacket {
                    process: "NEW",
                    ..BIRTH
                },
                "process",
            ),
            (
                AskedPacket {
                    process: "crvs_new",
                    ..BIRTH
                },
                "process",
            ),
            (
                AskedPacket {
                    source: "OPENCRVS2",
                    ..BIRTH
                },
                "source",
            ),
        ] {
            let refusal = policy().permits(None, asked).unwrap_err();
            assert_eq!(refusal.code(), Code::PacketForbidden);
            assert_eq!(refusal.member(), Some(member));
        }
    }

    #[test]
    fn a_partner_may_do_less_than_the_route_but_not_more() {
        let partner = PacketRules {
            processes: strings(&["CRVS_NEW", "LOST"]),
            id_prefixes: strings(&["BRN"]),
            ref_ids: strings(&["10001_10002"]),
            ..PacketRules::default()
        };
        let ask = |asked| {
            let refused = policy().permits(Some(&partner), asked).err();
            refused.and_then(|r| r.member())
        };
        assert_eq!(ask(BIRTH), None);
        assert_eq!(
            ask(AskedPacket {
                process: "CRVS_DEATH",
                ..BIRTH
            }),
            Some("process")
        );
        assert_eq!(
            ask(AskedPacket {
                process: "LOST",
                ..BIRTH
            }),
            Some("process")
        );
        assert_eq!(
            ask(AskedPacket {
                id: "DRN0001",
                ..BIRTH
            }),
            Some("id")
        );
        assert_eq!(
            ask(AskedPacket {
                ref_id: Some("10001_1"),
                ..BIRTH
            }),
            Some("refId")
        );
        assert_eq!(
            ask(AskedPacket {
                ref_id: None,
                ..BIRTH
            }),
            None
        );
    }

    #[test]
    fn an_operation_is_known_by_the_end_of_its_path() {
        let of = |path: &str| operation(&PathPattern::parse(path).unwrap());
        assert_eq!(
            of("/commons/v1/packetmanager/createPacket"),
            Some(PacketOperation::Create)
        );
        assert_eq!(
            of("/registrationprocessor/v1/workflowmanager/workflowinstance"),
            Some(PacketOperation::StartWorkflow)
        );
        assert_eq!(of("/packetmanager/createpacket"), None);
        assert_eq!(of("/packetmanager/{name}"), None);
        assert_eq!(of("/{x}/packetmanager/createPacket"), None);
    }
}
