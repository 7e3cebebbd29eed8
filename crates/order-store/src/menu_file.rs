//! The menu, from its file: one table per item.

use std::collections::BTreeMap;
use std::path::Path;

use orders::{Menu, MenuItem, Stock};
use serde::Deserialize;

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why a file is no menu. Whoever wrote it is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("menu {path}: {detail}")]
pub struct MenuFileError {
    path: String,
    detail: String,
}

/// An item as the file says it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    price: f32,
    stock: Option<u32>,
}

/// Reads a menu.
///
/// # Errors
///
/// If the file is missing or too large, is no TOML, or says something that is no menu.
pub fn load(path: &Path) -> Result<Menu, MenuFileError> {
    let wrong = |detail: String| MenuFileError { path: path.display().to_string(), detail };
    let bytes = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(wrong(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    menu_of(&text).map_err(wrong)
}

/// Reads a menu that is a text already; `name` says in errors where it is from.
///
/// # Errors
///
/// If it is no TOML, or says something that is no menu.
pub fn parse(name: &str, text: &str) -> Result<Menu, MenuFileError> {
    menu_of(text).map_err(|detail| MenuFileError { path: name.to_owned(), detail })
}

fn menu_of(text: &str) -> Result<Menu, String> {
    let items: BTreeMap<String, Item> = toml::from_str(text).map_err(|error| error.to_string())?;
    let item = |(name, item): (String, Item)| {
        let stock = item.stock.map_or(Stock::Unlimited, Stock::Pieces);
        (name, MenuItem { price: item.price, stock })
    };
    Menu::new(items.into_iter().map(item)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_has_a_price_and_may_have_a_stock() {
        let menu = menu_of("[tea]\nprice = 2.5\n[cake]\nprice = 4\nstock = 3\n").unwrap();
        assert_eq!(menu.item("tea"), Some(MenuItem { price: 2.5, stock: Stock::Unlimited }));
        assert_eq!(menu.item("cake"), Some(MenuItem { price: 4.0, stock: Stock::Pieces(3) }));
    }

    #[test]
    fn what_is_no_menu_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", "no items"),
            ("[tea]\nprice = -1\n", "item 'tea': price is negative"),
            ("[tea]\nprize = 1\n", "unknown field `prize`"),
            ("[tea]\n", "missing field `price`"),
            ("[tea]\nprice = 1\nstock = -1\n", "stock"),
            ("tea", "TOML"),
        ] {
            let error = menu_of(text).unwrap_err();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }

    #[test]
    fn the_menu_of_the_repository_is_one_and_has_burgers() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/menu.toml");
        assert!(load(&path).unwrap().item("burger").is_some());
    }
}
