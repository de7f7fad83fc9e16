//! Packages of operating systems: brought, and told about where they are staged.

use anyhow::{Context as _, Result};
use packaging_archive::EntryPath;

use super::{Did, Runner, Work, supply};
use crate::os;
use crate::plan::{BUNDLE_TIME, Packages, Step};

impl Runner<'_> {
    /// Brings packages into the cache.
    pub(super) fn packages(&self, packages: &Packages) -> Result<Did> {
        let cached = os::bring(packages, self.cache, self.offline, self.progress)?;
        self.progress.say(&format!("{} packages, {cached} of them from the cache", packages.packages.len()));
        Ok(Did::Brought { packages: packages.packages.len(), cached })
    }

    /// Stages the index and the record of the packages of `os`.
    pub(super) fn catalogue(
        &self,
        os: &str,
        section: &str,
        index: &EntryPath,
        record: &EntryPath,
        work: &mut Work,
    ) -> Result<()> {
        let (told, listed) = os::described(self.planned(os)?, self.cache)?;
        for (path, bytes) in [(index, listed.into_bytes()), (record, told.json()?)] {
            supply::stage(work, path, section, BUNDLE_TIME, bytes);
        }
        work.records.push(told);
        Ok(())
    }

    /// Makes the guest image of the packages of `set`, and stages it.
    pub(super) fn guest(&self, set: &str, section: &str, image: &EntryPath, work: &mut Work) -> Result<()> {
        let (record, bytes) = os::guest_image(self.planned(set)?, self.cache, &work.stage)?;
        supply::stage(work, image, section, BUNDLE_TIME, bytes);
        work.records.push(record);
        Ok(())
    }

    fn planned(&self, os: &str) -> Result<&Packages> {
        let planned = self.plan.steps.iter().find_map(|step| match step {
            Step::Packages(packages) if packages.os == os => Some(packages),
            _ => None,
        });
        planned.context("no packages were planned")
    }
}
