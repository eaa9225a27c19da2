mod concerned;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::metrics::Metrics;
use crate::controller_config::ControllerConfig;
use crate::limits;

pub use concerned::concerned;

/// Where the `ConfigMap` `numaflow-controller-config` is mounted.
pub const DEFAULT_PATH: &str = "/etc/numaflow/controller-config.yaml";

/// The controller configuration and the file that it comes from.
pub struct Source {
    path: Option<PathBuf>,
    text: Option<String>,
    sender: watch::Sender<Arc<ControllerConfig>>,
}

impl Source {
    /// Reads the file that was named, or that at [`DEFAULT_PATH`] where there is one, or takes the built-in configuration. A file that was named must
    /// be there and be right; one that is mounted later is found later.
    pub fn open(named: Option<&Path>) -> anyhow::Result<(Self, watch::Receiver<Arc<ControllerConfig>>)> {
        let path = named.map_or_else(|| PathBuf::from(DEFAULT_PATH), Path::to_path_buf);
        let text = if named.is_some() || path.exists() { Some(read(&path)?) } else { None };
        let config = match &text {
            Some(text) => parse(&path, text)?,
            None => ControllerConfig::built_in(),
        };
        let (sender, receiver) = watch::channel(Arc::new(config));
        Ok((Self { path: Some(path), text, sender }, receiver))
    }

    /// Follows the file for ever, by its content: kubelet swaps a link. One that cannot be read leaves the last good configuration in force.
    pub async fn follow(mut self, metrics: Arc<Metrics>) {
        metrics.configured(true);
        let mut ticks = interval(limits::CONFIG_LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = None;
        loop {
            ticks.tick().await;
            let looked = self.look();
            // Also where the last good one was put back.
            if looked.as_ref().is_ok_and(|changed| *changed || said.is_some()) {
                metrics.configured(true);
            }
            let words = looked.err().map(|error| format!("{error:#}"));
            if let Some(words) = words.as_ref().filter(|words| said.as_ref() != Some(*words)) {
                metrics.configured(false);
                tracing::warn!(error = words, "the controller configuration cannot be used; the last good one stays in force");
            }
            said = words;
        }
    }

    /// Whether there was a new one.
    fn look(&mut self) -> anyhow::Result<bool> {
        let Some(path) = self.path.as_ref().filter(|path| self.text.is_some() || path.exists()) else { return Ok(false) };
        let text = read(path)?;
        if self.text.as_ref() == Some(&text) {
            return Ok(false);
        }
        let config = parse(path, &text)?;
        self.text = Some(text);
        tracing::info!("the controller configuration changed");
        self.sender.send_replace(Arc::new(config));
        Ok(true)
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let file = File::open(path).with_context(|| format!("controller configuration {}", path.display()))?;
    let mut text = String::new();
    file.take(limits::CONFIG_FILE + 1).read_to_string(&mut text).with_context(|| format!("controller configuration {}", path.display()))?;
    ensure!(
        text.len() as u64 <= limits::CONFIG_FILE,
        "controller configuration {}: larger than {} bytes",
        path.display(),
        limits::CONFIG_FILE
    );
    Ok(text)
}

fn parse(path: &Path, text: &str) -> anyhow::Result<ControllerConfig> {
    ControllerConfig::parse(text).with_context(|| format!("controller configuration {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(receiver: &watch::Receiver<Arc<ControllerConfig>>) -> String {
        receiver.borrow().instance.clone()
    }

    #[test]
    fn a_change_is_taken_over_and_a_bad_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("controller-config.yaml");
        std::fs::write(&path, "instance: blue\n").unwrap();
        let (mut source, receiver) = Source::open(Some(&path)).unwrap();
        assert_eq!(instance(&receiver), "blue");
        std::fs::write(&path, "instance: [\n").unwrap();
        let error = source.look().unwrap_err();
        assert!(format!("{error:#}").contains("controller-config.yaml"), "{error:#}");
        assert_eq!(instance(&receiver), "blue");
        std::fs::write(&path, "instance: green\n").unwrap();
        source.look().unwrap();
        assert_eq!(instance(&receiver), "green");
        std::fs::remove_file(&path).unwrap();
        assert!(source.look().is_err());
        assert_eq!(instance(&receiver), "green");
    }

    /// kubelet never writes into a mounted `ConfigMap`: it renames the link `..data` onto a new folder, and removes the old one.
    #[test]
    #[cfg(unix)]
    fn a_mounted_config_map_that_is_swapped_is_taken_over() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        symlink("..data/controller-config.yaml", at("controller-config.yaml")).unwrap();
        let swap = |generation: u32, text: &str| {
            let name = format!("..{generation}");
            std::fs::create_dir(at(&name)).unwrap();
            std::fs::write(at(&name).join("controller-config.yaml"), text).unwrap();
            symlink(&name, at("..data_tmp")).unwrap();
            std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
            std::fs::remove_dir_all(at(&format!("..{}", generation - 1))).ok();
        };
        swap(1, "instance: blue\n");
        let (mut source, receiver) = Source::open(Some(&at("controller-config.yaml"))).unwrap();
        assert_eq!(instance(&receiver), "blue");
        assert!(!source.look().unwrap());
        // Of the same length, so that nothing but the content tells them apart; twice, so that no handle of the first file is kept.
        for (generation, name) in [(2, "pink"), (3, "teal")] {
            swap(generation, &format!("instance: {name}\n"));
            assert!(source.look().unwrap(), "{name}");
            assert_eq!(instance(&receiver), name);
        }
        assert!(!source.look().unwrap(), "what did not change wakes nobody");
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let Err(error) = Source::open(Some(Path::new("/nonexistent/config.yaml"))) else { unreachable!("it is not there") };
        assert!(format!("{error:#}").starts_with("controller configuration /nonexistent/config.yaml: No such file"), "{error:#}");
    }
}
