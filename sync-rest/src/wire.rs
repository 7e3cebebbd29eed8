//! What the three services say to each other: paths, headers, words.

/// Header with the number of an attempt; a later one is larger.
pub(crate) const ATTEMPT_HEADER: &str = "x-attempt";

/// Member of an answer: whether an attempt before this one reserved it.
pub(crate) const BY_EARLIER_ATTEMPT: &str = "by_earlier_attempt";

/// Path of a reservation.
pub(crate) const RESERVATION: &str = "/reservations/{id}";

/// Path of a notification.
pub(crate) const NOTIFICATION: &str = "/notifications/{id}";

/// Path of the reservation of an order.
pub(crate) fn reservation_path(order_id: &str) -> String {
    RESERVATION.replace("{id}", order_id)
}

/// Path of the notification of an order.
pub(crate) fn notification_path(order_id: &str) -> String {
    NOTIFICATION.replace("{id}", order_id)
}
