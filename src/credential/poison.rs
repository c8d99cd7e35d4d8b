//! Graphs made to keep a canonicaliser busy for ever.
//!
//! RDFC-1.0 tells blank nodes apart by the statements around them. Those that look alike and hang together are told apart
//! by trying orders, at a cost that grows like a factorial. MOSIP's credentials have none; a few are let through.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use oxrdf::{BlankNodeRef, Dataset, GraphNameRef, NamedOrBlankNodeRef, QuadRef, TermRef};

/// Blank nodes of one document.
const BLANK_NODES_MAX: usize = 512;

/// Blank nodes that look alike and hang together.
const ENTANGLED_MAX: usize = 5;

/// Whether the canonical form can be had at a small cost.
pub(super) fn is_cheap(dataset: &Dataset) -> bool {
    let mut around: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for quad in dataset {
        for node in nodes(quad) {
            around
                .entry(node)
                .or_default()
                .insert(seen_from(node, quad));
        }
    }
    if around.len() > BLANK_NODES_MAX {
        return false;
    }
    let mut alike: BTreeMap<&BTreeSet<String>, usize> = BTreeMap::new();
    for looks in around.values() {
        let count = alike.entry(looks).or_default();
        *count = count.saturating_add(1);
    }
    let ambiguous = |node: &&str| {
        let looks = around.get(node);
        looks
            .and_then(|looks| alike.get(looks))
            .is_some_and(|count| *count > 1)
    };
    let mut entangled = BTreeSet::new();
    for quad in dataset {
        let here: BTreeSet<&str> = nodes(quad).filter(ambiguous).collect();
        if here.len() > 1 {
            entangled.extend(here);
        }
    }
    entangled.len() <= ENTANGLED_MAX
}

fn nodes(quad: QuadRef<'_>) -> impl Iterator<Item = &str> {
    let subject = match quad.subject {
        NamedOrBlankNodeRef::BlankNode(node) => Some(node),
        NamedOrBlankNodeRef::NamedNode(_) => None,
    };
    let object = match quad.object {
        TermRef::BlankNode(node) => Some(node),
        _ => None,
    };
    let graph = match quad.graph_name {
        GraphNameRef::BlankNode(node) => Some(node),
        _ => None,
    };
    [subject, object, graph]
        .into_iter()
        .flatten()
        .map(BlankNodeRef::as_str)
}

/// A statement as RDFC-1.0 hashes it first: itself is `a`, every other blank node `z`.
fn seen_from(node: &str, quad: QuadRef<'_>) -> String {
    let name = |other: BlankNodeRef<'_>| if other.as_str() == node { "_:a" } else { "_:z" };
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = match quad.subject {
        NamedOrBlankNodeRef::BlankNode(other) => write!(out, "{}", name(other)),
        NamedOrBlankNodeRef::NamedNode(node) => write!(out, "{node}"),
    };
    let _ = write!(out, " {} ", quad.predicate);
    let _ = match quad.object {
        TermRef::BlankNode(other) => write!(out, "{}", name(other)),
        term => write!(out, "{term}"),
    };
    let _ = match quad.graph_name {
        GraphNameRef::BlankNode(other) => write!(out, " {}", name(other)),
        graph => write!(out, " {graph}"),
    };
    out
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use oxrdf::{BlankNode, NamedNode, Quad, dataset::*};

    use super::*;

    fn link(from: usize, to: usize) -> Quad {
        Quad::new(
            BlankNode::new(format!("n{from}")).unwrap(),
            NamedNode::new("https://p.example/").unwrap(),
            BlankNode::new(format!("n{to}")).unwrap(),
            oxrdf::GraphName::DefaultGraph,
        )
    }

    fn clique(n: usize) -> Dataset {
        (0..n)
            .flat_map(|a| (0..n).filter(move |b| *b != a).map(move |b| link(a, b)))
            .collect()
    }

    fn ring(n: usize) -> Dataset {
        (0..n)
            .map(|a| link(a, a.wrapping_add(1).rem_euclid(n)))
            .collect()
    }

    #[test]
    fn entangled_nodes_are_refused_before_any_order_is_tried() {
        assert!(is_cheap(&clique(ENTANGLED_MAX)));
        for poison in [clique(ENTANGLED_MAX + 1), clique(12), ring(40), ring(500)] {
            assert!(!is_cheap(&poison));
        }
    }

    #[test]
    fn the_worst_graph_that_is_let_through_costs_little() {
        let mut worst = clique(ENTANGLED_MAX);
        let begun = Instant::now();
        worst.canonicalize(CanonicalizationAlgorithm::Rdfc10 {
            hash_algorithm: CanonicalizationHashAlgorithm::Sha256,
        });
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    }

    #[test]
    fn alike_leaves_and_chains_of_different_nodes_are_cheap() {
        let name = |n: usize| NamedNode::new(format!("https://n{n}.example/")).unwrap();
        let leaves: Dataset = (0..200)
            .map(|n| {
                Quad::new(
                    name(n),
                    name(0),
                    BlankNode::new(format!("leaf{n}")).unwrap(),
                    oxrdf::GraphName::DefaultGraph,
                )
            })
            .collect();
        assert!(is_cheap(&leaves));
        let chain: Dataset = (0..200)
            .flat_map(|n| {
                let mark = Quad::new(
                    BlankNode::new(format!("n{n}")).unwrap(),
                    name(n),
                    name(n),
                    oxrdf::GraphName::DefaultGraph,
                );
                [mark, link(n, n + 1)]
            })
            .collect();
        assert!(is_cheap(&chain));
    }

    #[test]
    fn the_number_of_blank_nodes_is_bounded() {
        let chain = |n: usize| -> Dataset {
            (0..n)
                .map(|n| {
                    Quad::new(
                        BlankNode::new(format!("n{n}")).unwrap(),
                        NamedNode::new(format!("https://n{n}.example/")).unwrap(),
                        NamedNode::new("https://o.example/").unwrap(),
                        oxrdf::GraphName::DefaultGraph,
                    )
                })
                .collect()
        };
        assert!(is_cheap(&chain(BLANK_NODES_MAX)));
        assert!(!is_cheap(&chain(BLANK_NODES_MAX + 1)));
    }
}
