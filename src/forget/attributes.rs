//! Removes a user's id from the attributes of a dead letter.

use super::dead_letter::{NOBODY, USER_ID};
use crate::{
    domain::UserId,
    message::TRACEPARENT,
    ports::queue::{AttributeContent, MessageAttribute, MessageAttributes, text_attribute},
    worker::dead_letters::{OWN, PRODUCER_ATTRIBUTES, packed_text, unpacked},
};

/// Whether a message's attributes name a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeMention {
    /// They do not.
    None,
    /// Values are the id: the attributes with `forgotten` in its place.
    Replaced(MessageAttributes),
    /// A value contains the id among other text: it cannot be rewritten.
    Within,
}

/// Attributes without a user's id. A text that is the id is replaced, whatever its name, since
/// producers choose the names; a number only under the name `user_id`, as any other may equal it by
/// chance. Those that the worker packed into one are looked at one by one, and those that it wrote
/// itself not at all.
#[must_use]
pub fn attributes_without_user(
    attributes: &MessageAttributes,
    user_id: &UserId,
) -> AttributeMention {
    let packed = text_attribute(attributes, PRODUCER_ATTRIBUTES).and_then(unpacked);
    // What was packed is looked at as it was, not as the text that it became; a trace's id names
    // nobody.
    let mut apart = vec![TRACEPARENT];
    apart.extend(packed.is_some().then_some(PRODUCER_ATTRIBUTES));
    let mut all = attributes.clone();
    let mut kept: Vec<_> = apart.into_iter().filter_map(|name| all.remove_entry(name)).collect();
    let mut has = false;
    match packed.map_or(AttributeMention::None, |packed| replaced(packed, user_id)) {
        AttributeMention::None => {}
        AttributeMention::Within => return AttributeMention::Within,
        AttributeMention::Replaced(packed) => {
            kept.push((PRODUCER_ATTRIBUTES.to_owned(), packed_text(packed).into()));
            has = true;
        }
    }
    match replaced(all.clone(), user_id) {
        AttributeMention::Within => return AttributeMention::Within,
        AttributeMention::None => {}
        AttributeMention::Replaced(replaced) => (all, has) = (replaced, true),
    }
    // The last of a name counts.
    all.extend(kept);
    if has { AttributeMention::Replaced(all) } else { AttributeMention::None }
}

fn replaced(mut attributes: MessageAttributes, user_id: &UserId) -> AttributeMention {
    let mut has = false;
    for (name, attribute) in &mut attributes {
        if OWN.contains(&name.as_str()) {
            continue;
        }
        if is_id(name, attribute, user_id) {
            *attribute = NOBODY.into();
            has = true;
        } else if contains(attribute, user_id) {
            return AttributeMention::Within;
        }
    }
    match has {
        true => AttributeMention::Replaced(attributes),
        false => AttributeMention::None,
    }
}

fn is_id(name: &str, attribute: &MessageAttribute, user_id: &UserId) -> bool {
    let is_whole = match &attribute.value {
        AttributeContent::Text(text) => text == user_id.as_str(),
        AttributeContent::Binary(bytes) => bytes == user_id.as_str().as_bytes(),
    };
    is_whole && (name == USER_ID || !is_number(attribute))
}

/// Whether the id stands in a text between other characters than letters and digits.
fn contains(attribute: &MessageAttribute, user_id: &UserId) -> bool {
    if is_number(attribute) {
        return false;
    }
    let text = match &attribute.value {
        AttributeContent::Text(text) => text.into(),
        AttributeContent::Binary(bytes) => String::from_utf8_lossy(bytes),
    };
    text.match_indices(user_id.as_str()).any(|(start, found)| {
        let (before, rest) = text.split_at(start);
        let after = rest.get(found.len()..).unwrap_or_default();
        let is_apart = |next: Option<char>| !next.is_some_and(char::is_alphanumeric);
        is_apart(before.chars().next_back()) && is_apart(after.chars().next())
    })
}

fn is_number(attribute: &MessageAttribute) -> bool {
    attribute.data_type.split('.').next() == Some("Number")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> UserId {
        "ann".parse().unwrap()
    }

    fn without(attributes: &[(&str, MessageAttribute)]) -> AttributeMention {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        attributes_without_user(&attributes.collect(), &user())
    }

    fn typed(data_type: &str, value: AttributeContent) -> MessageAttribute {
        MessageAttribute { data_type: data_type.to_owned(), value }
    }

    #[test]
    fn a_value_that_is_the_id_is_replaced_under_any_name() {
        let bytes = typed("Binary", AttributeContent::Binary(b"ann".to_vec()));
        let before = [("customer", "ann".into()), ("tenant", "t-1".into()), ("who", bytes)];
        let AttributeMention::Replaced(after) = without(&before) else { panic!("{before:?}") };
        let expected: MessageAttributes =
            [("customer", NOBODY), ("tenant", "t-1"), ("who", NOBODY)]
                .map(|(name, text)| (name.to_owned(), text.into()))
                .into();
        assert_eq!(after, expected);
    }

    #[test]
    fn a_number_is_an_id_only_by_its_name() {
        let number = || typed("Number", AttributeContent::Text("7".to_owned()));
        let user: UserId = "7".parse().unwrap();
        let named = |name: &str| -> MessageAttributes { [(name.to_owned(), number())].into() };
        assert_eq!(attributes_without_user(&named("event_id"), &user), AttributeMention::None);
        let expected = [("user_id".to_owned(), NOBODY.into())].into();
        let replaced = attributes_without_user(&named("user_id"), &user);
        assert_eq!(replaced, AttributeMention::Replaced(expected));
    }

    #[test]
    fn an_id_among_other_text_is_reported_and_a_part_of_a_word_is_none() {
        assert_eq!(without(&[("who", "user:ann;tier=1".into())]), AttributeMention::Within);
        assert_eq!(without(&[("who", "annex, joann".into())]), AttributeMention::None);
        assert_eq!(without(&[]), AttributeMention::None);
    }

    #[test]
    fn what_the_worker_packed_is_looked_at_and_what_it_wrote_is_not() {
        let packed = packed_text([("customer".to_owned(), "ann".into())].into());
        let before = [(PRODUCER_ATTRIBUTES, packed.as_str().into()), ("dlq_reason", "ann".into())];
        let AttributeMention::Replaced(after) = without(&before) else { panic!("{before:?}") };
        let packed = text_attribute(&after, PRODUCER_ATTRIBUTES).and_then(unpacked).unwrap();
        assert_eq!(packed, [("customer".to_owned(), NOBODY.into())].into());
        assert_eq!(text_attribute(&after, "dlq_reason"), Some("ann"));
        let number = typed("Number", AttributeContent::Text("7".to_owned()));
        let packed = packed_text([("event_id".to_owned(), number)].into());
        let traced = [(PRODUCER_ATTRIBUTES, packed.into()), ("traceparent", "00-7-7-01".into())];
        let traced: MessageAttributes = traced.map(|(name, value)| (name.to_owned(), value)).into();
        let user: UserId = "7".parse().unwrap();
        assert_eq!(attributes_without_user(&traced, &user), AttributeMention::None);
        let within = packed_text([("customer".to_owned(), "by ann".into())].into());
        let before = [(PRODUCER_ATTRIBUTES, within.into())];
        assert_eq!(without(&before), AttributeMention::Within);
    }
}
