//! Small charts, drawn here as SVG. What is drawn stands beside it as numbers too: nobody needs to see it.

/// Bars upwards and downwards from one line, a pair a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UpDown {
    /// Width of the drawing, in its own units.
    pub(crate) width: u32,
    /// Where the line is.
    pub(crate) line: u32,
    /// Height of the drawing.
    pub(crate) height: u32,
    /// Left to right.
    pub(crate) columns: Vec<Column>,
}

/// One pair of bars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its left edge, and its middle.
    pub(crate) x: u32,
    pub(crate) middle: u32,
    /// The upper bar: its top, its height, and the number over it.
    pub(crate) up: Bar,
    /// The lower one likewise, with the number under it.
    pub(crate) down: Bar,
    /// What stands under the drawing.
    pub(crate) label: String,
}

/// A bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bar {
    pub(crate) top: u32,
    pub(crate) height: u32,
    /// Where its number stands.
    pub(crate) text: u32,
    pub(crate) number: i64,
}

const COLUMN: u32 = 30;
/// The longest bar.
const LONGEST: u32 = 56;
/// Room for a number.
const NUMBER: u32 = 13;

impl UpDown {
    /// Of labels with a number upwards and one downwards. The longest bar is as long as there is room; of nothing there is none.
    pub(crate) fn of(columns: impl IntoIterator<Item = (String, i64, i64)>) -> Self {
        let all: Vec<_> = columns.into_iter().collect();
        let most = all.iter().map(|(_, up, down)| (*up).max(*down)).max().unwrap_or(0).max(1);
        let long = |number: i64| -> u32 {
            let share = number.max(0).saturating_mul(i64::from(LONGEST)).div_euclid(most);
            // Something is never drawn as nothing.
            u32::try_from(share).unwrap_or(LONGEST).max(u32::from(number > 0))
        };
        let line = NUMBER + LONGEST;
        let column = |(n, (label, up, down)): (u32, (String, i64, i64))| {
            let (above, below) = (long(up), long(down));
            Column {
                x: n * COLUMN + 5,
                middle: n * COLUMN + COLUMN / 2,
                up: Bar { top: line - above, height: above, text: line - above - 3, number: up },
                down: Bar { top: line + 1, height: below, text: line + 1 + below + 10, number: down },
                label,
            }
        };
        let columns: Vec<_> = (0..).zip(all).map(column).collect();
        let width = u32::try_from(columns.len()).unwrap_or(0) * COLUMN;
        let lowest = columns.iter().map(|column: &Column| column.down.height).max().unwrap_or(0);
        Self { width, line, height: line + 1 + lowest + 2 * NUMBER + 4, columns }
    }
}

/// A number of a whole as a bar of at most a hundred.
pub(crate) fn percent(number: i64, of: i64) -> u32 {
    let share = number.clamp(0, of.max(0)).saturating_mul(100).checked_div(of.max(1)).unwrap_or(0);
    u32::try_from(share).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fills_the_room_and_one_of_many_is_still_drawn() {
        let chart = UpDown::of([("Jan".to_owned(), 1000, 0), ("Feb".to_owned(), 1, 500), ("Mar".to_owned(), 0, 0)]);
        let heights: Vec<_> = chart.columns.iter().map(|column| (column.up.height, column.down.height)).collect();
        assert_eq!(heights, [(56, 0), (1, 28), (0, 0)]);
        assert!(chart.columns.iter().all(|column| column.up.top + column.up.height == chart.line));
        assert!(chart.columns.iter().all(|column| column.down.text < chart.height - 10 && column.x < chart.width));
        assert!(UpDown::of([]).columns.is_empty());
    }

    #[test]
    fn a_share_of_nothing_is_nothing() {
        assert_eq!([percent(0, 0), percent(3, 0), percent(1, 3), percent(5, 3), percent(-1, 3)], [0, 0, 33, 100, 0]);
    }
}
