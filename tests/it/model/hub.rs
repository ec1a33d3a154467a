//! Hub ids in a cache that a test made, with an environment that a test made.

use std::fs;
use std::path::{Path, PathBuf};

use luna::model::hub::{Hub, Resolved};

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A cache with one model of two revisions.
fn cache() -> (tempfile::TempDir, Hub) {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("models--org--tiny");
    write(&repo.join("refs/main"), "aaaa\n");
    write(&repo.join("refs/refs/pr/1"), "bbbb");
    for commit in ["aaaa", "bbbb"] {
        write(&repo.join("snapshots").join(commit).join("config.json"), "{}");
        write(&repo.join("snapshots").join(commit).join("model.safetensors"), "");
    }
    let hub = Hub { cache: dir.path().to_path_buf(), offline: true, endpoint: None };
    (dir, hub)
}

#[test]
fn an_id_is_found_by_branch_request_or_commit() {
    let (dir, hub) = cache();
    for (revision, commit) in
        [(None, "aaaa"), (Some("main"), "aaaa"), (Some("refs/pr/1"), "bbbb"), (Some("bbbb"), "bbbb")]
    {
        let found = hub.resolve("org/tiny", revision).unwrap();
        let snapshot = dir.path().join("models--org--tiny/snapshots").join(commit);
        assert_eq!(
            found,
            Resolved { dir: snapshot, id: Some("org/tiny".into()), revision: Some(commit.into()) }
        );
    }
}

#[test]
fn a_folder_wins_and_has_no_revisions() {
    let (dir, hub) = cache();
    let path = dir.path().to_str().unwrap();
    assert_eq!(
        hub.resolve(path, None).unwrap(),
        Resolved { dir: dir.path().into(), id: None, revision: None }
    );
    let message = hub.resolve(path, Some("main")).unwrap_err().to_string();
    assert!(message.starts_with("revision: 'main' is not accepted; accepted: a hub id"), "{message}");
}

#[test]
fn what_is_not_there() {
    let (dir, hub) = cache();
    let message = |id: &str, revision| hub.resolve(id, revision).unwrap_err().to_string();
    let absent = message("org/other", None);
    assert!(absent.contains("model 'org/other' (revision 'main') is not in the cache"), "{absent}");
    assert!(absent.contains("`hf download org/other --revision main`"), "{absent}");
    assert!(message("org/tiny", Some("v9")).contains("(revision 'v9') is not in the cache"));
    assert!(message("bert-base-uncased", None).contains("model 'bert-base-uncased'"));
    for path in ["./nowhere", "/no/such/folder", "models/a/b", "../up", "a/..", "with space/x", ""] {
        let message = message(path, None);
        assert!(message.starts_with(&format!("'{path}': ")), "{message}");
    }
    assert!(message("org/tiny", Some("../../up")).contains("accepted: a branch, a tag or a commit"));
    write(&dir.path().join("models--org--tiny/refs/main"), "../../etc");
    assert!(message("org/tiny", None).contains("'../../etc' is no commit"));
    let file = dir.path().join("file");
    write(&file, "");
    assert!(message(file.to_str().unwrap(), None).contains("a file; expected a model folder"));
}

#[test]
fn the_environment_says_where_the_cache_is() {
    let hub = |pairs: &[(&str, &str)]| {
        Hub::from_variables(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_string())
        })
    };
    let home = ("HOME", "/h");
    assert_eq!(hub(&[home]).cache, PathBuf::from("/h/.cache/huggingface/hub"));
    assert_eq!(hub(&[home, ("XDG_CACHE_HOME", "/x")]).cache, PathBuf::from("/x/huggingface/hub"));
    assert_eq!(hub(&[home, ("HF_HOME", "/f")]).cache, PathBuf::from("/f/hub"));
    assert_eq!(hub(&[home, ("HF_HOME", "/f"), ("HF_HUB_CACHE", "/c")]).cache, PathBuf::from("/c"));
    assert_eq!(hub(&[home, ("HF_HOME", "/f"), ("HUGGINGFACE_HUB_CACHE", "/o")]).cache, PathBuf::from("/o"));
    // As huggingface_hub expands them, with its own rules for what stays as it is.
    for (variable, value, cache) in [
        ("HF_HOME", "~/hf", "/h/hf/hub"),
        ("HF_HOME", "$HOME/hf", "/h/hf/hub"),
        ("HF_HOME", "${HOME}/hf", "/h/hf/hub"),
        ("HF_HOME", "~", "/h/hub"),
        ("HF_HUB_CACHE", "~/c", "/h/c"),
        ("HF_HUB_CACHE", "/d/$HOME$X", "/d//h$X"),
        ("HF_HUB_CACHE", "/a/~/$/${/$1", "/a/~/$/${/$1"),
        ("HF_HUB_CACHE", "~other/c", "~other/c"),
        ("HUGGINGFACE_HUB_CACHE", "~/old", "/h/old"),
        ("XDG_CACHE_HOME", "$HOME/x", "/h/x/huggingface/hub"),
        ("XDG_CACHE_HOME", "~/x", "/h/x/huggingface/hub"),
    ] {
        assert_eq!(hub(&[home, (variable, value)]).cache, PathBuf::from(cache), "{variable}={value}");
    }
    assert!(!hub(&[home]).offline && !hub(&[("HF_HUB_OFFLINE", "0")]).offline);
    assert!(hub(&[("HF_HUB_OFFLINE", "1")]).offline && hub(&[("HF_HUB_OFFLINE", "true")]).offline);
}
