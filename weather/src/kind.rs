//! Kinds of weather, a closed set.

/// A kind of weather.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `sunny`
    Sunny,
    /// `cloudy`
    Cloudy,
    /// `rainy`
    Rainy,
    /// `stormy`
    Stormy,
    /// `snowy`
    Snowy,
    /// `foggy`
    Foggy,
    /// `windy`
    Windy,
}

/// Other names of a kind, in lower case: nouns, and those of Spanish clients.
const NAMES: [(Kind, &[&str]); 7] = [
    (Kind::Sunny, &["sunny", "sun", "clear", "soleado", "despejado"]),
    (Kind::Cloudy, &["cloudy", "clouds", "overcast", "nublado", "nubloso", "nuboso"]),
    (Kind::Rainy, &["rainy", "rain", "drizzle", "lluvioso", "lluvia"]),
    (Kind::Stormy, &["stormy", "storm", "thunderstorm", "tormentoso", "tormenta"]),
    (Kind::Snowy, &["snowy", "snow", "nevado", "nieve"]),
    (Kind::Foggy, &["foggy", "fog", "mist", "niebla", "neblina"]),
    (Kind::Windy, &["windy", "wind", "ventoso", "viento"]),
];

impl Kind {
    /// Reads a name, in any case; `None` if no kind has it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let has = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(text));
        NAMES.iter().find(|(_, names)| has(names)).map(|(kind, _)| *kind)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(kind, _)| *kind)
    }

    /// Its own name, which is counted.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sunny => "sunny",
            Self::Cloudy => "cloudy",
            Self::Rainy => "rainy",
            Self::Stormy => "stormy",
            Self::Snowy => "snowy",
            Self::Foggy => "foggy",
            Self::Windy => "windy",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_belongs_to_one_kind_and_is_read_in_any_case() {
        let all: Vec<&str> = NAMES.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        for (kind, names) in NAMES {
            assert_eq!(names[0], kind.as_str());
            for name in names {
                assert_eq!(Kind::parse(&name.to_uppercase()), Some(kind), "{name}");
                assert_eq!(all.iter().filter(|other| other == &name).count(), 1, "{name}");
            }
        }
        assert_eq!(Kind::parse("Lluvioso"), Some(Kind::Rainy));
    }

    #[test]
    fn any_other_text_is_no_kind() {
        for text in ["", " sunny", "sunny\0", "hot", "rainy rainy"] {
            assert_eq!(Kind::parse(text), None, "{text:?}");
        }
    }
}
