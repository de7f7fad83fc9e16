//! Leaves out of the helper the tables that only unwinding reads. It aborts when it panics, never unwinds, and these tables are a
//! tenth of what stands in front of every archive and in every delta.

fn main() {
    println!("cargo::rerun-if-changed=without-unwind-tables.ld");
    // Cargo tells a build script neither the profile's name nor its `panic`: being built for size is what tells the helper's apart.
    let helper = std::env::var("OPT_LEVEL").is_ok_and(|level| level == "z");
    let folder = std::env::var("CARGO_MANIFEST_DIR");
    if let (true, Ok(folder)) = (helper, folder) {
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
        println!("cargo::rustc-link-arg-bins=-T{folder}/without-unwind-tables.ld");
        // With RUST_BACKTRACE an error asks for a backtrace, and libgcc's walk aborts where it does not find even itself in the
        // tables. What is called in its place walks nothing, and so every backtrace is empty.
        println!("cargo::rustc-link-arg-bins=-Wl,--defsym=_Unwind_Backtrace=getpid");
    }
}
