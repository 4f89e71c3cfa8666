//! Where a mark may lie, each with the reason: a list that is read from a file.

use super::{Class, Encoding, Found, Hit};

const HEAD: &str = "place\tclass\tencoding\treason";
/// A reason is a sentence.
const REASON_MIN: usize = 20;

/// Places at which marks may be found.
#[derive(Debug, Default)]
pub struct Allowed(Vec<Allowance>);

#[derive(Debug)]
struct Allowance {
    /// As it stands in the file.
    row: String,
    place: String,
    class: Class,
    encoding: Option<Encoding>,
}

/// A row that allows nothing or too much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadAllowance {
    /// Counted from one.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Allowed {
    /// Reads a list: a head, then rows of place, class, encoding and reason between tabs. Lines with `#` are remarks.
    ///
    /// A place is a path or a stream's name in full, or its start and `*`. An encoding may be `*`; a class may not:
    /// what is allowed is one secret at one place.
    ///
    /// # Errors
    /// The first row that is not of this form.
    pub fn parse(text: &str) -> Result<Self, BadAllowance> {
        let mut rows = text.lines().enumerate().filter(|(_, row)| !row.starts_with('#') && !row.is_empty());
        if rows.next().is_none_or(|(_, row)| row != HEAD) {
            return Err(BadAllowance { line: 1, why: "the head is place, class, encoding, reason" });
        }
        let read = |(line, row): (usize, &str)| {
            let bad = |why| BadAllowance { line: line + 1, why };
            let cells: Vec<&str> = row.split('\t').collect();
            let [place, class, encoding, reason] = cells[..] else { return Err(bad("a row has four cells")) };
            if place.trim_end_matches('*').is_empty() {
                return Err(bad("a place has a name"));
            }
            if reason.trim().len() < REASON_MIN {
                return Err(bad("a reason is a sentence"));
            }
            let class = Class::EVERY.iter().find(|known| known.name() == class).ok_or_else(|| bad("no such class"))?;
            let encoding = match encoding {
                "*" => None,
                name => Some(
                    Encoding::EVERY
                        .into_iter()
                        .find(|known| known.name() == name)
                        .ok_or_else(|| bad("no such encoding"))?,
                ),
            };
            Ok(Allowance { row: row.to_owned(), place: place.to_owned(), class: *class, encoding })
        };
        rows.map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The list that the project keeps: `docs/marks-allowed.tsv`.
    ///
    /// # Errors
    /// A row of it that is not of the form.
    pub fn kept() -> Result<Self, BadAllowance> {
        Self::parse(include_str!("../../../../docs/marks-allowed.tsv"))
    }

    /// Whether this is on the list.
    #[must_use]
    pub fn has(&self, hit: &Hit) -> bool {
        self.0.iter().any(|allowance| allowance.is_for(hit))
    }

    /// Rows that nothing needed: what they allow does not happen any more.
    #[must_use]
    pub fn idle(&self, found: &Found) -> Vec<&str> {
        let is_idle = |allowance: &&Allowance| !found.hits.keys().any(|hit| allowance.is_for(hit));
        self.0.iter().filter(is_idle).map(|allowance| allowance.row.as_str()).collect()
    }
}

impl Allowance {
    fn is_for(&self, hit: &Hit) -> bool {
        let is_there = match self.place.strip_suffix('*') {
            Some(start) => hit.place.starts_with(start),
            None => hit.place == self.place,
        };
        is_there && hit.class == self.class && self.encoding.is_none_or(|encoding| encoding == hit.encoding)
    }
}
