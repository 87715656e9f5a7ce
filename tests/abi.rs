//! Our header against the official ones, and what the library shows to the world.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn our_header_agrees_with_orthanc_1_12_7() {
    compile_assertions(&official_headers("GATEHOUSE_ORTHANC_SDK_1_12_7", "trixie"), "1.12.7");
}

#[test]
fn our_header_agrees_with_orthanc_1_13_0() {
    compile_assertions(&official_headers("GATEHOUSE_ORTHANC_SDK_1_13_0", "sid"), "1.13.0");
}

#[test]
fn every_declaration_is_compared() {
    let header = without_comments(&read("orthanc-sdk/gatehouse_sdk.h"));
    let assertions = read("tests/abi/assertions.cpp");
    let asserted: BTreeSet<_> = names(&assertions).collect();
    let missing: Vec<_> = names(&header).filter(|name| name.starts_with("gh_") && !asserted.contains(name)).collect();
    assert!(missing.is_empty(), "no assertion names {missing:?}");

    let fields = fields(&header);
    assert!(fields.len() > 50, "only {} fields were found: has the header another shape?", fields.len());
    let squeezed: String = assertions.split_whitespace().collect();
    for (structure, field) in fields {
        let needle = format!("FIELD({structure},");
        let found = squeezed
            .match_indices(&needle)
            .filter_map(|(start, _)| squeezed.get(start + needle.len()..)?.split(',').nth(1))
            .any(|asserted| asserted == field);
        assert!(found, "no assertion for {structure}.{field}");
    }
}

#[test]
fn the_assertions_notice_a_difference() {
    let headers = official_headers("GATEHOUSE_ORTHANC_SDK_1_13_0", "sid");
    let ours = read("orthanc-sdk/gatehouse_sdk.h");
    for (right, wrong) in [
        ("gh_service_rest_api_get = 3001", "gh_service_rest_api_get = 3010"),
        ("  uint32_t size;\n} gh_buffer;", "  uint64_t size;\n} gh_buffer;"),
        ("typedef int32_t (*gh_dicom_filter)(const", "typedef int32_t (*gh_dicom_filter)("),
        ("  const char* key;\n  const char* value;\n", "  const char* value;\n  char* key;\n"),
    ] {
        assert!(ours.contains(right), "the header has changed: {right}");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("gatehouse_sdk.h"), ours.replace(right, wrong)).unwrap();
        let compiled = compile(folder.path(), &headers);
        assert!(!compiled.status.success(), "unnoticed: {wrong}");
        let said = String::from_utf8_lossy(&compiled.stderr).into_owned();
        assert!(said.contains("static assertion failed") || said.contains("static_assert failed"), "{said}");
    }
}

#[test]
fn the_library_exports_the_four_functions_and_nothing_else() {
    let library = library();
    let nm = Command::new("nm").args(["-D", "--defined-only", "--format=just-symbols"]).arg(&library).output().unwrap();
    assert!(nm.status.success(), "{}", String::from_utf8_lossy(&nm.stderr));
    let listed = String::from_utf8(nm.stdout).unwrap();
    let exported: BTreeSet<_> = listed.split_whitespace().collect();
    let expected =
        ["OrthancPluginFinalize", "OrthancPluginGetName", "OrthancPluginGetVersion", "OrthancPluginInitialize"];
    assert_eq!(exported, BTreeSet::from(expected));
}

#[test]
#[cfg(target_os = "linux")]
fn the_library_is_never_unloaded() {
    let readelf = Command::new("readelf").arg("--dynamic").arg(library()).output().unwrap();
    assert!(readelf.status.success(), "{}", String::from_utf8_lossy(&readelf.stderr));
    assert!(String::from_utf8_lossy(&readelf.stdout).contains("NODELETE"));
}

/// The folder that holds `orthanc/OrthancCPlugin.h` of one version.
fn official_headers(variable: &str, suite: &str) -> PathBuf {
    let folder = std::env::var_os(variable)
        .map_or_else(|| Path::new(ROOT).join(".cache/orthanc").join(suite).join("usr/include"), PathBuf::from);
    let header = folder.join("orthanc/OrthancCPlugin.h");
    assert!(header.is_file(), "{} is missing: run `cargo xtask setup`, or set {variable}", header.display());
    folder
}

fn compile_assertions(headers: &Path, version: &str) {
    // Were the wrong folder given, an older header would pass for a newer one.
    let official = std::fs::read_to_string(headers.join("orthanc/OrthancCPlugin.h")).unwrap();
    // The header of Debian's 1.12.7 calls itself 1.12.6.
    let (minor, revision) = if version == "1.12.7" { ("12", "6") } else { ("13", "0") };
    for (name, number) in [("MINOR", minor), ("REVISION", revision)] {
        let name = format!("ORTHANC_PLUGINS_MINIMAL_{name}_NUMBER");
        let defined = official.lines().find(|line| line.contains("#define") && line.contains(&name)).unwrap();
        assert_eq!(defined.split_whitespace().last(), Some(number), "{} is not that of {version}", headers.display());
    }
    let compiled = compile(&Path::new(ROOT).join("orthanc-sdk"), headers);
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
}

fn compile(ours: &Path, official: &Path) -> std::process::Output {
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    Command::new(&compiler)
        .args(["-std=c++11", "-fsyntax-only", "-I"])
        .arg(ours)
        .arg("-I")
        .arg(official)
        .arg(Path::new(ROOT).join("tests/abi/assertions.cpp"))
        .output()
        .unwrap_or_else(|error| panic!("{} does not run (Debian: apt install g++): {error}", compiler.display()))
}

/// The library that was built together with this test.
fn library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let library = test.parent().unwrap().join("liborthanc_gatehouse.so");
    assert!(library.is_file(), "{} is missing", library.display());
    library
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

fn without_comments(source: &str) -> String {
    let mut parts = source.split("/*");
    let mut code = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        code.push_str(part.split_once("*/").expect("every comment ends").1);
    }
    code
}

fn names(source: &str) -> impl Iterator<Item = &str> {
    source.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|name| !name.is_empty())
}

/// The fields of all structures: (structure, field).
fn fields(header: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for part in header.split("typedef struct").skip(1) {
        let Some((head, rest)) = part.split_once('{') else { continue };
        if head.contains(';') {
            continue; // A structure without a body, before one with.
        }
        let (body, tail) = rest.split_once('}').expect("every structure ends");
        let structure = tail.split(';').next().unwrap().trim();
        // A function pointer's name stands in `(*name)(`; its parameters hold no semicolon.
        for declaration in body.split(';').map(str::trim).filter(|declaration| !declaration.is_empty()) {
            let name = match declaration.split_once("(*") {
                Some((_, rest)) => rest.split(')').next(),
                None => names(declaration).last(),
            };
            found.push((structure.to_owned(), name.unwrap().to_owned()));
        }
    }
    found
}
