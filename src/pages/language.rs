//! The languages of the pages, and which of them a browser asks for.

/// A language of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English, also for whoever asks for none of these.
    English,
    /// French
    French,
    /// German
    German,
    /// Dutch
    Dutch,
    /// Spanish
    Spanish,
    /// Portuguese
    Portuguese,
}

impl Language {
    /// All of them, in the order of the columns in `texts`.
    pub const ALL: [Self; 6] =
        [Self::English, Self::French, Self::German, Self::Dutch, Self::Spanish, Self::Portuguese];

    /// Its tag (BCP 47).
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
            Self::German => "de",
            Self::Dutch => "nl",
            Self::Spanish => "es",
            Self::Portuguese => "pt",
        }
    }

    /// The one that a header `Accept-Language` (RFC 9110, 12.5.4) likes best.
    #[must_use]
    pub fn asked_for(header: Option<&str>) -> Self {
        let mut best = (Self::English, 0.0);
        for range in header.unwrap_or_default().split(',').take(16) {
            let (tag, weight) = range.split_once(';').unwrap_or((range, ""));
            let weight = weight.trim().strip_prefix("q=").map_or(1.0, |q| q.trim().parse().unwrap_or(0.0_f32));
            let primary = tag.trim().split('-').next().unwrap_or_default();
            let found = Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary));
            if let Some(language) = found
                && weight > best.1
            {
                best = (language, weight);
            }
        }
        best.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_liked_language_is_taken() {
        for (header, expected) in [
            (None, Language::English),
            (Some(""), Language::English),
            (Some("de-CH"), Language::German),
            (Some("ja, pt-BR;q=0.8, fr;q=0.9"), Language::French),
            (Some("en;q=0.2, NL;q=0.3"), Language::Dutch),
            (Some("es, fr"), Language::Spanish),
            (Some("de;q=rubbish, pt;q=0"), Language::English),
        ] {
            assert_eq!(Language::asked_for(header), expected, "{header:?}");
        }
    }
}
