//! Where a program under test is to die.

/// Value of `FAILPOINTS` with which a program aborts at a fail point: `NAME`, or `NAME:N` for the N-th time
/// that it comes by.
///
/// # Panics
///
/// Panics where `N` is not a number.
pub fn fail_at(point: &str) -> String {
    let (name, nth) = point.split_once(':').unwrap_or((point, "1"));
    match nth.parse::<u32>().expect("a number of passes") - 1 {
        0 => format!("{name}=return"),
        passes => format!("{name}={passes}*off->return"),
    }
}

#[test]
fn a_program_aborts_the_first_time_or_the_nth() {
    assert_eq!(fail_at("after-poll"), "after-poll=return");
    assert_eq!(fail_at("after-poll:3"), "after-poll=2*off->return");
}
