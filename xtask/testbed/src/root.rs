//! The cached roots: how one is found in the cache, and taken into it. A root in the cache is whole, since it got
//! its name only after it was built and written to disk; it is never changed afterwards.

use crate::build;
use crate::recipe::{LATER_RELEASE, Recipe};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// A root in the cache. Clone it to use it.
#[derive(Debug)]
pub struct Root {
    testbed: PathBuf,
    /// Top first.
    layers: Vec<PathBuf>,
}

impl Root {
    /// The root of this recipe, if it is in the cache.
    pub(crate) fn cached(testbed: &Path, recipe: Recipe) -> Option<Self> {
        let path = testbed.join(recipe.key()).join("root");
        let mut layers = match recipe {
            Recipe::Host | Recipe::LaterVirt | Recipe::Debian(_) => Vec::new(),
            Recipe::Virt | Recipe::Browser | Recipe::Kernel => Self::cached(testbed, Recipe::Host)?.layers,
        };
        layers.insert(0, path.clone());
        path.is_dir().then_some(Self { testbed: testbed.to_owned(), layers })
    }

    /// Builds the root of this recipe in the folder `work`. The caller holds the lock of the testbed.
    pub(crate) fn build(testbed: &Path, recipe: Recipe, work: &Path) -> Result<()> {
        let tree = work.join("root");
        match recipe {
            Recipe::Host => build::host(&tree, work),
            Recipe::LaterVirt => build::debian(&tree, LATER_RELEASE.suite(), recipe.packages()),
            Recipe::Debian(release) => build::debian(&tree, release.suite(), recipe.packages()),
            Recipe::Virt | Recipe::Browser | Recipe::Kernel => {
                let Some(host) = Self::cached(testbed, Recipe::Host) else {
                    bail!("this root stands on `host`, which is not in `{}`", testbed.display());
                };
                build::layer(&host, recipe.packages())?.keep_upper(&tree)
            }
        }
    }

    /// A root with what either of them has; where both differ from what they stand on, with what `self` has. Debian's package
    /// database is then that of `self`.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let mut layers = self.layers.clone();
        let at = layers.iter().position(|layer| other.layers.contains(layer)).unwrap_or(layers.len());
        layers.splice(at..at, other.layers.iter().filter(|layer| !self.layers.contains(layer)).cloned());
        Self { testbed: self.testbed.clone(), layers }
    }

    pub(crate) fn layers(&self) -> &[PathBuf] {
        &self.layers
    }

    pub(crate) fn clones(&self) -> PathBuf {
        self.testbed.join("clones")
    }
}
