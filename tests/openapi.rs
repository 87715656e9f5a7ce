//! The route table against the lists that real servers print of their own routes: a route that the table does not know
//! fails here, before a new version of Orthanc brings it to anybody.
//!
//! Needs the two servers that `cargo xtask setup` extracts.

use orthanc_gatehouse::host::Method::{self, Delete, Get, Post, Put};
use orthanc_gatehouse::route::{Handling, Roots, RouteModel};
use testbed::{Version, routes};

const ID: &str = "0195f13e-4afe6822-8b494cc4-5162c50d-dac63cdb";

#[test]
fn every_route_of_the_core_of_1_12_7_is_known() {
    every_route_of_the_core_is_known(Version::Trixie);
}

#[test]
fn every_route_of_the_core_of_1_13_0_is_known() {
    every_route_of_the_core_is_known(Version::Sid);
}

#[test]
fn every_route_that_plugins_of_1_12_7_register_is_known() {
    every_route_of_the_plugins_is_known(Version::Trixie);
}

#[test]
fn every_route_that_plugins_of_1_13_0_register_is_known() {
    every_route_of_the_plugins_is_known(Version::Sid);
}

fn every_route_of_the_core_is_known(version: Version) {
    let routes = routes::core_routes(version).expect("the server's list");
    // The list must be whole for the test to mean something.
    assert!(routes.len() > 280, "only {} routes", routes.len());
    for (method, path) in
        [("GET", "/system"), ("GET", "/studies/{id}"), ("POST", "/tools/find"), ("PUT", "/peers/{id}")]
    {
        assert!(routes.contains(&(method.to_owned(), path.to_owned())), "{method} {path} is not in the server's list");
    }
    let parsed = |method: &str| Method::parse(method).expect("a method");
    assert_known(routes.iter().map(|(method, path)| (vec![parsed(method)], fill(path))));
}

fn every_route_of_the_plugins_is_known(version: Version) {
    let routes = routes::plugin_routes(version).expect("the server's log");
    assert!(routes.iter().any(|route| route.path.contains("/dicom-web/")), "no DICOMweb plugin");
    assert!(routes.len() > 35, "only {} routes", routes.len());
    assert_known(routes.iter().map(|route| {
        // A pattern is for all methods, whichever of them the plugin then answers; STOW-RS reads in chunks.
        let methods = if route.chunked { vec![Get, Post] } else { Vec::new() };
        (methods, fill(&route.path))
    }));
}

/// Puts something plausible in the place of each placeholder.
fn fill(path: &str) -> String {
    let mut before = "";
    let mut below_dicom_web = false;
    let mut filled = String::new();
    for segment in path.split('/').skip(1) {
        below_dicom_web |= segment == "dicom-web";
        filled.push('/');
        filled.push_str(match (segment.starts_with('{'), before) {
            (false, _) => segment,
            (true, "studies" | "series" | "instances") if below_dicom_web => "1.2.840.113619.2.176.2025",
            (true, "patients" | "studies" | "series" | "instances") => ID,
            (true, _) if segment == "{path}" => "0010-0010/0/0010-0010",
            (true, _) => "word",
        });
        before = segment;
    }
    filled
}

/// Fails with the list of all requests that the model does not know. Without methods, one that is known is enough.
fn assert_known(requests: impl Iterator<Item = (Vec<Method>, String)>) {
    let model = RouteModel::new(&Roots::default()).expect("the table can be used");
    let is_known = |method: Method, path: &str| model.classify(method, path, &[]).handling != Handling::Unknown;
    let mut unknown = Vec::new();
    for (methods, path) in requests {
        if methods.is_empty() && ![Get, Post, Put, Delete].into_iter().any(|method| is_known(method, &path)) {
            unknown.push(format!("any method of {path}"));
        }
        for method in methods.into_iter().filter(|method| !is_known(*method, &path)) {
            unknown.push(format!("{} {path}", method.as_str()));
        }
    }
    assert!(unknown.is_empty(), "src/route/table/ does not know:\n{}", unknown.join("\n"));
}
