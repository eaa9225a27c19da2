//! The files that say how to judge: the controller configuration and the policy. Read at the start, and again when what they say changes.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use isbsvc::controller_config::{ConfigError, ControllerConfig};
use isbsvc::limits;
use isbsvc::rules::{Policy, PolicyError};

use crate::admission::Measure;

/// A file of configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{} cannot be read: {kind}; give the path of a readable file", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        kind: io::ErrorKind,
    },
    /// It is larger than a `ConfigMap` can be.
    #[error("{} is larger than 1 MiB, so it is no configuration of ours", .0.display())]
    TooLarge(PathBuf),
    /// It is not text.
    #[error("{} is not UTF-8 text", .0.display())]
    NotText(PathBuf),
    /// It is no controller configuration.
    #[error("{}: {error}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: ConfigError,
    },
    /// It is no policy.
    #[error("{}: {error}", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: PolicyError,
    },
}

/// What a look at the files gave.
#[derive(Clone, Debug)]
pub enum Look {
    /// They say what they said before.
    Unchanged,
    /// They say something else, by which to judge from now on.
    Changed(Box<Measure>),
    /// They cannot be used; what held before still does.
    Failed {
        /// Why.
        error: FileError,
        /// The last look failed in the same way, so it has been said.
        repeated: bool,
    },
}

/// The files, and what they said last.
#[derive(Clone, Debug)]
pub struct Files {
    config: Option<PathBuf>,
    policy: Option<PathBuf>,
    /// What is in use; `None` stands for a file that is not there.
    said: (Option<String>, Option<String>),
    last_error: Option<FileError>,
}

impl Files {
    /// Reads the files for the first time.
    ///
    /// A controller configuration that is named and not there means the built-in default, as long as its directory is there: so an optional `ConfigMap`
    /// can be mounted before it exists, and is taken up when it comes. Without the directory the path is a mistake. A policy that is named must be there:
    /// without it, something would be allowed that somebody wanted refused.
    pub fn open(config: Option<PathBuf>, policy: Option<PathBuf>) -> Result<(Self, Measure), FileError> {
        let mut files = Self { config, policy, said: (None, None), last_error: None };
        let said = files.read()?;
        let measure = files.understand(&said)?;
        files.said = said;
        Ok((files, measure))
    }

    /// The controller configuration that is named and not there, for which the built-in default stands in.
    pub fn absent_config(&self) -> Option<&Path> {
        self.config.as_deref().filter(|_| self.said.0.is_none())
    }

    /// Whether there is a file to look at.
    pub fn are_named(&self) -> bool {
        self.config.is_some() || self.policy.is_some()
    }

    /// Looks again.
    pub fn look(&mut self) -> Look {
        let read = self.read();
        if read.as_ref().is_ok_and(|said| *said == self.said) {
            self.last_error = None;
            return Look::Unchanged;
        }
        match read.and_then(|said| self.understand(&said).map(|measure| (said, measure))) {
            Ok((said, measure)) => {
                (self.said, self.last_error) = (said, None);
                Look::Changed(Box::new(measure))
            }
            Err(error) => {
                let repeated = self.last_error.as_ref() == Some(&error);
                self.last_error = Some(error.clone());
                Look::Failed { error, repeated }
            }
        }
    }

    fn read(&self) -> Result<(Option<String>, Option<String>), FileError> {
        let config = match &self.config {
            None => None,
            Some(path) => match text(path) {
                Err(FileError::Unreadable { kind: io::ErrorKind::NotFound, .. }) if directory_of(path).is_dir() => None,
                read => Some(read?),
            },
        };
        let policy = self.policy.as_deref().map(text).transpose()?;
        Ok((config, policy))
    }

    fn understand(&self, (config, policy): &(Option<String>, Option<String>)) -> Result<Measure, FileError> {
        let config = match (config, &self.config) {
            (Some(text), Some(path)) => ControllerConfig::parse(text).map_err(|error| FileError::Config { path: path.clone(), error })?,
            _ => ControllerConfig::built_in(),
        };
        let policy = match (policy, &self.policy) {
            (Some(text), Some(path)) => Policy::parse(text).map_err(|error| FileError::Policy { path: path.clone(), error })?,
            _ => Policy::default(),
        };
        Ok(Measure { config, policy })
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn text(path: &Path) -> Result<String, FileError> {
    let failed = |error: io::Error| FileError::Unreadable { path: path.to_owned(), kind: error.kind() };
    let mut content = Vec::new();
    File::open(path).map_err(failed)?.take(limits::FILE + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > limits::FILE {
        return Err(FileError::TooLarge(path.to_owned()));
    }
    String::from_utf8(content).map_err(|_| FileError::NotText(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const CONFIG: &str =
        "isbsvc:\n  jetstream:\n    versions:\n      - { version: 9.9.9, natsImage: \"nats:9.9.9\", startCommand: /nats-server }\n";

    fn versions(measure: &Measure) -> Vec<&str> {
        measure.config.jetstream.versions.iter().map(|entry| entry.version.as_str()).collect()
    }

    #[test]
    fn a_config_map_that_comes_later_is_taken_up_and_a_bad_one_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("controller-config.yaml");
        let (mut files, measure) = Files::open(Some(path.clone()), None).unwrap();
        assert_eq!(files.absent_config(), Some(path.as_path()));
        assert_eq!(measure.config, ControllerConfig::built_in());
        assert!(matches!(files.look(), Look::Unchanged));

        fs::write(&path, CONFIG).unwrap();
        let Look::Changed(measure) = files.look() else { panic!("not taken up") };
        assert_eq!(versions(&measure), ["9.9.9"]);
        assert!(matches!(files.look(), Look::Unchanged) && files.absent_config().is_none());

        fs::write(&path, "isbsvc: [").unwrap();
        assert!(matches!(files.look(), Look::Failed { repeated: false, .. }));
        assert!(matches!(files.look(), Look::Failed { repeated: true, .. }));
        fs::write(&path, CONFIG).unwrap();
        assert!(matches!(files.look(), Look::Unchanged), "what held before still does");
    }

    #[test]
    fn wrong_files_are_named_in_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = directory.path().join(name);
            fs::write(&path, content).unwrap();
            Some(path)
        };
        let cases = [
            (Some(directory.path().join("no/such/file")), None, "cannot be read"),
            (Some(directory.path().to_owned()), None, "cannot be read"),
            (None, Some(directory.path().join("policy.yaml")), "cannot be read"),
            (file("broken.yaml", b"a: ["), None, "broken.yaml: "),
            (file("binary.yaml", &[0xff, 0xfe]), None, "is not UTF-8 text"),
            (file("large.yaml", &vec![b' '; 1024 * 1024 + 1]), None, "larger than 1 MiB"),
            (None, file("policy-broken.yaml", b"rules: { no-such-rule: warn }"), "policy-broken.yaml: "),
        ];
        for (config, policy, words) in cases {
            let error = Files::open(config, policy).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn without_files_the_built_in_default_holds() {
        let (files, measure) = Files::open(None, None).unwrap();
        assert!(!files.are_named());
        assert_eq!(measure.config, ControllerConfig::built_in());
    }
}
