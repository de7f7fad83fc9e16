//! Whose files a host installs: anybody's, until an operator says whom to trust.

use std::fs;
use std::path::{Path, PathBuf};

use packaging_archive::{Archive, PrivateKey, TRAILER_BYTES, Trailer, sign};

use crate::site::{Done, Run as _, Site, plain, version};
use crate::support::run_file;

/// A key, and the packed file signed with it.
struct Signed {
    public: PathBuf,
    file: PathBuf,
    fingerprint: String,
}

impl Signed {
    fn new(site: &Site, name: &str) -> Self {
        let key = PrivateKey::generate().unwrap();
        let (public, file) = (site.beside(&format!("{name}.pub")), site.beside(&format!("{name}.run")));
        site.write(&public, 0o600, &key.public().to_pem().unwrap());
        sign(&Archive::open(run_file()).unwrap(), &key, &file).unwrap();
        Self { public, file, fingerprint: key.public().fingerprint().to_string() }
    }

    /// Where a host keeps the key.
    fn kept(&self, site: &Site) -> PathBuf {
        site.at("/etc/cairn/trusted").join(format!("{}.pem", self.fingerprint))
    }
}

fn run(file: &Path, words: &[&str]) -> Done {
    plain("sh").arg(file).args(words).done()
}

fn install(site: &Site, file: &Path, more: &[&str]) -> Done {
    let root = site.root();
    run(file, &[&["--root", root.to_str().unwrap(), "--no-start", "--yes"], more].concat())
}

fn option(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

/// Installs, which is refused with code 8, and sees that nothing was left or changed.
#[track_caller]
fn refused(site: &Site, file: &Path, more: &[&str]) -> Done {
    let before = site.listing();
    let done = install(site, file, more).expect(8);
    assert_eq!(before.diff(&site.listing()), "");
    done
}

#[test]
fn without_a_trusted_key_a_signature_is_named_and_not_asked_for() {
    let site = Site::new();
    let signed = Signed::new(&site, "ours");
    let words = format!("signed by {}, not checked: no trusted key on this host", signed.fingerprint);
    install(&site, &signed.file, &[]).expect(0).says(&words);
    assert!(!site.at("/etc/cairn/trusted").exists());
    // What is kept for a later way back is as it was signed.
    let kept = site.at("/var/lib/cairn/archives").join(format!("{}.run", version()));
    assert!(fs::read(kept).unwrap() == fs::read(&signed.file).unwrap());
    // The same version without a signature is as good here.
    site.install(&[]).expect(0).says("not signed");
}

#[test]
fn a_key_that_is_trusted_is_kept_and_from_then_on_demanded() {
    let site = Site::new();
    let (ours, theirs) = (Signed::new(&site, "ours"), Signed::new(&site, "theirs"));
    let trust = option("trust", &ours.public);
    refused(&site, &run_file(), &[&trust]).says("is not signed").says(&ours.fingerprint);
    refused(&site, &theirs.file, &[&trust]).says(&theirs.fingerprint).says(&ours.fingerprint);

    install(&site, &ours.file, &[&trust, "--dry-run"])
        .expect(0)
        .says(&format!("trust the key {} from now on", ours.fingerprint));
    assert!(!ours.kept(&site).exists());
    install(&site, &ours.file, &[&trust]).expect(0).says("which is trusted here");
    assert_eq!(fs::read(ours.kept(&site)).unwrap(), fs::read(&ours.public).unwrap());
    assert_eq!(site.modes()[&format!("/etc/cairn/trusted/{}.pem", ours.fingerprint)], 0o644);
    let receipt = fs::read_to_string(site.at("/var/lib/cairn/receipt.json")).unwrap();
    assert!(receipt.contains(&format!("/etc/cairn/trusted/{}.pem", ours.fingerprint)), "{receipt}");

    install(&site, &ours.file, &[]).expect(0).says("nothing to do");
    refused(&site, &run_file(), &[])
        .says(run_file().to_str().unwrap())
        .says("is not signed")
        .says(&ours.fingerprint);
    let done = refused(&site, &theirs.file, &[]).says(&format!("is signed by {}", theirs.fingerprint));
    assert!(done.err.contains(&format!("a signature by {}", ours.fingerprint)), "{}", done.err);
    assert!(done.err.contains("trust it too: --trust KEY.pub"), "{}", done.err);

    // What the message says: the other key is trusted too, and then both are.
    install(&site, &theirs.file, &[&option("trust", &theirs.public)]).expect(0);
    for file in [&ours.file, &theirs.file] {
        install(&site, file, &[]).expect(0);
    }
    refused(&site, &run_file(), &[]);
}

#[test]
fn the_operators_keys_survive_a_removal_and_go_with_a_purge() {
    let site = Site::new();
    let ours = Signed::new(&site, "ours");
    install(&site, &ours.file, &[&option("trust", &ours.public)]).expect(0);
    site.uninstall(&[]).expect(0).says("keys whose files are trusted here");
    assert!(ours.kept(&site).exists());
    refused(&site, &run_file(), &[]);
    install(&site, &ours.file, &[]).expect(0);
    let receipt = fs::read_to_string(site.at("/var/lib/cairn/receipt.json")).unwrap();
    assert!(receipt.contains(&ours.fingerprint), "{receipt}");
    site.uninstall(&["--purge"]).expect(0);
    assert!(!site.at("/etc/cairn").exists());
    site.install(&[]).expect(0);
}

#[test]
fn a_signature_can_be_required_for_one_run() {
    let site = Site::new();
    let (ours, theirs) = (Signed::new(&site, "ours"), Signed::new(&site, "theirs"));
    let required = option("require-signature", &ours.public);
    refused(&site, &run_file(), &[&required]).says("is not signed");
    refused(&site, &theirs.file, &[&required]).says(&theirs.fingerprint);
    install(&site, &ours.file, &[&required]).expect(0);
    assert!(!site.at("/etc/cairn/trusted").exists());
    site.install(&[]).expect(0);
    // It demands more than the host does, never less.
    install(&site, &ours.file, &[&option("trust", &ours.public)]).expect(0);
    refused(&site, &theirs.file, &[&option("require-signature", &theirs.public)]).says(&ours.fingerprint);
}

#[test]
fn what_is_no_key_is_named() {
    let site = Site::new();
    let ours = Signed::new(&site, "ours");
    let no_key = site.beside("no-key");
    site.write(&no_key, 0o600, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
    for name in ["trust", "require-signature"] {
        let done = install(&site, &ours.file, &[&option(name, &no_key)]).expect(1);
        done.says(no_key.to_str().unwrap()).says("it is no P-256 public key in PEM");
        install(&site, &ours.file, &[&option(name, &site.beside("nowhere"))])
            .expect(1)
            .says("cannot read the public key");
    }
    install(&site, &ours.file, &[&option("trust", &ours.public)]).expect(0);
    // A key of the host that is broken does not count as none.
    fs::write(ours.kept(&site), "").unwrap();
    refused(&site, &run_file(), &[]).says(ours.kept(&site).to_str().unwrap()).says("put the key back");
}

#[test]
fn a_check_tells_good_from_wrong_from_missing_from_damaged() {
    let site = Site::new();
    let (ours, theirs) = (Signed::new(&site, "ours"), Signed::new(&site, "theirs"));
    let trust = option("trust", &ours.public);
    let (by_ours, by_theirs) = (format!("signed by {}", ours.fingerprint), &theirs.fingerprint);
    run(&ours.file, &["--check"]).expect(0).says(&format!("{by_ours}, not checked")).says("not who made it");
    let done =
        run(&ours.file, &["verify", &trust]).expect(0).says(&format!("{by_ours}, which is trusted here"));
    assert!(!done.out.contains("not who made it"), "{}", done.out);
    run(&theirs.file, &["--check", &trust]).expect(8).says(by_theirs).says(&ours.fingerprint);
    run(&run_file(), &["--check", &trust]).expect(8).says("is not signed");
    run(&run_file(), &["--check"]).expect(0).says("not signed");
    run(&ours.file, &["--info"]).expect(0).says(&by_ours);
    // The keys of the host count where they are.
    install(&site, &ours.file, &[&trust]).expect(0);
    let root = option("root", &site.root());
    run(&theirs.file, &["--check", &root]).expect(8).says(by_theirs);
    run(&ours.file, &["--check", &root]).expect(0).says("which is trusted here");

    let bytes = fs::read(&ours.file).unwrap();
    let content = &bytes[..bytes.len() - TRAILER_BYTES];
    let good = Archive::open(&ours.file).unwrap().trailer().clone();
    let foreign = Archive::open(&theirs.file).unwrap().trailer().signature;
    let altered = site.beside("altered.run");
    let mut changed = content.to_vec();
    let place = changed.len() - 1000;
    changed[place] ^= 1;
    let digest = <sha2::Sha256 as sha2::Digest>::digest(&changed).into();
    for (content, trailer, code, words) in [
        (content, Trailer { signature: None, ..good.clone() }, 8, "is not signed"),
        (content, Trailer { signature: foreign, ..good.clone() }, 8, by_theirs.as_str()),
        (&changed, Trailer { digest, ..good.clone() }, 2, "is badly signed"),
        (&changed, good.clone(), 2, "is damaged"),
    ] {
        fs::write(&altered, [content, &trailer.bytes()].concat()).unwrap();
        run(&altered, &["--check", &trust]).expect(code).says(words);
        let before = site.listing();
        install(&site, &altered, &[]).expect(code).says(words);
        assert_eq!(before.diff(&site.listing()), "");
    }
}

#[test]
fn a_folder_that_was_extracted_carries_no_signature() {
    let site = Site::new();
    let ours = Signed::new(&site, "ours");
    let folder = site.beside("extracted");
    run(&ours.file, &["extract", folder.to_str().unwrap()]).expect(0);
    let root = site.root();
    let from_folder = |more: &[&str]| {
        let mut command = plain(folder.join("install.sh"));
        command.args(["--root", root.to_str().unwrap(), "--no-start", "--yes"]).args(more).done()
    };
    from_folder(&[&option("trust", &ours.public)]).expect(8).says("install from the .run file");
    from_folder(&[]).expect(0);
    install(&site, &ours.file, &[&option("trust", &ours.public)]).expect(0);
    from_folder(&[]).expect(8).says(&ours.fingerprint);
}
