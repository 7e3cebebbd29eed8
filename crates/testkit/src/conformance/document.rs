//! The rows as the table of a document.

use super::flow::Kind;
use super::rows::{Offer, ROWS};

/// The table of docs/paradigms.md, without a line break at its end.
pub fn table() -> String {
    let names = Kind::ALL.map(|kind| format!("`{}`", kind.name()));
    let mut lines =
        vec![format!("| promise | {} |", names.join(" | ")), "|---|---|---|---|".to_owned()];
    lines.extend(ROWS.iter().map(|row| {
        let cells = Kind::ALL.map(|kind| match row.offer(kind) {
            Offer::Yes(_) | Offer::Own(_) => "yes".to_owned(),
            Offer::No(why, _) => format!("no: {why}"),
        });
        format!("| {} | {} |", row.promise, cells.join(" | "))
    }));
    lines.join("\n")
}
