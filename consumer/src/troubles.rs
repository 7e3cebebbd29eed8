//! What keeps the consumer from working, and since when.

use std::time::{Duration, Instant};

use service_kit::health::Reason;
use service_kit::unavailable::in_short;

use crate::view::{lasting, time_of_day};

/// A condition that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) condition: String,
    pub(crate) detail: String,
    pub(crate) since_ms: i64,
    pub(crate) lasts: Duration,
}

impl Trouble {
    /// `broker for 12 s (since 14:21:38Z): …`.
    pub(crate) fn words(&self) -> String {
        let Self { condition, detail, since_ms, lasts } = self;
        // How long it lasts is said already, and what is away by the condition.
        let short = in_short(detail);
        let why = if short == detail {
            detail
        } else {
            short.split_once(": ").map_or(short, |(_, why)| why)
        };
        format!("{condition} for {} (since {}): {why}", lasting(*lasts), time_of_day(*since_ms))
    }
}

/// Whether the condition says that something the consumer needs is unavailable.
pub(crate) fn is_unavailability(condition: &str) -> bool {
    matches!(condition, "broker" | "registry" | "downstream")
}

/// Troubles as they come and go.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Vec<(Trouble, Instant)>);

impl Troubles {
    /// Takes in what is wrong now. One condition is one trouble, however many lanes meet it, and
    /// keeps its beginning while it lasts.
    pub(crate) fn update(&mut self, reasons: &[Reason], now: Instant, now_ms: i64) {
        self.0.retain(|(known, _)| reasons.iter().any(|it| it.condition == known.condition));
        let mut told: Vec<&str> = Vec::new();
        for Reason { condition, detail } in reasons {
            if told.contains(&condition.as_str()) {
                continue;
            }
            told.push(condition);
            match self.0.iter_mut().find(|(known, _)| known.condition == *condition) {
                Some((known, since)) => {
                    known.detail.clone_from(detail);
                    known.lasts = now.saturating_duration_since(*since);
                }
                None => {
                    let trouble = Trouble {
                        condition: condition.clone(),
                        detail: detail.clone(),
                        since_ms: now_ms,
                        lasts: Duration::ZERO,
                    };
                    self.0.push((trouble, now));
                }
            }
        }
    }

    pub(crate) fn all(&self) -> Vec<Trouble> {
        self.0.iter().map(|(trouble, _)| trouble.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_keeps_its_beginning_while_it_lasts_and_starts_anew_after_its_end() {
        let reason = |condition: &str, detail: &str| Reason {
            condition: condition.to_owned(),
            detail: detail.to_owned(),
        };
        let (mut troubles, start) = (Troubles::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        troubles.update(&[reason("broker", "lane 0"), reason("broker", "lane 1")], at(0), 0);
        troubles.update(&[reason("broker", "lane 1")], at(12), 12_000);
        let all = troubles.all();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].words(), "broker for 12 s (since 00:00:00Z): lane 1");
        let away = "Kafka has been unavailable for 12 s: 127.0.0.1:9092: no answer";
        troubles.update(&[reason("broker", away)], at(12), 12_000);
        let words = "broker for 12 s (since 00:00:00Z): 127.0.0.1:9092: no answer";
        assert_eq!(troubles.all()[0].words(), words);
        troubles.update(&[], at(13), 13_000);
        assert!(troubles.all().is_empty());
        troubles.update(&[reason("broker", "lane 1")], at(14), 14_000);
        assert_eq!(troubles.all()[0].words(), "broker for 0 s (since 00:00:14Z): lane 1");
    }
}
