//! What inventory has given away in one partition, item by item: the state of its pipeline.

use order_store::inventory::StockLevel;
use orders::{Menu, Stock};
use relane::stage::State;
use relane::table::Table;

/// What was given away of one item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Given {
    /// Pieces.
    pub(crate) reserved: u64,
    /// Orders that were decided, refused ones included.
    pub(crate) decided: u64,
    /// When that changed, in milliseconds since the Unix epoch: as it was written.
    pub(crate) updated_at_ms: i64,
}

/// Under this name counts what is not on the menu: its names are without limit.
pub(crate) const NOT_ON_MENU: &str = "";

/// See the module. Orders are keyed by their item, so an item is given away in one partition only.
#[derive(Debug, Clone, Default)]
pub(crate) struct StockLevels {
    pub(crate) items: Table<Box<str>, Given>,
}

impl StockLevels {
    /// What is left of an item.
    pub(crate) fn left(&self, menu: &Menu, item: &str) -> Stock {
        match menu.item(item).map(|item| item.stock) {
            Some(Stock::Pieces(pieces)) => left_of(pieces, self.given(item)),
            Some(Stock::Unlimited) | None => Stock::Unlimited,
        }
    }

    fn given(&self, item: &str) -> Given {
        self.items.get(item).copied().unwrap_or_default()
    }

    /// Notes that an order for `item` was decided, and how many pieces it got.
    pub(crate) fn decided(&mut self, item: &str, pieces: u64) {
        let given = self.items.entry(item);
        given.decided += 1;
        given.reserved += pieces;
    }

    /// Adds another partition's.
    pub(crate) fn add(&mut self, other: &Self) {
        for (item, given) in other.items.iter() {
            let sum = self.items.entry(&**item);
            sum.reserved += given.reserved;
            sum.decided += given.decided;
        }
    }

    /// All items of the menu with what is left of them.
    pub(crate) fn levels(&self, menu: &Menu) -> Vec<StockLevel> {
        let level = |(item, on_menu): (&str, orders::MenuItem)| {
            let given = self.given(item);
            let (initial, left) = match on_menu.stock {
                Stock::Unlimited => (None, None),
                Stock::Pieces(pieces) => {
                    let left = match left_of(pieces, given) {
                        Stock::Pieces(left) => Some(left),
                        Stock::Unlimited => None,
                    };
                    (Some(pieces), left)
                }
            };
            StockLevel { item: item.to_owned(), initial, reserved: given.reserved, left }
        };
        menu.items().map(level).collect()
    }
}

fn left_of(pieces: u32, given: Given) -> Stock {
    let left = u64::from(pieces).saturating_sub(given.reserved);
    Stock::Pieces(u32::try_from(left).unwrap_or(u32::MAX))
}

impl State for StockLevels {
    fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn len(&self) -> usize {
        self.items.len()
    }

    fn clear_touched(&mut self) {
        self.items.clear_touched();
    }

    fn touch_any(&mut self) {
        self.items.touch_any();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn menu() -> Menu {
        let item = |stock| orders::MenuItem { price: 1.0, stock };
        let (few, tea) = (item(Stock::Pieces(5)), item(Stock::Unlimited));
        Menu::new([("few".to_owned(), few), ("tea".to_owned(), tea)]).unwrap()
    }

    #[test]
    fn what_was_given_away_is_missing_from_the_stock() {
        let mut levels = StockLevels::default();
        levels.decided("few", 3);
        levels.decided("few", 0);
        assert_eq!(levels.left(&menu(), "few"), Stock::Pieces(2));
        assert_eq!(levels.left(&menu(), "tea"), Stock::Unlimited);
        let given = Given { reserved: 3, decided: 2, ..Given::default() };
        assert_eq!(levels.items.touched().collect::<Vec<_>>(), [(&Box::from("few"), &given)]);
    }

    #[test]
    fn a_menu_that_was_cut_down_leaves_nothing_rather_than_less() {
        let mut levels = StockLevels::default();
        let given = Given { reserved: 9, decided: 9, ..Given::default() };
        levels.items.restore("few", Some(given));
        assert_eq!(levels.left(&menu(), "few"), Stock::Pieces(0));
        let told = levels.levels(&menu());
        assert_eq!((told[0].initial, told[0].reserved, told[0].left), (Some(5), 9, Some(0)));
        assert_eq!((told[1].initial, told[1].left), (None, None));
    }

    #[test]
    fn partitions_add_up() {
        let (mut one, mut other) = (StockLevels::default(), StockLevels::default());
        one.decided("few", 1);
        other.decided("few", 1);
        other.decided("tea", 7);
        one.add(&other);
        assert_eq!(one.given("few"), Given { reserved: 2, decided: 2, ..Given::default() });
        assert_eq!(one.given("tea").reserved, 7);
    }
}
