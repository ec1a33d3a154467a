//! The page as HTML.

use std::fmt::Write;

use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};

use super::super::markup::escape;
use super::super::{Digits, Table, panels_of};
use super::{Page, Part, data};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Rows of a table beyond which it is scrolled.
const LONG: usize = 16;

/// The page as one file. It loads nothing, and its policy forbids that it could; no script runs on it but its own.
pub fn to_html(page: &Page) -> String {
    let title = escape(&page.title);
    let script = format!("\n{SCRIPT}");
    let hash = BASE64_STANDARD.encode(Sha256::digest(&script));
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'sha256-{hash}'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<header>\n<h1>{title}</h1>\n<p>{}</p>\n</header>\n<main>\n",
        escape(&page.question)
    );
    for section in &page.sections {
        let _ = writeln!(html, "<section>\n<h2>{}</h2>", escape(&section.title));
        section.parts.iter().for_each(|one| part(one, &mut html));
        html.push_str("</section>\n");
    }
    html.push_str("</main>\n");
    for (id, json) in &page.data {
        data::element(id, json, &mut html);
    }
    let _ = write!(html, "<script>{script}</script>\n</body>\n</html>\n");
    html
}

fn part(part_of: &Part, html: &mut String) {
    // Writing to a String cannot fail.
    let _ = match part_of {
        Part::Heading(title) => writeln!(html, "<h3>{}</h3>", escape(title)),
        Part::Findings(all) => {
            all.iter().try_for_each(|one| writeln!(html, "<p class=\"finding\">{}</p>", escape(one)))
        }
        Part::Notes(all) => {
            html.push_str("<ul>\n");
            let written = all.iter().try_for_each(|one| writeln!(html, "<li>{}</li>", escape(one)));
            html.push_str("</ul>\n");
            written
        }
        Part::Facts(facts) => {
            html.push_str("<dl>\n");
            let written = facts.iter().try_for_each(|(name, value)| {
                writeln!(html, "<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value))
            });
            html.push_str("</dl>\n");
            written
        }
        Part::Command(command) => {
            writeln!(html, "<pre class=\"command\"><code>{}</code></pre>", escape(command))
        }
        Part::Table(one) => {
            table(one, html);
            Ok(())
        }
        Part::Figure { svg, name, run, .. } => {
            let _ = writeln!(html, "<figure data-run=\"{run}\" id=\"figure-{}-{run}\">", escape(name));
            for panel in panels_of(svg) {
                let _ = writeln!(html, "<div>{panel}</div>");
            }
            writeln!(html, "</figure>")
        }
        Part::Template { svg, run } => writeln!(html, "<template id=\"head-{run}\">{svg}</template>"),
        Part::Rows(run) => writeln!(
            html,
            "<div class=\"rows\" data-run=\"{run}\"><noscript><p>This table needs a script; result.csv of the run holds the \
             same.</p></noscript></div>"
        ),
        Part::Folded(title, parts) => {
            let _ = writeln!(html, "<details>\n<summary>{}</summary>", escape(title));
            for one in parts {
                part(one, html);
            }
            writeln!(html, "</details>")
        }
    };
}

fn table(table: &Table, html: &mut String) {
    let long = if table.rows.len() > LONG { " long" } else { "" };
    let _ = write!(
        html,
        "<div class=\"table{long}\" tabindex=\"0\">\n<table>\n<caption>{}</caption>\n<thead><tr>",
        escape(&table.title)
    );
    for column in &table.columns {
        let unit = if column.unit.is_empty() { String::new() } else { format!(" ({})", column.unit) };
        let class = if column.digits == Digits::Text { " class=\"t\"" } else { "" };
        let _ = write!(
            html,
            "<th scope=\"col\"{class} title=\"{}\">{}{}</th>",
            escape(&column.about),
            escape(&column.name),
            escape(&unit)
        );
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        html.push_str("<tr>");
        for (cell, column) in row.iter().zip(&table.columns) {
            let class = if column.digits == Digits::Text { " class=t" } else { "" };
            let _ = write!(html, "<td{class}>{}", escape(&cell.show(column.digits)));
        }
        html.push_str("</td></tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</div>\n");
    for note in &table.notes {
        let _ = writeln!(html, "<p class=\"note\">{}</p>", escape(note));
    }
}
