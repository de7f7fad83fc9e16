//! `sign`: a signature for a packed file that has none, on the machine where the key is.

use anyhow::Result;
use packaging_archive::{Archive, hex};

use crate::answer::answer;
use crate::cli::Sign;
use crate::failure::Failure;
use crate::{digest, key, publish, supply};

/// Signs the file, and writes what lies beside it anew.
///
/// # Errors
/// Exit code 1 without a key or for a file that is signed, 2 for a damaged one or for a statement of another file beside it. The file is then as it was.
pub fn command(args: &Sign) -> Result<()> {
    let file = std::path::absolute(&args.file)?;
    let archive = crate::show::open(&file)?;
    let key = key::given(&args.key)?.ok_or_else(|| {
        Failure::usage("no key was given; name one with --key FILE, or make one with cargo xtask keygen")
    })?;
    if let (Some(signer), false) = (archive.signer(), args.replace) {
        return Err(Failure::usage(format!(
            "`{}` is signed already, by {}; to put another signature in its place, add --replace",
            file.display(),
            signer.fingerprint()
        )));
    }
    let before = digest::of_file(&file)?;
    let waiting = publish::waiting(&file)?;
    let signed = (|| {
        waiting.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        let (_, digest) = packaging_archive::sign(&archive, &key, &waiting)?;
        Archive::open(&waiting)?.verify(&mut |_| ())?;
        let beside = supply::Beside {
            sbom: supply::sbom_in(&archive)?,
            provenance: supply::provenance_of(&file, &before, &digest)?,
        };
        publish::publish(&file, &digest, Some(&key), &beside)?;
        Ok::<_, anyhow::Error>(digest)
    })();
    let removed = publish::discard(&file);
    let digest = signed?;
    removed?;
    let size = archive.trailer().file_bytes;
    answer!("signed by {}", key.public().fingerprint())?;
    answer!("{} {size} bytes sha256 {}", file.display(), hex(&digest))?;
    Ok(())
}
