//! What the configuration reads beside its own text: environment variables and small files. Knows no key.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Secrets, profiles and certificates are small; a larger file is a mistake, and `/dev/zero` must not fill the memory.
const LARGEST_FILE: u64 = 1024 * 1024;

/// The surroundings of the server process, so that tests can do without them.
pub trait Environment {
    /// The value of an environment variable; `None` when it is not set or no UTF-8.
    fn variable(&self, name: &str) -> Option<String>;
    /// The content of a text file.
    ///
    /// # Errors
    /// When the file is missing, unreadable, larger than 1 MiB or no UTF-8.
    fn read_file(&self, path: &Path) -> io::Result<String>;
    /// The content of a file of whatever kind.
    ///
    /// # Errors
    /// When the file is missing, unreadable or larger than 1 MiB.
    fn read_bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.read_file(path).map(String::into_bytes)
    }
    /// Whether a folder can be listed.
    ///
    /// # Errors
    /// Why not.
    fn read_folder(&self, path: &Path) -> io::Result<()> {
        std::fs::read_dir(path).map(drop)
    }
    /// The folder that relative paths start from; an empty path is the working directory.
    fn base_directory(&self) -> PathBuf;
}

/// The real one.
#[derive(Clone, Debug, Default)]
pub struct ProcessEnvironment {
    base_directory: PathBuf,
}

impl ProcessEnvironment {
    /// Takes what `OrthancPluginGetConfigurationPath` says: Orthanc reads relative paths from the folder of its
    /// configuration file, and from its working directory when it has none.
    #[must_use]
    pub fn new(configuration_path: Option<&Path>) -> Self {
        let base = configuration_path.filter(|path| !path.as_os_str().is_empty()).map(|path| {
            if path.is_dir() { path.to_owned() } else { path.parent().map(Path::to_owned).unwrap_or_default() }
        });
        Self { base_directory: base.unwrap_or_default() }
    }
}

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read_file(&self, path: &Path) -> io::Result<String> {
        let no_text = |_| io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8");
        String::from_utf8(self.read_bytes(path)?).map_err(no_text)
    }

    fn read_bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        std::fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut content)?;
        if content.len() as u64 > LARGEST_FILE {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
        }
        Ok(content)
    }

    fn base_directory(&self) -> PathBuf {
        self.base_directory.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_start_where_orthanc_starts_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("orthanc.json");
        std::fs::write(&file, "{}").unwrap();
        assert_eq!(ProcessEnvironment::new(Some(&file)).base_directory(), folder.path());
        assert_eq!(ProcessEnvironment::new(Some(folder.path())).base_directory(), folder.path());
        assert_eq!(ProcessEnvironment::new(None).base_directory(), Path::new(""));
        assert_eq!(ProcessEnvironment::new(Some(Path::new(""))).base_directory(), Path::new(""));
    }

    #[test]
    fn a_file_without_end_is_not_read_to_its_end() {
        let error = ProcessEnvironment::default().read_file(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
