//! What the pipelines tell over HTTP, besides metrics and health.

use std::sync::{Arc, Mutex, PoisonError};

use order_api::stock;
use orders::Menu;
use service_kit::http::{Endpoint, JsonLine, Routes, State};

use crate::report::Report;
use crate::stock::StockLevels;
use crate::tally::Tally;

/// The last look at what a pipeline's lanes know; a fraction of a second old.
#[derive(Debug, Default)]
pub(crate) struct Board<T>(Arc<Mutex<T>>);

impl<T> Clone for Board<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone> Board<T> {
    pub(crate) fn put(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }

    pub(crate) fn get(&self) -> T {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Paths of inventory.
pub(crate) fn inventory(board: Board<StockLevels>, menu: Menu) -> Routes {
    let levels = |(board, menu): &(Board<StockLevels>, Arc<Menu>)| Ok(board.get().levels(menu));
    stock::routes(levels).with_state((board, Arc::new(menu)))
}

/// Paths of analytics.
pub(crate) fn analytics(board: Board<Tally>) -> Routes {
    let report = async |State(board): State<Board<Tally>>| JsonLine(Report::of(&board.get()));
    Routes::new([Endpoint::at("/analytics").get(report)]).with_state(board)
}
