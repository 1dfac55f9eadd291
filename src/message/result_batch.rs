//! Results of one message as JSON batches, for subscribers that take arrays.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{RESULT_BYTES_MAX, batch::join_batch, command::to_json};
use crate::ports::{Publication, publisher::LISTED_ATTRIBUTES};

/// The most bytes of a batch of results that holds more than one: 200 KiB.
pub const RESULT_BATCH_BYTES_MAX: usize = 200 * 1024;

/// What the names and types of an array's attributes take at most.
const NAMES_BYTES: usize = 512;

/// The attribute that says that the body is an array of results: `true`.
pub const BATCH_ATTRIBUTE: &str = "batch";

/// Joins consecutive results of one group, each as the result of one command, into arrays of at most
/// [`RESULT_BATCH_BYTES_MAX`], and with their attributes of at most [`RESULT_BYTES_MAX`]. A batch and how many results it holds; at least one.
///
/// Its id is derived from those in it, so that the same results make the same batch. Each of
/// [`LISTED_ATTRIBUTES`] is a JSON array of the distinct values in it: a filter policy matches if
/// one of them does. Other attributes are those of the results alone.
#[must_use]
pub fn batch_results(results: &[Publication]) -> Vec<(Publication, usize)> {
    let mut batches = Vec::new();
    let mut rest = results;
    while !rest.is_empty() {
        let mut size = Size::default();
        let count = rest.iter().take_while(|result| size.fits_with(result)).count().max(1);
        let (joined, left) = rest.split_at_checked(count).unwrap_or((rest, &[]));
        batches.extend(join(joined).map(|batch| (batch, joined.len())));
        rest = left;
    }
    batches
}

/// What an array of results takes.
#[derive(Default)]
struct Size<'a> {
    body: usize,
    attributes: usize,
    listed: BTreeSet<(&'static str, &'a String)>,
}

impl<'a> Size<'a> {
    /// Adds a result. Returns whether the array is not too large with it.
    fn fits_with(&mut self, result: &'a Publication) -> bool {
        // Each result and each value has a comma or a bracket.
        self.body = self.body.saturating_add(result.body.len()).saturating_add(2);
        for name in LISTED_ATTRIBUTES {
            let Some(value) = result.attributes.get(name) else { continue };
            if self.listed.insert((name, value)) {
                let value = to_json(value).len().saturating_add(2);
                self.attributes = self.attributes.saturating_add(value);
            }
        }
        self.body <= RESULT_BATCH_BYTES_MAX
            && self.body.saturating_add(self.attributes) <= RESULT_BYTES_MAX - NAMES_BYTES
    }
}

fn join(results: &[Publication]) -> Option<Publication> {
    let first = results.first()?;
    let mut name = Vec::with_capacity(results.len().saturating_mul(16));
    results.iter().for_each(|result| name.extend_from_slice(result.id.as_bytes()));
    let listed = LISTED_ATTRIBUTES.into_iter().filter_map(|attribute| {
        let values = results.iter().filter_map(|result| result.attributes.get(attribute));
        let values: BTreeSet<&String> = values.collect();
        (!values.is_empty()).then(|| (attribute, to_json(&values)))
    });
    let attributes: BTreeMap<&'static str, String> =
        listed.chain([(BATCH_ATTRIBUTE, "true".to_owned())]).collect();
    Some(Publication {
        id: Uuid::new_v5(&first.id, &name),
        group: first.group.clone(),
        body: join_batch(results.iter().map(|result| result.body.as_str())),
        attributes,
        is_batch: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(number: u128, kind: &str, bytes: usize) -> Publication {
        let attributes = [("type", kind.to_owned()), ("event_id", "42".to_owned())];
        Publication {
            id: Uuid::from_u128(number),
            group: "event-42".parse().unwrap(),
            body: format!("{{\"id\":{number},\"x\":\"{}\"}}", "x".repeat(bytes)),
            attributes: attributes.into(),
            is_batch: false,
        }
    }

    #[test]
    fn results_are_joined_in_order_with_what_a_filter_policy_needs() {
        let results = [result(1, "b", 0), result(2, "a", 0), result(3, "b", 0)];
        let batches = batch_results(&results);
        let [(batch, 3)] = &batches[..] else { panic!("{batches:?}") };
        let bodies: Vec<serde_json::Value> = serde_json::from_str(&batch.body).unwrap();
        let ids: Vec<u64> = bodies.iter().filter_map(|body| body["id"].as_u64()).collect();
        assert_eq!(ids, [1, 2, 3]);
        assert!(batch.is_batch);
        let expected = [("batch", "true"), ("event_id", "[\"42\"]"), ("type", "[\"a\",\"b\"]")];
        assert_eq!(batch.attributes, expected.map(|(n, v)| (n, v.to_owned())).into());
        assert_eq!(batch_results(&results)[0].0.id, batch.id);
        assert_ne!(batch_results(&results[..2])[0].0.id, batch.id);
    }

    #[test]
    fn a_batch_of_several_results_is_at_most_200_kib() {
        let large = |number| result(number, "a", 80 * 1024);
        let huge = result(4, "a", RESULT_BATCH_BYTES_MAX);
        let batches = batch_results(&[large(1), large(2), large(3), huge, large(5)]);
        assert_eq!(batches.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [2, 1, 1, 1]);
        let several = batches.iter().filter(|(_, count)| *count > 1);
        assert!(several.map(|(batch, _)| batch.body.len()).all(|n| n <= RESULT_BATCH_BYTES_MAX));
        assert!(batch_results(&[]).is_empty());
    }

    #[test]
    fn an_array_is_within_a_result_s_bound_with_the_attributes_it_lists() {
        let results: Vec<Publication> = (0..100)
            .map(|number| {
                let mut one = result(number, "a", 1_700);
                for name in ["command_source", "reservation_source"] {
                    let source = format!("/{name}/{number}/{}", "\\\"".repeat(240));
                    one.attributes.insert(name, source);
                }
                one
            })
            .collect();
        let batches = batch_results(&results);
        assert_eq!(batches.iter().map(|(_, count)| count).sum::<usize>(), results.len());
        assert!(batches.len() > 1);
        for (batch, count) in &batches {
            assert!(batch.bytes() <= RESULT_BYTES_MAX, "{count}: {}", batch.bytes());
        }
        assert!(batches[0].0.bytes() > RESULT_BYTES_MAX * 9 / 10, "{}", batches[0].0.bytes());
    }
}
