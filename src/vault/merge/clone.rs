//! A clone's own configuration: attributes travel in the repository, what they name does
//! not.

use std::path::Path;

use super::super::disk::{Durable, Existing};
use super::super::git::{self, Committed};
use super::super::init::{ATTRIBUTES, attributes};
use super::super::{Vault, VaultError};
use crate::model::Timestamp;

const NAME: &str = "merge.strongroom.name";
const DRIVER: &str = "merge.strongroom.driver";

/// How a clone's git is set up for the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSetup {
    /// Whether `.gitattributes` has all that it should.
    pub attributes: bool,
    /// The merge driver that the clone's configuration names, whoever's it is.
    pub driver: Option<String>,
}

impl Vault {
    /// Looks at the clone's configuration; `None` where the vault is in no git work tree.
    pub fn git_setup(&self) -> Result<Option<GitSetup>, VaultError> {
        let Some(work) = self.git_result(git::Work::open(&self.root))? else {
            return Ok(None);
        };
        let config = self.git_result(work.repo.config().and_then(|mut c| c.snapshot()))?;
        Ok(Some(GitSetup {
            attributes: attributes(&self.root)?.is_none(),
            driver: config.get_string(DRIVER).ok(),
        }))
    }

    /// Names the program as this clone's merge driver.
    pub fn install_driver(&self, program: &Path) -> Result<(), VaultError> {
        let work = self.work()?;
        let set = || -> Result<(), git2::Error> {
            let mut config = work.repo.config()?.open_level(git2::ConfigLevel::Local)?;
            // A name without a driver would stop git.
            config.set_str(DRIVER, &driver(program))?;
            config.set_str(NAME, "strongroom's merge of a secret")
        };
        self.git_result(set())
    }

    /// Adds to `.gitattributes` what it lacks, and commits that.
    pub fn repair_attributes(&self, now: Timestamp) -> Result<Committed, VaultError> {
        let Some(text) = attributes(&self.root)? else {
            return Ok(Committed::Nothing);
        };
        let (replace, durable) = (Existing::Replace, Durable::Now);
        self.root
            .write(ATTRIBUTES, text.as_bytes(), replace, durable)?;
        if !self.config().git.commit {
            return Ok(Committed::Off);
        }
        let message = "doctor: what git must know of the vault's files";
        let paths = [ATTRIBUTES.to_owned()];
        Ok(git::commit(&self.root, &paths, message, now, git::PATIENCE))
    }
}

impl GitSetup {
    /// Whether the clone's merge driver is this program.
    pub fn is_driver(&self, program: &Path) -> bool {
        self.driver.as_deref() == Some(driver(program).as_str())
    }
}

/// The line that git hands to the shell.
fn driver(program: &Path) -> String {
    let quoted = program.to_string_lossy().replace('\'', r"'\''");
    // git replaces what begins with a percent sign.
    let quoted = quoted.replace('%', "%%");
    format!("'{quoted}' merge-driver %O %A %B %P")
}
