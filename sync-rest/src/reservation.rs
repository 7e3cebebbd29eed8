//! What inventory decides about one order, as a value.
//!
//! ```text
//! nothing ──reserve──► reserved ──release──► released ──reserve, later attempt──► reserved
//!    │  └───reserve──► failed (for good)        ▲
//!    └─────────────────release──────────────────┘  its reservation may still be on its way
//! ```
//!
//! A decision is repeated to whoever asks again, with the word whether it was an earlier attempt's. An attempt that was released stays so: its own
//! reservation, should it come late, is refused, and a later attempt is not harmed by an earlier
//! one's release.

use orders::{FailureReason, InventoryOutcome};

/// What is known of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What it is for; empty and 0 where only a release came.
    pub item: String,
    /// How many.
    pub quantity: i32,
    /// The attempt that was decided about.
    pub first_attempt: u64,
    /// The latest attempt that asked.
    pub attempt: u64,
    /// What was decided.
    pub state: ReservationState,
}

/// What was decided about an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationState {
    /// Its stock is taken.
    Reserved,
    /// It got nothing, for good.
    Failed(FailureReason),
    /// Its stock was given back.
    Released,
}

/// What to do about a reservation that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// Decide it, by what is in stock.
    Decide,
    /// It was decided before, for this attempt or an earlier one.
    Repeat(InventoryOutcome, DecidedFor),
    /// The attempt was released before it came.
    TooLate,
    /// The order's id belongs to another order.
    Other,
}

/// For whom a reservation was made. Only what an attempt reserved itself is its own to give back:
/// an earlier one may have come further, and told the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecidedFor {
    /// The attempt that asks.
    ThisAttempt,
    /// An attempt before it.
    AnEarlierOne,
}

/// What to do about a release that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Give the stock back.
    GiveBack,
    /// Note the attempt, so that its reservation finds it should it come late.
    Note,
    /// Nothing is reserved, or a later attempt reserved it.
    Nothing,
}

/// Decides about a reservation.
pub fn reserve(known: Option<&Known>, item: &str, quantity: i32, attempt: u64) -> Reserve {
    let Some(known) = known else { return Reserve::Decide };
    let is_blank = known.item.is_empty();
    if !is_blank && (known.item != item || known.quantity != quantity) {
        return Reserve::Other;
    }
    let decided_for = if known.first_attempt < attempt {
        DecidedFor::AnEarlierOne
    } else {
        DecidedFor::ThisAttempt
    };
    let repeat = |outcome| Reserve::Repeat(outcome, decided_for);
    match known.state {
        ReservationState::Reserved => repeat(InventoryOutcome::Reserved),
        ReservationState::Failed(reason) => repeat(InventoryOutcome::Failed(reason)),
        ReservationState::Released if attempt > known.attempt => Reserve::Decide,
        ReservationState::Released => Reserve::TooLate,
    }
}

/// Decides about a release.
pub fn release(known: Option<&Known>, attempt: u64) -> Release {
    match known {
        None => Release::Note,
        Some(Known { state: ReservationState::Failed(_), .. }) => Release::Nothing,
        Some(known) if attempt < known.attempt => Release::Nothing,
        Some(Known { state: ReservationState::Reserved, .. }) => Release::GiveBack,
        Some(_) => Release::Note,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ReservationState::{Failed, Released, Reserved};

    const OUT: FailureReason = FailureReason::OutOfStock;

    fn known(state: ReservationState) -> Option<Known> {
        Some(Known { item: "burger".into(), quantity: 2, first_attempt: 5, attempt: 5, state })
    }

    #[track_caller]
    fn check_reserve(state: Option<ReservationState>, attempt: u64, expected: Reserve) {
        let known = state.and_then(known);
        assert_eq!(reserve(known.as_ref(), "burger", 2, attempt), expected);
    }

    #[track_caller]
    fn check_release(state: Option<ReservationState>, attempt: u64, expected: Release) {
        assert_eq!(release(state.and_then(known).as_ref(), attempt), expected);
    }

    #[test]
    fn a_decision_is_repeated_to_every_attempt() {
        use DecidedFor::{AnEarlierOne, ThisAttempt};
        for (attempt, decided_for) in [(4, ThisAttempt), (5, ThisAttempt), (6, AnEarlierOne)] {
            let yes = Reserve::Repeat(InventoryOutcome::Reserved, decided_for);
            check_reserve(Some(Reserved), attempt, yes);
            let no = Reserve::Repeat(InventoryOutcome::Failed(OUT), decided_for);
            check_reserve(Some(Failed(OUT)), attempt, no);
        }
        check_reserve(None, 5, Reserve::Decide);
    }

    #[test]
    fn a_released_attempt_gets_nothing_any_more_and_a_later_one_does() {
        check_reserve(Some(Released), 4, Reserve::TooLate);
        check_reserve(Some(Released), 5, Reserve::TooLate);
        check_reserve(Some(Released), 6, Reserve::Decide);
    }

    #[test]
    fn a_release_takes_nothing_from_a_later_attempt() {
        check_release(Some(Reserved), 4, Release::Nothing);
        check_release(Some(Reserved), 5, Release::GiveBack);
        check_release(Some(Reserved), 6, Release::GiveBack);
        check_release(Some(Failed(OUT)), 6, Release::Nothing);
    }

    #[test]
    fn a_release_that_comes_first_is_noted() {
        check_release(None, 5, Release::Note);
        check_release(Some(Released), 6, Release::Note);
        check_release(Some(Released), 4, Release::Nothing);
        let (item, state) = (String::new(), Released);
        let noted = Known { item, quantity: 0, first_attempt: 5, attempt: 5, state };
        assert_eq!(reserve(Some(&noted), "burger", 2, 5), Reserve::TooLate);
        assert_eq!(reserve(Some(&noted), "burger", 2, 6), Reserve::Decide);
    }

    #[test]
    fn an_id_belongs_to_one_order() {
        let known = known(Reserved);
        assert_eq!(reserve(known.as_ref(), "burger", 3, 6), Reserve::Other);
        assert_eq!(reserve(known.as_ref(), "fries", 2, 6), Reserve::Other);
    }
}
