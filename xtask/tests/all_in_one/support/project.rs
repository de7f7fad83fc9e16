//! The text of tiny cargo projects: no dependencies, and programs that say what they were made of.

use super::Repository;

/// The Cargo.toml of a package that stands alone.
pub fn manifest(package: &str) -> String {
    format!("[package]\nname = \"{package}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n")
}

/// Writes a package whose program, of the same name, prints `says`.
pub fn program(repository: &Repository, package: &str, says: &str) {
    project(repository, package, &format!("fn main() {{\n    println!(\"{says}\");\n}}\n"));
}

/// Writes a package as [`program`] does, with the stamp that this product's own programs carry.
pub fn stamped(repository: &Repository, package: &str, says: &str) {
    stamped_as(repository, package, says, "env!(\"CAIRN_STAMP_REF\")");
}

/// Writes a stamped package whose ref is what the expression `reference` says.
pub fn stamped_as(repository: &Repository, package: &str, says: &str, reference: &str) {
    let text = STAMPED.replace("@REF@", reference).replace("@SAYS@", says);
    project(repository, package, &text);
}

/// Writes a stamped package `server` that stands on crates in the same repository: `inner`, `extra` if the feature `more` is on,
/// `spare` if `none` is, `maker` while it is built, `tester` in its tests. Only `inner` brings terms of its own.
/// Its configuration wants what is compiled elsewhere than usual.
pub fn with_crates(repository: &Repository) {
    stamped(repository, "server", "server of crates");
    let path = |name: &str| format!("path = \"crates/{name}\"");
    let (extra, spare) = (path("extra"), path("spare"));
    let dependencies = format!(
        "license = \"Apache-2.0\"\n[features]\nmore = [\"dep:extra\"]\nnone = [\"dep:spare\"]\n\
         [dependencies]\ninner = {{ {} }}\nextra = {{ {extra}, optional = true }}\nspare = {{ {spare}, optional = true }}\n\
         [build-dependencies]\nmaker = {{ {} }}\n[dev-dependencies]\ntester = {{ {} }}\n",
        path("inner"),
        path("maker"),
        path("tester")
    );
    repository.write("Cargo.toml", &format!("{}{dependencies}", manifest("server")));
    let crates = ["extra", "inner", "maker", "spare", "tester"];
    let mut lock = lock("server");
    lock += &format!("dependencies = [\n{}]\n", crates.map(|name| format!(" \"{name}\",\n")).concat());
    for name in crates {
        let manifest = manifest(name).replace("0.1.0", "0.2.0");
        repository.write(
            &format!("crates/{name}/Cargo.toml"),
            &format!("{manifest}license = \"MIT/Apache-2.0\"\n"),
        );
        repository.write(&format!("crates/{name}/src/lib.rs"), "//! Nothing.\n");
        lock += &format!("\n[[package]]\nname = \"{name}\"\nversion = \"0.2.0\"\n");
    }
    repository.write("Cargo.lock", &lock);
    repository.write("build.rs", "fn main() {}\n");
    repository.write(".cargo/config.toml", "[build]\nbuild-dir = \"elsewhere\"\n");
    repository.write("LICENSE", "Terms of the server.\n");
    repository.write("crates/inner/COPYING", "Terms of inner.\r\n");
}

fn project(repository: &Repository, package: &str, main: &str) {
    repository.write("Cargo.toml", &manifest(package));
    repository.write("Cargo.lock", &lock(package));
    repository.write("src/main.rs", main);
}

fn lock(package: &str) -> String {
    format!("version = 4\n\n[[package]]\nname = \"{package}\"\nversion = \"0.1.0\"\n")
}

const STAMPED: &str = r#"
const TEXT: &str = concat!(
    "ref=", @REF@,
    "\ncommit=", env!("CAIRN_STAMP_COMMIT"),
    "\ndirty=", env!("CAIRN_STAMP_DIRTY"),
    "\n"
);

#[used]
#[link_section = ".cairn.stamp"]
static STAMP: [u8; 512] = {
    let mut record = [0; 512];
    let mut at = 0;
    while at < TEXT.len() {
        record[at] = TEXT.as_bytes()[at];
        at += 1;
    }
    record
};

fn main() {
    println!("@SAYS@");
}
"#;
