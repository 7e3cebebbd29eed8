//! One run of a scenario: its size, its dice, and what it has measured.

use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use service_kit::output::note;

/// How much of a scenario is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// A few seconds: part of `make test`.
    Short,
    /// As `make faults` runs it.
    Full,
}

/// Something that was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// What it is.
    pub name: String,
    /// Value with its unit.
    pub value: String,
}

/// A scenario on its way.
#[derive(Debug)]
pub struct Run {
    name: &'static str,
    size: Size,
    seed: u64,
    /// Everything that is left to chance comes from here.
    pub random: StdRng,
    figures: Vec<Figure>,
    started_at: Instant,
}

impl Run {
    pub(crate) fn new(name: &'static str, size: Size, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        Self { name, size, seed, random, figures: Vec::new(), started_at: Instant::now() }
    }

    /// One of two values, by the size of the run.
    pub fn pick<T>(&self, short: T, full: T) -> T {
        match self.size {
            Size::Short => short,
            Size::Full => full,
        }
    }

    /// Whether this is the long form.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.size == Size::Full
    }

    /// The seed of everything that is left to chance.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Tells on stderr what happens now.
    pub fn step(&self, text: impl AsRef<str>) {
        let seconds = self.started_at.elapsed().as_secs_f64();
        note(&format!("faults: {} {seconds:.1}s: {}", self.name, text.as_ref()));
    }

    /// Notes something measured.
    pub fn figure(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let figure = Figure { name: name.into(), value: value.into() };
        self.step(format!("{}: {}", figure.name, figure.value));
        self.figures.push(figure);
    }

    /// Notes a time.
    pub fn figure_time(&mut self, name: impl Into<String>, time: Duration) {
        self.figure(name, format!("{:.2} s", time.as_secs_f64()));
    }

    pub(crate) fn into_figures(self) -> Vec<Figure> {
        self.figures
    }
}
