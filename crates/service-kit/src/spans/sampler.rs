//! Which traces are recorded: `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.

/// Traces of which a part is taken are told apart by so many bits of their ids, as other SDKs do it.
const RATIO_BITS: u32 = 63;

/// What is said of a sampler that is none.
const NAMES: &str = "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio";

/// Says which traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampler {
    /// A trace is taken whose id is below this, of its last 63 bits.
    below: u64,
    /// What the caller has decided is kept.
    is_parent_based: bool,
}

impl Default for Sampler {
    /// As the callers say, and all that begin here.
    fn default() -> Self {
        Self { below: 1 << RATIO_BITS, is_parent_based: true }
    }
}

impl Sampler {
    /// Reads it from its standard name, and the share of traces where the name asks for one.
    ///
    /// # Errors
    ///
    /// Says what is wrong, and which names there are.
    pub fn parse(name: Option<&str>, share: Option<&str>) -> Result<Self, String> {
        let Some(name) = name else { return Ok(Self::default()) };
        let (kind, is_parent_based) = match name.strip_prefix("parentbased_") {
            Some(kind) => (kind, true),
            None => (name, false),
        };
        let share = match kind {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => read_share(share)?,
            _ => return Err(format!("OTEL_TRACES_SAMPLER is none of {NAMES}")),
        };
        #[expect(clippy::cast_possible_truncation, reason = "a share of 2^63 is in range")]
        let below = (share * (1_u64 << RATIO_BITS) as f64) as u64;
        Ok(Self { below, is_parent_based })
    }

    /// Whether a trace is recorded here; `caller` is what the caller said, if there is one.
    pub(super) fn takes(self, trace_id: u128, caller: Option<bool>) -> bool {
        let mask = u128::from((1_u64 << RATIO_BITS) - 1);
        match caller {
            Some(is_sampled) if self.is_parent_based => is_sampled,
            _ => (trace_id & mask) < u128::from(self.below),
        }
    }
}

fn read_share(text: Option<&str>) -> Result<f64, String> {
    let Some(text) = text else { return Ok(1.0) };
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "OTEL_TRACES_SAMPLER_ARG is no share from 0.0 to 1.0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_based_sampler_keeps_what_the_caller_decided_and_any_other_decides_itself() {
        let takes = |name, share, caller| {
            Sampler::parse(Some(name), share).unwrap().takes(u128::MAX / 3, caller)
        };
        assert!(Sampler::parse(None, None).unwrap().takes(1, None));
        assert!(!Sampler::default().takes(1, Some(false)));
        assert!(takes("always_on", None, Some(false)) && !takes("always_off", None, Some(true)));
        assert!(takes("parentbased_always_off", None, Some(true)));
        assert!(!takes("parentbased_always_off", None, None));
        assert!(takes("traceidratio", None, None) && takes("traceidratio", Some("1.0"), None));
        assert!(!takes("parentbased_traceidratio", Some("0"), None));
    }

    #[test]
    fn a_share_of_traces_is_taken_by_the_id_so_that_every_program_takes_the_same() {
        let quarter = Sampler::parse(Some("traceidratio"), Some("0.25")).unwrap();
        let taken = (0..10_000).filter(|_| quarter.takes(rand::random(), None)).count();
        assert!((2_000..3_000).contains(&taken), "{taken}");
        let id: u128 = rand::random();
        assert_eq!(quarter.takes(id, None), quarter.takes(id, Some(false)));
    }

    #[test]
    fn what_is_no_sampler_or_no_share_is_said_without_repeating_it() {
        for (name, share) in [("hunter2", None), ("traceidratio", Some("hunter2")), ("", None)] {
            let error = Sampler::parse(Some(name), share).unwrap_err();
            assert!(!error.contains("hunter2") && error.contains("OTEL_TRACES_SAMPLER"), "{error}");
        }
        for share in ["-0.1", "1.1", "nan", ""] {
            assert!(Sampler::parse(Some("traceidratio"), Some(share)).is_err(), "{share}");
        }
    }
}
