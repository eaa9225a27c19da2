//! Container images made here as OCI archives: one uncompressed layer, and the same bytes for the same content.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::programs::hex;

/// One image: its full reference, what is in it, and how it starts.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// With an explicit host part, such as `localhost/nats:2.12.7`: short names are completed to another host's.
    pub reference: String,
    /// What is in it, parents first.
    pub entries: Vec<Entry>,
    /// Program and arguments that start it.
    pub entrypoint: Vec<String>,
    /// Default arguments.
    pub command: Vec<String>,
    /// The folders that programs are looked for in.
    pub path: String,
    /// `uid:gid`; empty is root.
    pub user: String,
}

/// One thing in an image, by its path without the leading slash.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A folder with this mode.
    Folder(String, u32),
    /// A program copied from this machine.
    Program(String, PathBuf),
    /// A text file.
    Text(String, String),
    /// A symbolic link and what it points to.
    Link(String, String),
}

/// The user of our own images, and of nobody else.
pub const NOBODY: &str = "65532:65532";

/// `/etc` with the names that programs look up.
pub fn etc() -> Vec<Entry> {
    let passwd = "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
    vec![
        Entry::Folder("etc".into(), 0o755),
        Entry::Text("etc/passwd".into(), passwd.into()),
        Entry::Text("etc/group".into(), "root:x:0:\nnonroot:x:65532:\n".into()),
        Entry::Text("etc/nsswitch.conf".into(), "hosts: files dns\n".into()),
    ]
}

impl Image {
    /// An image that is one program of ours in /usr/local/bin, run as a user without rights.
    pub fn of_program(reference: impl Into<String>, program: &Path) -> Result<Self> {
        let file = program.file_name().and_then(|file| file.to_str()).context("a program's file name is UTF-8")?;
        let mut entries = etc();
        entries.extend(["usr", "usr/local", "usr/local/bin"].map(|folder| Entry::Folder(folder.into(), 0o755)));
        entries.push(Entry::Program(format!("usr/local/bin/{file}"), program.to_owned()));
        Ok(Self {
            reference: reference.into(),
            entries,
            entrypoint: vec![format!("/usr/local/bin/{file}")],
            path: "/usr/local/bin".into(),
            user: NOBODY.into(),
            ..Self::default()
        })
    }

    /// The image's archive in `cache`, made unless one of the same content is there.
    pub fn archive(&self, cache: &Path) -> Result<PathBuf> {
        fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
        let name: String = self.reference.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
        // Apart for each process: two that make the same archive do not write into one file.
        let layer = cache.join(format!(".layer-{}-{name}", std::process::id()));
        let made = self.assemble(&layer, cache, &name);
        let _ = fs::remove_file(&layer);
        let _ = fs::remove_file(half_made(&layer));
        made.with_context(|| format!("cannot make the image {}", self.reference))
    }

    fn assemble(&self, layer: &Path, cache: &Path, name: &str) -> Result<PathBuf> {
        let layer_digest = self.write_layer(layer)?;
        let config = serde_json::to_vec(&self.config(&layer_digest))?;
        let config_digest = hex(&Sha256::digest(&config));
        let size = fs::metadata(layer)?.len();
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": format!("sha256:{config_digest}"), "size": config.len()},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": format!("sha256:{layer_digest}"), "size": size}],
        }))?;
        let manifest_digest = hex(&Sha256::digest(&manifest));
        let archive = cache.join(format!("{name}-{}.tar", &manifest_digest[..16]));
        if archive.exists() {
            File::open(&archive)?.set_modified(SystemTime::now())?;
            return Ok(archive);
        }
        let index = serde_json::to_vec(&json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": format!("sha256:{manifest_digest}"), "size": manifest.len(),
                "annotations": {"io.containerd.image.name": self.reference, "org.opencontainers.image.ref.name": self.reference},
            }],
        }))?;
        let half_made = half_made(layer);
        let mut tar = Builder::new(BufWriter::new(File::create(&half_made)?));
        // The index comes first: `described` reads no further.
        append(&mut tar, "index.json", 0o644, index.len() as u64, index.as_slice())?;
        append(&mut tar, "oci-layout", 0o644, 30, br#"{"imageLayoutVersion":"1.0.0"}"#.as_slice())?;
        append(&mut tar, &format!("blobs/sha256/{config_digest}"), 0o644, config.len() as u64, config.as_slice())?;
        append(&mut tar, &format!("blobs/sha256/{manifest_digest}"), 0o644, manifest.len() as u64, manifest.as_slice())?;
        append(&mut tar, &format!("blobs/sha256/{layer_digest}"), 0o644, size, File::open(layer)?)?;
        tar.into_inner()?.flush()?;
        fs::rename(&half_made, &archive)?;
        Ok(archive)
    }

    fn write_layer(&self, path: &Path) -> Result<String> {
        let mut tar = Builder::new(Hashing { inner: BufWriter::new(File::create(path)?), hash: Sha256::new() });
        for entry in &self.entries {
            match entry {
                Entry::Folder(path, mode) => {
                    tar.append_data(&mut header(EntryType::Directory, *mode, 0), format!("{path}/"), io::empty())?;
                }
                Entry::Program(path, from) => {
                    let file = File::open(from).with_context(|| format!("cannot read {}", from.display()))?;
                    let size = file.metadata()?.len();
                    append(&mut tar, path, 0o755, size, file)?;
                }
                Entry::Text(path, text) => append(&mut tar, path, 0o644, text.len() as u64, text.as_bytes())?,
                Entry::Link(path, target) => tar.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, target)?,
            }
        }
        let mut hashing = tar.into_inner()?;
        hashing.flush()?;
        Ok(hex(&hashing.hash.finalize()))
    }

    fn config(&self, layer_digest: &str) -> Value {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let path = if self.path.is_empty() { "/" } else { &self.path };
        let mut run = json!({"Env": [format!("PATH={path}")], "WorkingDir": "/", "Entrypoint": self.entrypoint, "Cmd": self.command});
        if !self.user.is_empty() {
            run["User"] = json!(self.user);
        }
        json!({
            "created": "1970-01-01T00:00:00Z", "architecture": architecture, "os": "linux", "config": run,
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "cargo xtask cluster"}],
        })
    }
}

/// Removes what other processes left half made, and archives that nobody made or used for `age`.
pub fn prune(cache: &Path, age: Duration) -> Result<()> {
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let maker = name.strip_prefix(".layer-").and_then(|rest| rest.split('-').next());
        let abandoned = maker.is_some_and(|pid| !Path::new("/proc").join(pid).exists());
        let old = entry.metadata().and_then(|metadata| metadata.modified()).is_ok_and(|time| time.elapsed().is_ok_and(|since| since > age));
        if abandoned || old {
            // Another process may have been quicker.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

fn half_made(layer: &Path) -> PathBuf {
    PathBuf::from(format!("{}.archive", layer.display()))
}

/// Reference and manifest digest of each image in an archive, when its index says them first (ours do).
pub fn described(archive: &Path) -> Option<Vec<(String, String)>> {
    let mut tar = tar::Archive::new(File::open(archive).ok()?);
    let first = tar.entries().ok()?.next()?.ok()?;
    if first.path().ok()?.as_os_str() != "index.json" {
        return None;
    }
    let index: Value = serde_json::from_reader(first.take(1 << 20)).ok()?;
    let one = |manifest: &Value| {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some((text(&manifest["annotations"]["io.containerd.image.name"])?, text(&manifest["digest"])?))
    };
    index["manifests"].as_array()?.iter().map(one).collect()
}

fn append<W: Write>(tar: &mut Builder<W>, path: &str, mode: u32, size: u64, content: impl Read) -> Result<()> {
    tar.append_data(&mut header(EntryType::Regular, mode, size), path, content).with_context(|| format!("cannot add {path}"))
}

// No time, no owner but root: nothing of this machine's state gets in.
fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(text: &str) -> Image {
        let mut entries = etc();
        entries.push(Entry::Folder("bin".into(), 0o755));
        entries.push(Entry::Text("bin/tool".into(), text.into()));
        entries.push(Entry::Link("bin/other".into(), "tool".into()));
        Image {
            reference: "localhost/sample:1".into(),
            entries,
            entrypoint: vec!["/bin/tool".into()],
            user: NOBODY.into(),
            ..Image::default()
        }
    }

    #[test]
    fn the_same_content_makes_the_same_bytes() {
        let folder = std::env::temp_dir().join(format!("isbsvc-images-{}", std::process::id()));
        let [first, second] = ["a", "b"].map(|sub| sample("hello").archive(&folder.join(sub)).unwrap());
        assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
        assert_eq!(first.file_name(), second.file_name());

        let other = sample("hello!").archive(&folder.join("a")).unwrap();
        assert_ne!(first, other, "another content is another archive");

        let described = described(&first).unwrap();
        assert_eq!(described[0].0, "localhost/sample:1");
        assert!(described[0].1.starts_with("sha256:"));
        assert_eq!(fs::read_dir(folder.join("a")).unwrap().count(), 2, "nothing half made is left");
        fs::remove_dir_all(folder).unwrap();
    }
}
