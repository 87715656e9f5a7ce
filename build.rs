//! Builds the C boundary: Rust declarations from our header, and the shim that calls the host's services.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    for file in ["gatehouse_sdk.h", "shim.h", "shim.c", "invoke.cpp"] {
        println!("cargo:rerun-if-changed=orthanc-sdk/{file}");
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo has not set OUT_DIR")?);

    let declarations = bindgen::Builder::default()
        .header("orthanc-sdk/shim.h")
        .allowlist_item("gh_.*")
        .use_core()
        // The official header is compared with ours in tests/abi.rs; these assertions compare ours with what Rust made
        // of it.
        .layout_tests(true)
        .generate_comments(false)
        .rust_edition(bindgen::RustEdition::Edition2024);
    // Without libclang bindgen panics, with words that name no package.
    let Ok(Ok(declarations)) = catch_unwind(AssertUnwindSafe(|| declarations.generate())) else {
        println!("cargo::error=bindgen cannot read orthanc-sdk/shim.h; it needs libclang (on Debian: libclang-dev)");
        std::process::exit(1);
    };
    declarations.write_to_file(out.join("sdk.rs"))?;

    cc::Build::new()
        .file("orthanc-sdk/shim.c")
        .std("c99")
        .warnings(true)
        .extra_warnings(true)
        .warnings_into_errors(false)
        // None of the shim's functions may be seen outside the library.
        .flag_if_supported("-fvisibility=hidden")
        .compile("gatehouse_shim");

    cc::Build::new()
        .cpp(true)
        .file("orthanc-sdk/invoke.cpp")
        .std("c++11")
        .warnings(true)
        .extra_warnings(true)
        .warnings_into_errors(false)
        .flag_if_supported("-fvisibility=hidden")
        .compile("gatehouse_invoke");

    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // The server closes the library after Finalize. A thread that outlives that by an instant, or a destructor of a
        // thread-local value, would then run in unmapped memory.
        println!("cargo:rustc-link-arg-cdylib=-Wl,-z,nodelete");
    }
    Ok(())
}
