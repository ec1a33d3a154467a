//! A figure of several panels as figures of their own, which a narrow page sets below each other.

/// The panels of a figure that [`to_svg`](super::to_svg) drew, each as a complete SVG; the figure itself if it has none.
pub fn panels_of(svg: &str) -> Vec<String> {
    let mut lines = svg.lines();
    let Some(open) = lines.next().filter(|_| svg.contains("\n<g class=\"panel\"")) else {
        return vec![svg.to_string()];
    };
    let mut panels: Vec<String> = Vec::new();
    let mut depth = 0;
    for line in lines {
        let starts = line.starts_with("<g ");
        if depth == 0 && starts {
            let place = attribute(line, "data-box").unwrap_or_default();
            let mut size = place.split(' ').skip(2);
            let (width, height) = (size.next().unwrap_or("0"), size.next().unwrap_or("0"));
            let fonts = attribute(open, "font-family").unwrap_or_default();
            let fill = attribute(open, "fill").unwrap_or_default();
            panels.push(format!(
                "<svg viewBox=\"{place}\" width=\"{width}\" height=\"{height}\" role=\"img\" font-family=\"{fonts}\" \
                 fill=\"{fill}\">\n"
            ));
        }
        depth += usize::from(starts);
        if let Some(panel) = panels.last_mut().filter(|_| depth > 0) {
            panel.extend([line, "\n"]);
        }
        if depth > 0 && line == "</g>" {
            depth -= 1;
            if let Some(panel) = panels.last_mut().filter(|_| depth == 0) {
                panel.push_str("</svg>\n");
            }
        }
    }
    panels
}

fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(&format!(" {name}=\""))?.1.split('"').next()
}

/// Elements that [`to_svg`](super::to_svg) writes, and their attributes beside `data-NAME`.
const ELEMENTS: [&str; 7] = ["svg", "title", "g", "path", "rect", "circle", "text"];
const ATTRIBUTES: [&str; 23] = [
    "xmlns",
    "width",
    "height",
    "viewBox",
    "role",
    "font-family",
    "font-size",
    "font-weight",
    "fill",
    "fill-opacity",
    "stroke",
    "stroke-width",
    "stroke-opacity",
    "stroke-linejoin",
    "stroke-dasharray",
    "d",
    "x",
    "y",
    "cx",
    "cy",
    "r",
    "transform",
    "text-anchor",
];

/// Whether a text is a figure that [`to_svg`](super::to_svg) may have drawn: it has no other elements and attributes, so that
/// nothing of it runs or loads on a page.
pub fn is_figure(svg: &str) -> bool {
    svg.starts_with("<svg ") && svg.split('<').skip(1).all(|piece| is_known(piece).unwrap_or(false))
}

/// Whether a tag, and the text after it, is one of those; none if it is none at all.
fn is_known(piece: &str) -> Option<bool> {
    let (tag, _) = piece.split_once('>')?;
    if let Some(name) = tag.strip_prefix('/') {
        return Some(ELEMENTS.contains(&name));
    }
    let tag = tag.strip_suffix('/').unwrap_or(tag);
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    let mut known = ELEMENTS.contains(&name);
    while !rest.is_empty() {
        let (attribute, after) = rest.split_once("=\"")?;
        let (_, after) = after.split_once('"')?;
        let own = attribute.strip_prefix("data-").unwrap_or(attribute);
        let is_data = own != attribute && own.chars().all(|c| c.is_ascii_lowercase());
        known &= is_data || attribute == "class" || ATTRIBUTES.contains(&attribute);
        rest = if after.is_empty() { after } else { after.strip_prefix(' ')? };
    }
    Some(known)
}
