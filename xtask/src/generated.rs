//! `cargo xtask generate`: writes the files that are made from the code.

use anyhow::{Result, bail};

use crate::repository::cargo;

/// Writes them. The test that compares them everywhere else does the writing, so that there is one piece of code that knows them.
pub fn write() -> Result<()> {
    let status =
        cargo(&["test", "--locked", "--quiet", "-p", "isbsvc-tests", "--test", "generated"]).env("UPDATE_GENERATED", "1").status()?;
    if !status.success() {
        bail!("the files were not written; the lines above say why");
    }
    println!("the definition, manifests/policy and docs/rules.md are up to date");
    Ok(())
}
