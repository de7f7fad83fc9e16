//! Pairs of keys, made by the real program.

use std::fs;
use std::path::PathBuf;

use super::{World, Xtask};

/// A pair of keys in a world's folder.
pub struct Keys {
    /// The private key's file.
    pub private: PathBuf,
    /// The public key's file.
    pub public: PathBuf,
    /// What the program said is its fingerprint.
    pub fingerprint: String,
}

impl Keys {
    /// A pair without a passphrase.
    pub fn new(world: &World, name: &str) -> Self {
        Self::made_by(world, name, |keygen| keygen.arguments(["--no-passphrase"]))
    }

    /// A pair with one.
    pub fn encrypted(world: &World, name: &str, passphrase: &str) -> Self {
        Self::made_by(world, name, |keygen| keygen.env("CAIRN_KEY_PASSPHRASE", passphrase))
    }

    fn made_by(world: &World, name: &str, more: impl FnOnce(Xtask) -> Xtask) -> Self {
        let private = world.path(name);
        let keygen = Xtask::new(["keygen", private.to_str().unwrap()]);
        let said = more(keygen).run().succeeded().stdout;
        let fingerprint = said.lines().last().unwrap().rsplit(' ').next().unwrap().to_owned();
        Self { public: world.path(&format!("{name}.pub")), private, fingerprint }
    }

    /// The private key as it lies in its file.
    pub fn pem(&self) -> String {
        fs::read_to_string(&self.private).unwrap()
    }
}
