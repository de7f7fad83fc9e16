//! Packages of a few bytes, and the folder that a .run file with them would be extracted into.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Where carried packages lie for the system that the tests' hosts are.
pub const FOLDER: &str = "share/os/debian-12";

/// A package: its name, its version, and more lines of its control file.
pub type Package<'a> = (&'a str, &'a str, &'a str);

/// Builds a package in `folder`, and says where it lies. `prerm` and the like come by name and text.
pub fn build(folder: &Path, (name, version, fields): Package<'_>, scripts: &[(&str, &str)]) -> PathBuf {
    let tree = folder.join("tree");
    let _ = fs::remove_dir_all(&tree);
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    fs::create_dir_all(tree.join("usr/share/doc").join(name)).unwrap();
    fs::write(tree.join("usr/share/doc").join(name).join("version"), version).unwrap();
    for (script, text) in scripts {
        let path = tree.join("DEBIAN").join(script);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    fs::write(tree.join("DEBIAN/control"), control((name, version, fields))).unwrap();
    let file = folder.join(format!("{name}_{version}_amd64.deb"));
    let built = Command::new("dpkg-deb")
        .args(["--root-owner-group", "-Znone", "--build"])
        .args([&tree, &file])
        .output();
    let built = built.unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    fs::remove_dir_all(tree).unwrap();
    file
}

fn control((name, version, fields): Package<'_>) -> String {
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\nInstalled-Size: 5\nMaintainer: Nobody <n@example.test>\n\
         {fields}Description: of a test\n"
    )
}

/// Makes the folder of a .run file that carries these packages, and gives agents those that are `named`.
pub fn carry(folder: &Path, packages: &[Package<'_>], named: &[&str], scripts: &[(&str, &str)]) {
    let own = folder.join(FOLDER);
    fs::create_dir_all(&own).unwrap();
    let (mut index, mut records, mut entries) = (String::new(), Vec::new(), Vec::new());
    for package in packages {
        let file = build(&own, *package, scripts);
        let (bytes, name) =
            (fs::read(&file).unwrap(), file.file_name().unwrap().to_str().unwrap().to_owned());
        index += &format!(
            "{}Filename: ./{name}\nSize: {}\nSHA256: {}\n\n",
            control(*package),
            bytes.len(),
            hex(&bytes)
        );
        records.push(json!({
            "name": package.0, "version": package.1, "file": name, "sha256": hex(&bytes), "installed_kib": 5,
        }));
        entries.push(name);
    }
    let record = json!({"os": "debian-12", "roles": {"agent": named, "server": []}, "packages": records});
    fs::write(own.join("Packages"), index).unwrap();
    fs::write(own.join("packages.json"), record.to_string()).unwrap();
    entries.extend(["Packages".to_owned(), "packages.json".to_owned()]);
    let entry = |name: &String| {
        let bytes = fs::read(own.join(name)).unwrap();
        json!({
            "path": format!("{FOLDER}/{name}"), "section": "os-debian-12", "mode": "0644",
            "size": bytes.len(), "sha256": hex(&bytes), "member": 0,
        })
    };
    let needs = json!({"bytes": 0, "inodes": 0});
    let manifest = json!({
        "format": 1, "product": "made", "version": "1", "created": 0,
        "toolchain": {"commit": "0".repeat(40), "dirty": false},
        "build": {"target": "x86_64-unknown-linux-gnu", "native": true, "glibc": null},
        "components": {}, "needs": needs,
        "sections": [{"name": "os-debian-12", "roles": ["agent"], "needs": needs}],
        "entries": entries.iter().map(entry).collect::<Vec<_>>(), "members": [],
    });
    fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
