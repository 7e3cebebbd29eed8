//! One thing wrong in a right log, for everything that the audit reads: what it says then.
//!
//! The logs are made in memory and given to the books as the brokers' records would be.

mod averages;
mod forwarded;
mod gone;
mod log;
mod outcomes;
mod sound;
mod unusual;

use super::report::{Invariant, Report};
use log::Log;

/// What the audit must say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// A violation of this invariant, whatever else.
    Red(Invariant),
    /// Nothing is wrong, and this cannot be proven.
    Unprovable(Invariant),
    Green,
}

use Says::{Green, Red, Unprovable};

/// A damage with what is said of it with the outcome log, and without.
type Row = (&'static str, fn(&mut Log), Says, Says);

/// A damage of one thing, by name.
type Damage<T> = (&'static str, fn(&mut T));

#[track_caller]
fn expect(what: &str, report: &Report, says: Says) {
    let fits = match says {
        Red(invariant) => !report.ok && !report.verdict(invariant).ok,
        Unprovable(invariant) => {
            report.ok && !report.proven && report.verdict(invariant).unprovable_count > 0
        }
        Green => report.ok && report.proven,
    };
    assert!(fits, "{what}: expected {says:?}\n{}", report.table());
}

/// Plants each damage into the right log and audits it with and without the outcome log.
#[track_caller]
fn judge(rows: &[Row]) {
    for (what, damage, with_outcomes, without) in rows {
        let mut log = Log::right();
        damage(&mut log);
        expect(&format!("{what}, with the outcome log"), &log.audit(true), *with_outcomes);
        expect(&format!("{what}, without"), &log.audit(false), *without);
    }
}
