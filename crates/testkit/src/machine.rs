//! Who may run beside whom: a test that measures time needs a quiet machine.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static MACHINE: RwLock<()> = RwLock::new(());

/// Leave to run beside other tests; kept until the guard is dropped.
#[must_use = "the leave ends with the guard"]
pub fn shared() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Leave to run alone among the tests of this process; kept until the guard is dropped.
#[must_use = "the leave ends with the guard"]
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}
