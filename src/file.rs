//! Files: texts without byte order mark, and atomic writes (the temporary file is the `tempfile` crate's).

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use crate::error::{Error, Result};

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The byte order marks of other encodings, longer ones first: that of UTF-32 begins with one of UTF-16.
const OTHERS: &[(&[u8], &str)] = &[
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
];

/// The bytes of a text without its byte order mark, if it has one.
///
/// UTF-16 and UTF-32 are refused by name; `path` is for the message only.
pub(crate) fn without_mark<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a [u8]> {
    match OTHERS.iter().find(|(mark, _)| bytes.starts_with(mark)) {
        Some((_, encoding)) => {
            let accepted = format!("text in UTF-8 (iconv -f {encoding} -t UTF-8 converts it)");
            Err(Error::malformed(path, format!("its byte order mark says {encoding}"), accepted))
        }
        None => Ok(bytes.strip_prefix(MARK).unwrap_or(bytes)),
    }
}

/// The bytes of a file that holds a text: see [`without_mark`] and [`refuse_pointer`].
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = fs::read(path).map_err(Error::file(path))?;
    refuse_pointer(path, &bytes)?;
    let mark = bytes.len() - without_mark(path, &bytes)?.len();
    bytes.drain(..mark);
    Ok(bytes)
}

/// The text of a file, without its byte order mark; other bytes than UTF-8 are refused with the position of the first.
pub(crate) fn text(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(Error::file(path))?;
    refuse_pointer(path, &bytes)?;
    let text = without_mark(path, &bytes)?;
    let mark = bytes.len() - text.len();
    match std::str::from_utf8(text) {
        Ok(text) => Ok(text.to_string()),
        Err(error) => {
            let at = mark + error.valid_up_to();
            let what = format!("byte {at} (0x{:02x}) is not UTF-8", bytes[at]);
            Err(Error::malformed(path, what, "text in UTF-8"))
        }
    }
}

/// Writes a text file atomically: under a temporary name beside it, flushed to the disk, then renamed.
pub fn save_text(path: &Path, text: &str) -> Result<()> {
    put(path, |out| out.write_all(text.as_bytes()))
}

/// How a Git LFS pointer begins.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Refuses a Git LFS pointer, which a clone without Git LFS has in the place of a large file.
pub(crate) fn refuse_pointer(path: &Path, bytes: &[u8]) -> Result<()> {
    if !bytes.starts_with(POINTER) {
        return Ok(());
    }
    let accepted =
        "the file itself: run `git lfs pull` in the clone, or fetch it from where the clone is from";
    Err(Error::malformed(path, "a Git LFS pointer, not the file itself", accepted))
}

/// Writes a file atomically: under a temporary name, renamed when it is complete and on the disk.
///
/// A link is followed: what it points to is written. A pipe or a device is written into, as a file in its place would reach
/// nobody.
pub(crate) fn put(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let is_stream = |found: fs::Metadata| !found.is_file() && !found.is_dir();
    if fs::metadata(path).is_ok_and(is_stream) {
        let written = || {
            let mut out = BufWriter::new(File::options().write(true).open(path)?);
            fill(&mut out)?;
            out.flush()
        };
        return written().map_err(Error::file(path));
    }
    let target = path.is_symlink().then(|| fs::canonicalize(path).ok()).flatten();
    Staged::write(target.as_deref().unwrap_or(path), fill)?.place()
}

/// A complete file under a temporary name beside its own; removed when dropped.
pub(crate) struct Staged {
    path: PathBuf,
    temporary: TempPath,
    /// Its size in bytes.
    pub(crate) size: u64,
}

impl Staged {
    /// Writes the file that will be `path`. A failure, such as a full disk, leaves no file.
    pub(crate) fn write(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<Self> {
        if path.file_name().is_none() {
            return Err(Error::malformed(path, "no name of a file", "a file to write"));
        }
        if path.is_dir() {
            return Err(Error::malformed(path, "a folder", "a file to write"));
        }
        let written = || -> io::Result<(u64, TempPath)> {
            // A unique name, so that two runs do not write to one file; with the permissions of any new file, where the
            // builder's own file would be readable by its owner only.
            let mut name = tempfile::Builder::new();
            let file = name
                .prefix(".luna.")
                .suffix(".partial")
                .make_in(folder(path), |name| File::create_new(name))?;
            let (mut file, temporary) = file.into_parts();
            let mut out = BufWriter::with_capacity(1 << 20, &mut file);
            fill(&mut out)?;
            out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            Ok((file.metadata()?.len(), temporary))
        };
        let (size, temporary) = written().map_err(Error::file(path))?;
        Ok(Self { path: path.to_path_buf(), temporary, size })
    }

    /// Renames it, which replaces an earlier file in one step.
    pub(crate) fn place(self) -> Result<()> {
        let Self { path, temporary, .. } = self;
        let placed = temporary.persist(&path).map_err(|error| error.error).and_then(|()| settle(&path));
        placed.map_err(Error::file(&path))
    }
}

/// The folder of a file.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A rename survives a power failure only once its folder is on the disk too.
#[cfg(unix)]
fn settle(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

#[cfg(not(unix))]
fn settle(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_skipped_and_utf_16_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("words.txt");
        let read = |content: &[u8]| {
            fs::write(&file, content).unwrap();
            assert_eq!(text(&file).ok().map(String::into_bytes), bytes(&file).ok(), "one reader");
            text(&file).map_err(|error| error.to_string())
        };
        assert_eq!(read(b"\xef\xbb\xbfone\n").unwrap(), "one\n");
        assert_eq!(read(b"\xef\xbb\xbf").unwrap(), "");
        assert_eq!(read("o\u{feff}ne".as_bytes()).unwrap(), "o\u{feff}ne", "inside a text it is a character");
        for (content, encoding) in
            [(&b"\xff\xfeo\0"[..], "UTF-16"), (b"\xfe\xff\0o", "UTF-16"), (b"\xff\xfe\0\0o\0\0\0", "UTF-32")]
        {
            let refused = read(content).unwrap_err();
            assert!(refused.contains("words.txt': its byte order mark says UTF-"), "{refused}");
            assert!(refused.ends_with(&format!("(iconv -f {encoding} -t UTF-8 converts it)")), "{refused}");
        }
        fs::write(&file, b"\xef\xbb\xbfab\xc3").unwrap();
        let refused = text(&file).unwrap_err().to_string();
        assert!(refused.contains("byte 5 (0xc3) is not UTF-8; expected text in UTF-8"), "{refused}");
        fs::write(&file, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n").unwrap();
        for refused in [text(&file).unwrap_err(), bytes(&file).unwrap_err()] {
            assert!(refused.to_string().contains("a Git LFS pointer"), "{refused}");
        }
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("result.json");
        save_text(&file, "old").unwrap();
        let full = put(&file, |out| {
            out.write_all(&vec![7; 3 << 20])?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(full.unwrap_err().to_string().contains("result.json': "));
        let staged = Staged::write(&file, |out| out.write_all(b"never placed")).unwrap();
        assert_eq!(staged.size, 12);
        drop(staged);
        let names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names, ["result.json"]);
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        let refused = put(folder.path(), |_| Ok(())).unwrap_err().to_string();
        assert!(refused.ends_with("a folder; expected a file to write"), "{refused}");
    }

    /// Neither is replaced by a file.
    #[test]
    #[cfg(unix)]
    fn pipes_are_written_into_and_links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        assert!(made.success());
        let pipe = at("pipe");
        let reader = std::thread::spawn(move || fs::read_to_string(pipe).unwrap());
        save_text(&at("pipe"), "through").unwrap();
        assert_eq!(reader.join().unwrap(), "through");
        assert!(!fs::metadata(at("pipe")).unwrap().is_file());

        fs::write(at("target"), "old").unwrap();
        for (link, to) in [("link", "target"), ("to nothing", "nothing")] {
            std::os::unix::fs::symlink(to, at(link)).unwrap();
            save_text(&at(link), "new").unwrap();
        }
        assert!(at("link").is_symlink());
        assert_eq!(fs::read_to_string(at("target")).unwrap(), "new");
        // One that leads nowhere is replaced.
        assert_eq!(fs::read_to_string(at("to nothing")).unwrap(), "new");
    }

    #[test]
    #[cfg(unix)]
    fn others_may_read_what_is_written() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        fs::write(folder.path().join("usual"), "").unwrap();
        save_text(&folder.path().join("ours"), "").unwrap();
        assert_eq!(mode("ours"), mode("usual"));
    }
}
