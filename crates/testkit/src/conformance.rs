//! One table of promises for the three order flows, and one check for each of them over the real programs.
//!
//! ```text
//! rows ──► scenes ──► play::<F>(scene): starts flow F once, checks its rows one after the other,
//!   │                                   and names every promise that is broken
//!   └────► document: the table of docs/paradigms.md
//! ```
//!
//! A row is a promise in one sentence. For each flow it says how the promise is shown, or why the flow does not make it;
//! what can be shown of "does not" is checked as well. A flow cannot leave a row out, since a row has a field for each,
//! nor a scene, since its tests are made by [`conformance_suite`](crate::conformance_suite).

mod client;
mod document;
mod failing;
mod flow;
mod front;
mod front_refuses;
mod load;
mod rows;
mod services;
mod starting;
mod trouble;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

pub use self::document::table;
pub use self::flow::{DeadLetter, Describes, Flow, Kind, Service, Staged};
pub use self::rows::{Check, Offer, ROWS, Row, Scene};

/// Checks that a flow keeps what it promises in a scene.
///
/// # Panics
///
/// Panics with every promise that is broken, and how.
pub fn play<F: Staged>(scene: Scene) {
    F::stage(scene, &mut || act::<F>(scene));
}

fn act<F: Staged>(scene: Scene) {
    let mut flow = F::start(scene);
    let mut broken = Vec::new();
    for row in ROWS.iter().filter(|row| row.scene == scene) {
        let Some(check) = row.check(F::KIND) else { continue };
        let began_at = Instant::now();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&mut flow))) {
            broken.push(format!("- {}: {}", row.promise, words_of(panic)));
        }
        eprintln!("{:>6.2} s  {}", began_at.elapsed().as_secs_f64(), row.promise);
    }
    let name = F::KIND.name();
    assert!(broken.is_empty(), "{name} breaks {} promises:\n{}", broken.len(), broken.join("\n"));
}

/// What a check said when it failed. A panic that carries something else is meant for whoever plays the scene.
fn words_of(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => match panic.downcast::<&'static str>() {
            Ok(text) => (*text).to_owned(),
            Err(panic) => resume_unwind(panic),
        },
    }
}

/// Makes the conformance tests of a flow: one for each scene.
#[macro_export]
macro_rules! conformance_suite {
    ($flow:ty) => {
        $crate::conformance_suite! {
            @tests $flow;
            while_all_is_well => AllIsWell,
            with_trouble_on_request => TroubleOnRequest,
            while_attempts_fail => AttemptsFail,
            while_services_are_killed_under_load => ServicesAreKilled,
            while_its_server_is_away => ServerIsAway,
        }
    };
    (@tests $flow:ty; $($name:ident => $scene:ident,)+) => {
        $(
            #[test]
            fn $name() {
                $crate::conformance::play::<$flow>($crate::conformance::Scene::$scene);
            }
        )+

        /// No scene is left out.
        const _: fn($crate::conformance::Scene) = |scene| match scene {
            $($crate::conformance::Scene::$scene => (),)+
        };
    };
}
