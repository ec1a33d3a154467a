//! The page as Markdown: the same sections, figures by name.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::super::markdown::{escape, table};
use super::{Page, Part};

/// The page as GitHub's Markdown, for a file in `dir`. Figures are those of the runs, data are left out.
pub fn to_markdown(page: &Page, dir: &Path) -> String {
    let mut text = format!("# {}\n\n{}\n", escape(&page.title), escape(&page.question));
    for section in &page.sections {
        let _ = write!(text, "\n## {}\n", escape(&section.title));
        section.parts.iter().for_each(|one| part(one, dir, &mut text));
    }
    text
}

fn part(part_of: &Part, dir: &Path, text: &mut String) {
    match part_of {
        Part::Heading(title) => {
            let _ = write!(text, "\n### {}\n", escape(title));
        }
        Part::Findings(all) | Part::Notes(all) => {
            text.push('\n');
            for one in all {
                let _ = writeln!(text, "- {}", escape(one));
            }
        }
        Part::Facts(facts) => {
            text.push('\n');
            for (name, value) in facts {
                let _ = writeln!(text, "- {}: {}", escape(name), escape(value));
            }
        }
        Part::Command(command) => {
            let _ = write!(text, "\n    {command}\n");
        }
        Part::Table(one) => {
            let mut written = Vec::new();
            // Writing to a vector cannot fail.
            let _ = table(one, &mut written);
            let _ = write!(text, "\n{}", String::from_utf8_lossy(&written));
        }
        Part::Figure { name, path, .. } => {
            let _ = write!(text, "\n![{}](<{}>)\n", escape(name), relative(path, dir).display());
        }
        Part::Rows(_) | Part::Template { .. } => {}
        Part::Folded(_, parts) => parts.iter().for_each(|one| part(one, dir, text)),
    }
}

/// A path as it is found from a folder; the path itself where one of the two is not there.
fn relative(path: &Path, dir: &Path) -> PathBuf {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let (Ok(path), Ok(dir)) = (path.canonicalize(), dir.canonicalize()) else { return path.into() };
    let same = path.components().zip(dir.components()).take_while(|(a, b)| a == b).count();
    let up = dir.components().skip(same).map(|_| std::path::Component::ParentDir);
    up.chain(path.components().skip(same)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_from_the_folder_of_the_page() {
        let root = tempfile::tempdir().unwrap();
        let (run, pages) = (root.path().join("a run"), root.path().join("pages/all"));
        std::fs::create_dir_all(&run).unwrap();
        std::fs::create_dir_all(&pages).unwrap();
        let file = run.join("f.svg");
        std::fs::write(&file, "").unwrap();
        assert_eq!(relative(&file, &pages), Path::new("../../a run/f.svg"));
        assert_eq!(relative(&file, root.path()), Path::new("a run/f.svg"));
        assert_eq!(relative(&file, &run), Path::new("f.svg"));
        assert_eq!(relative(&run.join("g.svg"), &run), run.join("g.svg"));
    }
}
