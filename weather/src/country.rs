//! Countries: the assigned codes of ISO 3166-1 alpha-2, a closed set.

use std::fmt;

/// All assigned codes, in their order, two characters each.
const CODES: &str = "\
ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCM\
CNCOCRCUCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGY\
HKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMF\
MGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARE\
RORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZ\
VAVCVEVGVIVNVUWFWSYEYTZAZMZW";

/// The code of a country, in upper case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country(&'static str);

impl Country {
    /// Reads a code, in upper or lower case; `None` if no country has it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::all().find(|country| country.0.eq_ignore_ascii_case(text))
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..CODES.len()).step_by(2).map(|at| Self(&CODES[at..at + 2]))
    }

    /// The code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_249_codes_in_their_order_and_each_reads_back() {
        let all: Vec<Country> = Country::all().collect();
        assert_eq!(all.len(), 249);
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "in order, and none twice");
        for country in all {
            assert!(country.as_str().bytes().all(|b| b.is_ascii_uppercase()), "{country}");
            assert_eq!(Country::parse(&country.as_str().to_ascii_lowercase()), Some(country));
        }
    }

    #[test]
    fn what_is_no_assigned_code_is_no_country() {
        for text in ["", "G", "GTM", "XX", "XK", "UK", "ZZ", "1A", "G T", "ÅÄ", "DA"] {
            assert_eq!(Country::parse(text), None, "{text}");
        }
        assert_eq!(Country::parse("gt").map(Country::as_str), Some("GT"));
    }
}
