//! From JSON-LD to canonical N-Quads (RDFC-1.0, which gives what URDNA2015 gives).
//!
//! Language tags come out in lower case, as JSON-LD 1.1 allows; MOSIP writes them so.

use std::fmt::Write;

use oxjsonld::{JsonLdParser, JsonLdProcessingMode, JsonLdRemoteDocument};
use oxrdf::{
    Dataset, GraphNameRef,
    dataset::{CanonicalizationAlgorithm, CanonicalizationHashAlgorithm},
};

use super::{contexts::Contexts, poison};

/// Quads of one document.
const QUADS_MAX: usize = 4096;

/// Why a document has no canonical form here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RdfError {
    /// Not JSON-LD under the pinned contexts, or it names another one.
    #[error("the document cannot be read as JSON-LD under the pinned contexts")]
    JsonLd,
    /// Too many quads.
    #[error("the document has more than {QUADS_MAX} statements")]
    Quads,
    /// Blank nodes that only an expensive search could tell apart.
    #[error("the document's unnamed nodes cannot be told apart at a bounded cost")]
    BlankNodes,
}

/// The canonical N-Quads of a JSON-LD document; contexts come from the pinned ones and from nowhere else.
///
/// # Errors
/// See [`RdfError`].
pub fn canonical_n_quads(document: &[u8], contexts: &Contexts) -> Result<String, RdfError> {
    let mut dataset = dataset(document, contexts)?;
    if !poison::is_cheap(&dataset) {
        return Err(RdfError::BlankNodes);
    }
    dataset.canonicalize(CanonicalizationAlgorithm::Rdfc10 {
        hash_algorithm: CanonicalizationHashAlgorithm::Sha256,
    });
    let mut lines: Vec<String> = dataset
        .iter()
        .map(|quad| {
            let mut line = format!("{} {} {}", quad.subject, quad.predicate, quad.object);
            if quad.graph_name != GraphNameRef::DefaultGraph {
                // Writing to a String does not fail.
                let _ = write!(line, " {}", quad.graph_name);
            }
            line.push_str(" .\n");
            line
        })
        .collect();
    lines.sort_unstable();
    Ok(lines.concat())
}

fn dataset(document: &[u8], contexts: &Contexts) -> Result<Dataset, RdfError> {
    let pinned = contexts.clone();
    let parser = JsonLdParser::new()
        .with_processing_mode(JsonLdProcessingMode::JsonLd1_1)
        .for_slice(document)
        .with_load_document_callback(move |url, _| match pinned.document(url) {
            Some(document) => Ok(JsonLdRemoteDocument {
                document: document.to_vec(),
                document_url: url.to_owned(),
            }),
            None => Err("the context is not pinned".into()),
        });
    let mut dataset = Dataset::new();
    for quad in parser {
        dataset.insert(&quad.map_err(|_| RdfError::JsonLd)?);
        if dataset.len() > QUADS_MAX {
            return Err(RdfError::Quads);
        }
    }
    Ok(dataset)
}
