//! The types of links. Knows nothing of what is inside one.

/// A type of link, by the names of orthanc-auth-service and Orthanc Explorer 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinkType {
    /// `viewer-instant-link`: for minutes, to open any viewer; whoever asked builds the URL.
    ViewerInstant,
    /// `meddream-instant-link`: for minutes, to open MedDream; its token comes from MedDream's token service.
    MedDreamInstant,
    /// `download-instant-link`: for minutes, to download.
    DownloadInstant,
    /// `stone-viewer-publication`.
    Stone,
    /// `meddream-viewer-publication`.
    MedDream,
    /// `osimis-viewer-publication`.
    Osimis,
    /// `ohif-viewer-publication`.
    Ohif,
    /// `volview-viewer-publication`.
    VolView,
    /// `inbox-link`: to upload into the inbox page, and to read nothing.
    Inbox,
}

impl LinkType {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::ViewerInstant,
        Self::MedDreamInstant,
        Self::DownloadInstant,
        Self::Stone,
        Self::MedDream,
        Self::Osimis,
        Self::Ohif,
        Self::VolView,
        Self::Inbox,
    ];

    /// The name in paths, bodies and tokens.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ViewerInstant => "viewer-instant-link",
            Self::MedDreamInstant => "meddream-instant-link",
            Self::DownloadInstant => "download-instant-link",
            Self::Stone => "stone-viewer-publication",
            Self::MedDream => "meddream-viewer-publication",
            Self::Osimis => "osimis-viewer-publication",
            Self::Ohif => "ohif-viewer-publication",
            Self::VolView => "volview-viewer-publication",
            Self::Inbox => "inbox-link",
        }
    }

    /// Reads a name, exactly.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|link_type| link_type.as_str() == name)
    }

    /// Whoever makes such a link must hold one of these.
    #[must_use]
    pub const fn permissions(self) -> &'static [&'static str] {
        match self {
            Self::ViewerInstant | Self::MedDreamInstant => &["all", "view"],
            Self::DownloadInstant => &["all", "download"],
            Self::Stone | Self::MedDream | Self::Osimis | Self::Ohif | Self::VolView => &["all", "share"],
            Self::Inbox => &["all", "create-inbox-links"],
        }
    }

    /// Whether it is made to be handed on, and to open one viewer.
    #[must_use]
    pub const fn is_publication(self) -> bool {
        matches!(self, Self::Stone | Self::MedDream | Self::Osimis | Self::Ohif | Self::VolView)
    }

    /// Whether it may be for a series or an instance. MedDream reads Orthanc by itself, and what is asked of its token
    /// service are studies.
    #[must_use]
    pub const fn opens_parts(self) -> bool {
        !matches!(self, Self::MedDream | Self::MedDreamInstant)
    }
}

impl std::fmt::Display for LinkType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::rights::KNOWN_PERMISSIONS;

    #[test]
    fn names_are_read_exactly() {
        for link_type in LinkType::ALL {
            assert_eq!(LinkType::parse(link_type.as_str()), Some(link_type));
            assert_eq!(LinkType::parse(&link_type.as_str().to_uppercase()), None);
            assert_eq!(LinkType::parse(&format!("{link_type} ")), None);
        }
        assert_eq!(LinkType::parse("invalid"), None);
        assert_eq!(LinkType::parse(""), None);
    }

    #[test]
    fn publications_are_called_so() {
        for link_type in LinkType::ALL {
            assert_eq!(link_type.is_publication(), link_type.as_str().ends_with("-publication"), "{link_type}");
        }
        assert_eq!(LinkType::ALL.into_iter().filter(|t| t.is_publication()).count(), 5);
    }

    #[test]
    fn permissions_are_known_ones() {
        for link_type in LinkType::ALL {
            let needed = link_type.permissions();
            assert!(needed.contains(&"all"), "{link_type}");
            assert!(needed.iter().all(|name| KNOWN_PERMISSIONS.contains(name)), "{link_type}");
        }
        assert!(LinkType::DownloadInstant.permissions().contains(&"download"));
        assert!(!LinkType::DownloadInstant.permissions().contains(&"view"));
        assert!(LinkType::Ohif.permissions().contains(&"share"));
        assert!(LinkType::Inbox.permissions().contains(&"create-inbox-links"));
    }
}
