//! What can be ordered, at which price, and how much of it there is.

use std::collections::BTreeMap;

use crate::{Amount, InvalidOrder};

/// Most items of one menu.
pub const MENU_ITEMS_MAX: usize = 10_000;

/// How much of an item there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stock {
    /// It never runs out.
    Unlimited,
    /// So many pieces, before anything was reserved.
    Pieces(u32),
}

/// One item of the menu.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MenuItem {
    /// Price of one piece, in the shop's currency.
    pub price: f32,
    /// How much there is when the shop opens.
    pub stock: Stock,
}

/// The catalogue: items by name, each with a valid price.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Menu {
    items: BTreeMap<String, MenuItem>,
}

/// Why a catalogue cannot be used. Whoever wrote it is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMenu {
    /// There is nothing on it.
    #[error("the menu has no items: add at least one")]
    Empty,
    /// It is longer than [`MENU_ITEMS_MAX`].
    #[error("the menu has more than {MENU_ITEMS_MAX} items")]
    TooLong,
    /// An item has no name.
    #[error("an item of the menu has an empty name")]
    EmptyName,
    /// An item stands on it twice.
    #[error("item '{0}' is on the menu twice")]
    Twice(String),
    /// An item's price is none.
    #[error("item '{item}': {cause}")]
    Price {
        /// The item.
        item: String,
        /// What is wrong with its price.
        cause: InvalidOrder,
    },
}

impl Menu {
    /// A catalogue of these items.
    ///
    /// # Errors
    ///
    /// If it is empty or too long, or an item has no name, no valid price, or comes twice.
    pub fn new(items: impl IntoIterator<Item = (String, MenuItem)>) -> Result<Self, InvalidMenu> {
        let mut menu = Self::default();
        for (name, item) in items {
            if name.chars().all(char::is_whitespace) {
                return Err(InvalidMenu::EmptyName);
            }
            if let Err(cause) = Amount::from_price(item.price) {
                return Err(InvalidMenu::Price { item: name, cause });
            }
            if menu.items.contains_key(&name) {
                return Err(InvalidMenu::Twice(name));
            }
            menu.items.insert(name, item);
        }
        match menu.items.len() {
            0 => Err(InvalidMenu::Empty),
            1..=MENU_ITEMS_MAX => Ok(menu),
            _ => Err(InvalidMenu::TooLong),
        }
    }

    /// The item of this name.
    pub fn item(&self, name: &str) -> Option<MenuItem> {
        self.items.get(name).copied()
    }

    /// All items, by name.
    pub fn items(&self) -> impl Iterator<Item = (&str, MenuItem)> {
        self.items.iter().map(|(name, item)| (name.as_str(), *item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(price: f32) -> MenuItem {
        MenuItem { price, stock: Stock::Unlimited }
    }

    #[track_caller]
    fn check(items: &[(&str, f32)], expected: &InvalidMenu) {
        let items = items.iter().map(|(name, price)| ((*name).to_owned(), item(*price)));
        assert_eq!(Menu::new(items).as_ref(), Err(expected));
    }

    #[test]
    fn a_menu_is_checked_when_it_is_made() {
        check(&[], &InvalidMenu::Empty);
        check(&[(" ", 1.0)], &InvalidMenu::EmptyName);
        check(&[("tea", 1.0), ("tea", 2.0)], &InvalidMenu::Twice("tea".to_owned()));
        let cause = InvalidOrder::NegativePrice;
        check(&[("tea", -1.0)], &InvalidMenu::Price { item: "tea".to_owned(), cause });
        let many = (0..=MENU_ITEMS_MAX).map(|n| (n.to_string(), item(1.0)));
        assert_eq!(Menu::new(many), Err(InvalidMenu::TooLong));
    }

    #[test]
    fn an_item_is_found_by_its_whole_name() {
        let menu = Menu::new([("tea".to_owned(), item(2.5))]).unwrap();
        assert_eq!(menu.item("tea"), Some(item(2.5)));
        assert_eq!(menu.item("Tea"), None);
        assert_eq!(menu.items().count(), 1);
    }
}
