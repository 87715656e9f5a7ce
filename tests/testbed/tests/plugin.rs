//! The plugin's library is built and found, wherever cargo puts it.
use std::fs;
use std::os::unix::fs::MetadataExt;

#[test]
fn the_library_is_built_once_and_copied_to_a_place_of_its_own() {
    let library = testbed::plugin_library().unwrap();
    assert!(library.ends_with("liborthanc_gatehouse.so"), "{}", library.display());
    let built = fs::metadata(&library).unwrap();
    assert!(built.len() > 0);
    assert_eq!(testbed::plugin_library().unwrap(), library);
    // Whatever is built is put in place as a new file, so the same file means no second build. The clock could not
    // tell: a call waits while another test builds a variant.
    assert_eq!(fs::metadata(&library).unwrap().ino(), built.ino(), "no second build");
}

#[test]
fn a_variant_with_features_does_not_take_the_place_of_the_plain_one() {
    let plain = testbed::plugin_library().unwrap();
    let variant = testbed::plugin_library_with(&["fault-injection"]).unwrap();
    assert_ne!(plain, variant);
    assert!(variant.is_file() && plain.is_file());
}
