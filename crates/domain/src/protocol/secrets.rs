//! What is secret in a request: files for the gateway, variables for the agent.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A secret on its way to a machine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretFile {
    /// File name below the gateway's secrets folder: `a-z 0-9 _`, at most 64.
    pub name: String,
    /// The value.
    pub value: SecretText,
}

/// An environment variable on its way to a machine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// As [`crate::variable::VariableName`] reads it.
    pub name: String,
    /// As [`crate::variable::VariableValue`] reads it.
    pub value: SecretText,
}

/// Text that prints as a placeholder and is wiped when dropped. It serialises, because the wire is encrypted.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes ownership of the plaintext.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The plaintext. Every call of this is a place to review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// What the digest of delivered secrets is made over ([`super::InForce::secrets_digest`]): files and variables in
/// one list, sorted by name, each as its name and its value, and before each of both its length in bytes as eight
/// bytes, the highest first. Files have lower-case names and variables upper-case ones, so no two lists read alike.
///
/// A digest of few possible values could be guessed; the gateway's token, which is always among them, cannot.
#[must_use]
pub fn delivered(secrets: &[SecretFile], variables: &[Variable]) -> Zeroizing<Vec<u8>> {
    let secrets = secrets.iter().map(|secret| (secret.name.as_str(), secret.value.expose()));
    let variables = variables.iter().map(|variable| (variable.name.as_str(), variable.value.expose()));
    let mut all: Vec<(&str, &str)> = secrets.chain(variables).collect();
    all.sort_unstable_by_key(|(name, _)| *name);
    // Reserved whole at once: a growing buffer would leave copies behind.
    let size = all.iter().map(|(name, value)| 16 + name.len() + value.len()).sum();
    let mut bytes = Zeroizing::new(Vec::with_capacity(size));
    for part in all.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]) {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> SecretText {
        SecretText::new(value.to_owned())
    }

    fn file(name: &str, value: &str) -> SecretFile {
        SecretFile { name: name.to_owned(), value: text(value) }
    }

    #[test]
    fn what_is_delivered_reads_the_same_in_any_order_and_as_written_down() {
        let variable = || vec![Variable { name: "A".into(), value: text("1") }];
        let one = delivered(&[file("b", "xy"), file("a", "")], &variable());
        let other = delivered(&[file("a", ""), file("b", "xy")], &variable());
        assert_eq!(one, other);
        let expected = "\0\0\0\0\0\0\0\x01A\0\0\0\0\0\0\0\x011\
                        \0\0\0\0\0\0\0\x01a\0\0\0\0\0\0\0\0\
                        \0\0\0\0\0\0\0\x01b\0\0\0\0\0\0\0\x02xy";
        assert_eq!(*one, expected.as_bytes());
    }

    #[test]
    fn no_two_lists_read_alike() {
        let lists = [
            delivered(&[file("a", "bc")], &[]),
            delivered(&[file("ab", "c")], &[]),
            delivered(&[file("a", "b"), file("c", "")], &[]),
            delivered(&[file("a", "")], &[]),
            delivered(&[], &[]),
            delivered(&[], &[Variable { name: "A".into(), value: text("bc") }]),
        ];
        for (place, one) in lists.iter().enumerate() {
            assert!(lists.iter().skip(place + 1).all(|other| one != other));
        }
    }
}
