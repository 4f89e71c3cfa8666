//! What a personal token may do: never more than its owner, often less.

use std::fmt;

/// One thing that a token may be let do. Each route of the API that a person calls names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Reads what its owner may read.
    Read,
    /// Creates, runs and deletes agents.
    Agents,
    /// Talks to agents and reads their logs.
    Talk,
    /// Invites, changes and removes members.
    Members,
    /// Issues and revokes personal tokens, no wider than itself.
    Tokens,
    /// Runs the service, if its owner does.
    Operate,
    /// Everything its owner may do, also what no other scope names.
    All,
}

impl Scope {
    /// In the order of pages and documents.
    pub const EVERY: [Self; 7] =
        [Self::Read, Self::Agents, Self::Talk, Self::Members, Self::Tokens, Self::Operate, Self::All];

    /// The word in the database, the API and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Agents => "agents:write",
            Self::Talk => "talk",
            Self::Members => "members:write",
            Self::Tokens => "tokens:write",
            Self::Operate => "operate",
            Self::All => "all",
        }
    }

    /// What it lets a token do, for whoever chooses.
    #[must_use]
    pub const fn told(self) -> &'static str {
        match self {
            Self::Read => "Read what you may read",
            Self::Agents => "Create, run and delete agents",
            Self::Talk => "Talk to agents and read their logs",
            Self::Members => "Invite, change and remove members",
            Self::Tokens => "Issue and revoke tokens, no wider than itself",
            Self::Operate => "Operate this Berth, if you are an operator",
            Self::All => "Everything you may do",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|scope| scope.name() == word)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of scopes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Whatever its owner may do: what a browser's session has.
    pub const ALL: Self = Self(Scope::All.bit());

    /// These.
    #[must_use]
    pub fn of(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }

    /// Reads the words of the database or a request. `None`: one of them is none of ours, or there are none.
    #[must_use]
    pub fn parse<S: AsRef<str>>(words: &[S]) -> Option<Self> {
        let scopes = words.iter().map(|word| Scope::parse(word.as_ref())).collect::<Option<Vec<_>>>()?;
        (!scopes.is_empty()).then(|| Self::of(scopes))
    }

    /// Whether this may be done.
    #[must_use]
    pub const fn allow(self, scope: Scope) -> bool {
        self.0 & (scope.bit() | Scope::All.bit()) != 0
    }

    /// Whether everything that the others allow may be done.
    #[must_use]
    pub fn cover(self, others: Self) -> bool {
        self.allow(Scope::All) || others.words().all(|word| Scope::parse(word).is_some_and(|scope| self.allow(scope)))
    }

    /// The words, in order.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Scope::EVERY.into_iter().filter(move |scope| self.0 & scope.bit() != 0).map(Scope::name)
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.words()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_covers_what_it_allows_and_no_more() {
        let narrow = Scopes::of([Scope::Read, Scope::Talk]);
        assert!(narrow.allow(Scope::Talk) && !narrow.allow(Scope::Agents) && !narrow.allow(Scope::All));
        assert!(narrow.cover(Scopes::of([Scope::Read])) && !narrow.cover(Scopes::ALL));
        assert!(!narrow.cover(Scopes::of([Scope::Read, Scope::Operate])));
        assert!(Scope::EVERY.into_iter().all(|scope| Scopes::ALL.allow(scope)) && Scopes::ALL.cover(narrow));
    }

    #[test]
    fn words_read_back_and_strange_ones_do_not() {
        for scope in Scope::EVERY {
            assert_eq!(Scopes::parse(&[scope.name()]), Some(Scopes::of([scope])));
        }
        assert_eq!(Scopes::parse(&["read", "everything"]), None);
        assert_eq!(Scopes::parse::<&str>(&[]), None, "a token that may do nothing is a mistake");
    }
}
