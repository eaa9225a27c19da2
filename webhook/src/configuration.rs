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
    /// It is not there, and something else is: the `ConfigMap` that is mounted there holds another key.
    #[error("{} is not there, and its directory holds other files; give the ConfigMap the key {}", .0.display(), name_of(.0))]
    Misnamed(PathBuf),
    /// It is no policy.
    #[error("{}: {error}", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: PolicyError,
    },
}

/// What a look at a file gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// It says what it said before.
    Unchanged,
    /// It says something else, or went or came, and holds from now on.
    Changed,
    /// It cannot be used; what held before still does.
    Failed {
        /// Why.
        error: FileError,
        /// The last look failed in the same way, so it has been said.
        repeated: bool,
    },
}

/// What a look at all files gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looks {
    /// At the controller configuration.
    pub config: Look,
    /// At the policy.
    pub policy: Look,
}

/// The files, and what is in use of them. A bad one keeps no other from being taken up.
#[derive(Clone, Debug)]
pub struct Files {
    config: Source<ControllerConfig>,
    policy: Source<Policy>,
}

impl Files {
    /// Reads the files for the first time.
    ///
    /// One that is named and not there means the built-in default, and of a policy the rules' own levels, as long as its directory is there: so an
    /// optional `ConfigMap` can be mounted before it exists, and is taken up when it comes. Without the directory the path is a mistake.
    ///
    /// A policy that cannot be used is no reason to end: without a webhook, every change of a service would be refused by an API server that cannot say
    /// why, and with the rules' own levels, something would be admitted that somebody wanted refused. So every rule is enforced until it is mended.
    pub fn open(config: Option<PathBuf>, policy: Option<PathBuf>) -> Result<Self, FileError> {
        let mut config = Source::new(config, ControllerConfig::built_in, unless_absent, parse_config);
        if let Look::Failed { error, .. } = config.look() {
            return Err(error);
        }
        let mut policy = Source::new(policy, Policy::default, unless_no_policy, parse_policy);
        if let Look::Failed { error, .. } = policy.look() {
            if policy.path.as_deref().is_some_and(|path| !directory_of(path).is_dir()) {
                return Err(error);
            }
            policy.in_use = Policy::strictest(error.to_string());
        }
        Ok(Self { config, policy })
    }

    /// By what to judge.
    pub fn measure(&self) -> Measure {
        Measure { config: self.config.in_use.clone(), policy: self.policy.in_use.clone() }
    }

    /// The controller configuration that is named and not there, for which the built-in default stands in.
    pub fn absent_config(&self) -> Option<&Path> {
        self.config.path.as_deref().filter(|_| self.config.said == Said::Absent)
    }

    /// Whether there is a policy in use, or one that stands in for it.
    pub fn has_policy(&self) -> bool {
        self.policy.said != Said::Absent
    }

    /// Whether the policy in use is what its file says now, or there is none in either.
    pub fn policy_is_good(&self) -> bool {
        self.policy.last_error.is_none()
    }

    /// A number that tells the policies in use apart: 0 where there is none, 1 where every rule is enforced in place of one that cannot be used.
    pub fn policy_fingerprint(&self) -> u32 {
        match &self.policy.said {
            Said::Nothing => 1,
            Said::Absent => 0,
            Said::Text(text) => Policy::fingerprint(text),
        }
    }

    /// Whether there is a file to look at.
    pub fn are_named(&self) -> bool {
        self.config.path.is_some() || self.policy.path.is_some()
    }

    /// Looks again.
    pub fn look(&mut self) -> Looks {
        Looks { config: self.config.look(), policy: self.policy.look() }
    }
}

/// What a file said that is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    /// Nothing yet that could be used.
    Nothing,
    /// That it is not there.
    Absent,
    /// A text.
    Text(String),
}

/// One file, and what is in use of it.
#[derive(Clone, Debug)]
struct Source<T> {
    path: Option<PathBuf>,
    read: fn(&Path) -> Result<Said, FileError>,
    parse: fn(&Path, &str) -> Result<T, FileError>,
    absent: fn() -> T,
    said: Said,
    in_use: T,
    last_error: Option<FileError>,
}

impl<T> Source<T> {
    fn new(
        path: Option<PathBuf>,
        absent: fn() -> T,
        read: fn(&Path) -> Result<Said, FileError>,
        parse: fn(&Path, &str) -> Result<T, FileError>,
    ) -> Self {
        let said = if path.is_some() { Said::Nothing } else { Said::Absent };
        Self { path, read, parse, absent, said, in_use: absent(), last_error: None }
    }

    fn look(&mut self) -> Look {
        let Some(path) = self.path.as_deref() else { return Look::Unchanged };
        let read = (self.read)(path);
        if read.as_ref().is_ok_and(|said| *said == self.said) {
            self.last_error = None;
            return Look::Unchanged;
        }
        let understood = read.and_then(|said| {
            let in_use = match &said {
                Said::Text(text) => (self.parse)(path, text)?,
                Said::Nothing | Said::Absent => (self.absent)(),
            };
            Ok((said, in_use))
        });
        match understood {
            Ok((said, in_use)) => {
                (self.said, self.in_use, self.last_error) = (said, in_use, None);
                Look::Changed
            }
            Err(error) => {
                let repeated = self.last_error.as_ref() == Some(&error);
                self.last_error = Some(error.clone());
                Look::Failed { error, repeated }
            }
        }
    }
}

fn parse_config(path: &Path, text: &str) -> Result<ControllerConfig, FileError> {
    ControllerConfig::parse(text).map_err(|error| FileError::Config { path: path.to_owned(), error })
}

fn parse_policy(path: &Path, text: &str) -> Result<Policy, FileError> {
    Policy::parse(text).map_err(|error| FileError::Policy { path: path.to_owned(), error })
}

/// What a file says; nothing where only its directory is there.
fn unless_absent(path: &Path) -> Result<Said, FileError> {
    match text(path) {
        Err(FileError::Unreadable { kind: io::ErrorKind::NotFound, .. }) if directory_of(path).is_dir() => Ok(Said::Absent),
        read => read.map(Said::Text),
    }
}

/// The same for a policy, which nobody should lose by accident: a key of another name is a mistake, and a link that leads nowhere is what kubelet leaves for
/// a moment while it changes a mount.
fn unless_no_policy(path: &Path) -> Result<Said, FileError> {
    let read = unless_absent(path)?;
    if read == Said::Absent {
        let failed = |error: io::Error| FileError::Unreadable { path: path.to_owned(), kind: error.kind() };
        for entry in directory_of(path).read_dir().map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if Some(name.as_os_str()) == path.file_name() {
                return Err(failed(io::ErrorKind::NotFound.into()));
            }
            // kubelet's own links and folders begin with two dots.
            if !name.as_encoded_bytes().starts_with(b".") {
                return Err(FileError::Misnamed(path.to_owned()));
            }
        }
    }
    Ok(read)
}

fn name_of(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
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
mod tests;
