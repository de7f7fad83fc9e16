//! Other versions of a packed file: the same programs under another name, and with what a test does to them.

use std::path::{Path, PathBuf};

use packaging_archive::{Archive, Content, Description, Input, assemble, compress};

const STUB: &str = include_str!("../../../../stub.sh");

/// Makes one in a folder, without packages of an operating system. `alter` is given the path of each entry and what it holds.
pub fn of(file: &Path, folder: &Path, version: &str, alter: &dyn Fn(&str, &mut Vec<u8>)) -> PathBuf {
    let archive = Archive::open(file).unwrap();
    let manifest = archive.manifest();
    let sections: Vec<_> = manifest.sections.iter().filter(|section| section.os().is_none()).collect();
    let mut inputs = Vec::new();
    for section in &sections {
        archive
            .visit(&section.name, &mut |entry, content| {
                let mut bytes = Vec::new();
                content.read_to_end(&mut bytes).unwrap();
                alter(entry.path.as_str(), &mut bytes);
                let (path, mode) = (entry.path.clone(), entry.mode);
                let section = section.name.clone();
                inputs.push(Input { path, section, mode, mtime: 1, content: Content::Bytes(bytes) });
                Ok(())
            })
            .unwrap();
    }
    let sections: Vec<_> =
        sections.into_iter().map(|section| (section.name.clone(), section.roles.clone())).collect();
    let members = folder.join("members");
    let packed = compress(inputs, &sections, &members, 2, &|_| ()).unwrap();
    let description = Description {
        product: manifest.product.clone(),
        version: version.into(),
        created: manifest.created,
        toolchain: manifest.toolchain.clone(),
        build: manifest.build.clone(),
        components: manifest.components.clone(),
    };
    let made = folder.join(format!("{version}.run"));
    assemble(STUB, description, &packed, None, &made).unwrap();
    made
}
