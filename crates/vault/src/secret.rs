//! The one type that holds plaintext.

use std::fmt;

use zeroize::Zeroizing;

/// Plaintext. It prints as a placeholder and is wiped when dropped.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes ownership of the plaintext.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The plaintext. Every call of this is a place to review.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The plaintext as text, if it is UTF-8.
    #[must_use]
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use super::*;
    use crate::{DataKey, MasterKey, SessionKey, Token};

    /// Whether a type can be compared with `==`: its own constant hides the trait's where it can.
    struct Probe<T>(PhantomData<T>);
    trait Cannot {
        const COMPARES: bool = false;
    }
    impl<T> Cannot for Probe<T> {}
    impl<T: PartialEq> Probe<T> {
        const COMPARES: bool = true;
    }

    /// TOK-17: `==` stops at the first byte that differs. What is secret has none: `vault::same` is the only way.
    #[test]
    fn what_is_secret_cannot_be_compared_byte_by_byte() {
        let compare = [
            Probe::<Secret>::COMPARES,
            Probe::<Token>::COMPARES,
            Probe::<MasterKey>::COMPARES,
            Probe::<DataKey>::COMPARES,
            Probe::<SessionKey>::COMPARES,
        ];
        assert_eq!((Probe::<String>::COMPARES, compare), (true, [false; 5]), "the probe finds what can be compared");
    }
}
