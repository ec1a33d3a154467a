//! The page as Markdown: the same sections, figures by name.

use std::fmt::Write;

use super::super::markdown::{escape, table};
use super::{Page, Part};

/// The page as GitHub's Markdown. Figures are linked as `NAME.svg`, data are left out.
pub fn to_markdown(page: &Page) -> String {
    let mut text = format!("# {}\n\n{}\n", escape(&page.title), escape(&page.question));
    for section in &page.sections {
        let _ = write!(text, "\n## {}\n", escape(&section.title));
        section.parts.iter().for_each(|one| part(one, &mut text));
    }
    text
}

fn part(part_of: &Part, text: &mut String) {
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
        Part::Figure { name, .. } => {
            let _ = write!(text, "\n![{name}]({name}.svg)\n");
        }
        Part::Rows(_) | Part::Template { .. } => {}
        Part::Folded(_, parts) => parts.iter().for_each(|one| part(one, text)),
    }
}
