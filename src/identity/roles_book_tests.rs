use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::testing::eventually;

/// A document with one available label, by which states are told apart.
fn document(label: &str) -> Roles {
    Roles { available_labels: vec![label.to_owned()], ..Roles::default() }
}

fn text(label: &str) -> String {
    document(label).to_value().to_string()
}

fn label(book: &RolesBook) -> String {
    book.current().available_labels.join(",")
}

fn start(path: &Path) -> (RolesBook, Epoch) {
    let epoch = Epoch::default();
    (RolesBook::start(&RolesSource::File(path.to_owned()), BTreeSet::new(), epoch.clone()).unwrap(), epoch)
}

fn replace(book: &RolesBook, new: &str) -> Result<(), RolesBookError> {
    book.replace(document(new), |_| Ok(()), |_| panic!("nothing has to be kept"))
}

fn on_disk(path: &Path) -> String {
    Roles::parse(&std::fs::read_to_string(path).unwrap()).unwrap().available_labels.join(",")
}

#[test]
fn an_edit_is_in_force_soon_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roles.json");
    std::fs::write(&path, text("one")).unwrap();
    let (book, epoch) = start(&path);
    assert_eq!(label(&book), "one");
    let before = epoch.now();
    std::fs::write(&path, format!("// with a comment\n{}", text("two"))).unwrap();
    eventually("the edit is seen", || label(&book) == "two");
    eventually("cached identities are told", || epoch.now() > before);
    for broken in ["", "{", "{\"roles\": {}, \"roles\": {}}", "{\"rules\": {}}"] {
        std::fs::write(&path, broken).unwrap();
        // Seen for sure: the stamp is that of the broken file.
        eventually("the broken edit is looked at", || book.shared.on_disk.lock().as_ref() == Some(&stamp(&path)));
        assert_eq!(label(&book), "two", "{broken}");
    }
    std::fs::remove_file(&path).unwrap();
    eventually("the loss is seen", || *book.shared.on_disk.lock() == Some(Stamp::Missing));
    assert_eq!(label(&book), "two");
    // As an editor saves: a new file renamed over it.
    std::fs::write(folder.path().join("new"), text("three")).unwrap();
    std::fs::rename(folder.path().join("new"), &path).unwrap();
    eventually("the mended file is read", || label(&book) == "three");
    book.stop();
}

#[test]
fn a_file_that_could_not_be_read_is_read_as_soon_as_it_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roles.json");
    std::fs::write(&path, text("one")).unwrap();
    let (book, _) = start(&path);
    // What is no UTF-8 is not read either; then the same file, as when only its mode is put right.
    let edited = text("two");
    let edit_of = |content: &[u8], modified| {
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        std::io::Write::write_all(&mut &file, content).unwrap();
        file.set_modified(modified).unwrap();
    };
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    edit_of(&vec![0xff; edited.len()], modified);
    eventually("it is looked at", || book.shared.unread.lock().is_some());
    assert_eq!(label(&book), "one");
    edit_of(edited.as_bytes(), modified);
    eventually("the edit is in force", || label(&book) == "two");
    assert!(book.shared.unread.lock().is_none());
    book.stop();
}

#[test]
fn a_missing_or_broken_file_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roles.json");
    let start = |source: &RolesSource| RolesBook::start(source, BTreeSet::new(), Epoch::default()).map(drop);
    assert!(matches!(start(&RolesSource::File(path.clone())), Err(RolesBookError::Read { .. })));
    std::fs::write(&path, "{\"roles\": {\"a\": {\"permission\": []}}}").unwrap();
    let broken = start(&RolesSource::File(path.clone())).unwrap_err().to_string();
    assert!(broken.starts_with("Authorization.PermissionsFile: "), "{broken}");
    // All at once, each on a line of its own.
    let text = r#"{"roles": {"a": {"permission": [], "permissions": ["view", 5]}, "b": 1}, "labels": []}"#;
    std::fs::write(&path, text).unwrap();
    let faults = start(&RolesSource::File(path.clone())).unwrap_err().to_string();
    let place = format!("Authorization.PermissionsFile: {}: ", path.display());
    let what: Vec<&str> = faults.lines().map(|line| line.strip_prefix(&place).unwrap()).collect();
    assert_eq!(
        what,
        [
            "labels: unknown member; roles and available-labels are known",
            "roles.a.permission: unknown member; permissions and authorized-labels are known",
            "roles.a.permissions[1]: a string is expected",
            "roles.b: an object is expected",
        ]
    );
}

#[test]
fn inline_roles_cannot_be_replaced() {
    let book = RolesBook::start(&RolesSource::Inline(text("one")), BTreeSet::new(), Epoch::default()).unwrap();
    assert!(matches!(replace(&book, "two"), Err(RolesBookError::Write { .. })));
    assert_eq!((label(&book), book.file()), ("one".to_owned(), None));
}

#[test]
fn a_replacement_is_whole_keeps_the_mode_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roles.json");
    std::fs::write(&path, text("one")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let (book, epoch) = start(&path);
    let before = epoch.now();
    replace(&book, "two").unwrap();
    assert_eq!((label(&book), on_disk(&path)), ("two".to_owned(), "two".to_owned()));
    assert!(epoch.now() > before);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    // The watcher takes our own writing for no edit.
    assert_eq!(book.shared.on_disk.lock().as_ref(), Some(&stamp(&path)));
    book.stop();
}

#[test]
fn a_reader_never_sees_half_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roles.json");
    std::fs::write(&path, text("0")).unwrap();
    let (book, _) = start(&path);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..100).for_each(|n| replace(&book, &n.to_string()).unwrap()));
        while !writer.is_finished() {
            on_disk(&path);
        }
    });
    assert_eq!(on_disk(&path), "99");
    book.stop();
}

#[test]
fn of_two_replacements_at_once_the_later_one_sees_the_earlier() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roles.json");
    std::fs::write(&path, text("0")).unwrap();
    let (book, _) = start(&path);
    let (done, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let seen: usize = label(&book).parse().unwrap();
                    // As If-Match does.
                    let check = |now: &Roles| match now.available_labels == [seen.to_string()] {
                        true => Ok(()),
                        false => Err(RolesBookError::Thread(std::io::ErrorKind::Other.into())),
                    };
                    match book.replace(document(&(seen + 1).to_string()), check, |_| Ok(())) {
                        Ok(()) => done.fetch_add(1, Ordering::SeqCst),
                        Err(_) => lost.fetch_add(1, Ordering::SeqCst),
                    };
                }
            });
        }
    });
    assert_eq!(done.load(Ordering::SeqCst) + lost.load(Ordering::SeqCst), 100);
    assert_eq!(label(&book), done.load(Ordering::SeqCst).to_string(), "a replacement was lost");
    assert_eq!(on_disk(&path), label(&book));
    book.stop();
}

#[test]
fn an_edit_by_hand_just_before_a_replacement_is_what_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roles.json");
    std::fs::write(&path, text("one")).unwrap();
    let (book, _) = start(&path);
    for round in 0..20 {
        // Of the same length, so that only time or inode tell it apart; the watcher may or may not have seen it.
        let edited = format!("edit-{:03}", round);
        std::fs::write(folder.path().join("new"), text(&edited)).unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        let mut seen = String::new();
        book.replace::<RolesBookError>(
            document("ours"),
            |now| {
                seen = now.available_labels.join(",");
                Ok(())
            },
            |_| Ok(()),
        )
        .unwrap();
        assert_eq!((seen, label(&book)), (edited, "ours".to_owned()));
    }
    // A refused one changes nothing, in memory or on disk.
    let refuse = |_: &Roles| Err(RolesBookError::Thread(std::io::ErrorKind::Other.into()));
    assert!(book.replace(document("no"), refuse, |_| Ok(())).is_err());
    assert_eq!((label(&book), on_disk(&path)), ("ours".to_owned(), "ours".to_owned()));
    book.stop();
}

#[test]
fn a_symbolic_link_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    let (target, path) = (folder.path().join("target.json"), folder.path().join("roles.json"));
    std::fs::write(&target, text("one")).unwrap();
    std::os::unix::fs::symlink(&target, &path).unwrap();
    let (book, _) = start(&path);
    replace(&book, "two").unwrap();
    assert!(std::fs::symlink_metadata(&path).unwrap().is_symlink());
    assert_eq!(on_disk(&target), "two");
    // As a Kubernetes secret is changed: the link points elsewhere.
    let other = folder.path().join("other.json");
    std::fs::write(&other, text("three")).unwrap();
    std::os::unix::fs::symlink(&other, folder.path().join("new")).unwrap();
    std::fs::rename(folder.path().join("new"), &path).unwrap();
    eventually("the new target is read", || label(&book) == "three");
    book.stop();
}

/// Names the file in the process that runs in a mount namespace of its own.
const BOUND: &str = "GATEHOUSE_TEST_BOUND_FILE";

#[test]
fn a_file_that_cannot_be_renamed_over_is_written_in_place() {
    if let Some(path) = std::env::var_os(BOUND) {
        return written_in_place(Path::new(&path));
    }
    let unshare = |arguments: &[&str]| std::process::Command::new("unshare").arg("-m").args(arguments).output();
    if !unshare(&["true"]).is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: a bind mount needs root, and `unshare -m` does not work here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roles.json");
    std::fs::write(&path, text("one")).unwrap();
    let script = format!(
        "mount --bind \"$0\" \"$0\" || exit 77; {BOUND}=\"$0\" exec \"$1\" --exact identity::roles_book::tests::a_file_that_cannot_be_renamed_over_is_written_in_place"
    );
    let program = std::env::current_exe().unwrap();
    let output = unshare(&["sh", "-c", &script, path.to_str().unwrap(), program.to_str().unwrap()]).unwrap();
    if output.status.code() == Some(77) {
        eprintln!("SKIPPED: no bind mounts here: {}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(on_disk(&path), "two");
}

fn written_in_place(path: &Path) {
    let (book, _) = start(path);
    let mut kept = None;
    let keep = |old: &str| {
        kept = Some(old.to_owned());
        Ok(())
    };
    book.replace::<RolesBookError>(document("two"), |_| Ok(()), keep).unwrap();
    assert_eq!(kept, Some(text("one")), "the old text is made safe first");
    assert_eq!((label(&book), on_disk(path)), ("two".to_owned(), "two".to_owned()));
    // What cannot be kept is not written over.
    let refuse = |_: &str| Err(RolesBookError::Thread(std::io::ErrorKind::Other.into()));
    assert!(book.replace(document("three"), |_| Ok(()), refuse).is_err());
    assert_eq!((label(&book), on_disk(path)), ("two".to_owned(), "two".to_owned()));
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    book.stop();
}

#[test]
fn a_book_that_is_dropped_leaves_no_thread_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roles.json");
    std::fs::write(&path, text("one")).unwrap();
    let (book, epoch) = start(&path);
    drop(book);
    assert_eq!(Arc::strong_count(&epoch.0), 1);
}

#[test]
fn what_roles_give_is_what_the_document_in_force_says_and_is_kept_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roles.json");
    let giving = |permission: &str| {
        let text = serde_json::json!({"roles": {
            "a": {"permissions": [permission], "authorized-labels": ["one"]},
            "b": {"permissions": ["download"], "authorized-labels": ["*"]},
        }});
        Roles::parse(&text.to_string()).unwrap()
    };
    std::fs::write(&path, giving("view").to_value().to_string()).unwrap();
    let (book, _) = start(&path);
    let rights = |roles: &[&str]| book.rights(&roles.iter().map(|role| (*role).to_owned()).collect::<Vec<_>>());
    let first = rights(&["a"]);
    assert!(first.holds("view") && !first.holds("download") && !first.labels.show("two"));
    assert!(Arc::ptr_eq(&first.permissions, &rights(&["a"]).permissions));
    let both = rights(&["a", "b"]);
    assert!(both.holds("view") && both.holds("download") && both.labels.show("two"));
    assert!(!rights(&["unknown"]).holds("view") && !rights(&[]).holds("view"));
    book.replace::<RolesBookError>(giving("upload"), |_| Ok(()), |_| Ok(())).unwrap();
    let now = rights(&["a"]);
    assert!(now.holds("upload") && !now.holds("view"));
    book.stop();
}
