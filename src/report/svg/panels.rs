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

/// Elements that [`to_svg`](super::to_svg) writes.
const ELEMENTS: [&str; 7] = ["svg", "title", "g", "path", "rect", "circle", "text"];

/// Whether a text is a figure that [`to_svg`](super::to_svg) may have drawn: it holds nothing that would run or load on a page.
pub fn is_figure(svg: &str) -> bool {
    let is_known = |piece: &str| {
        let Some((tag, _)) = piece.split_once('>') else { return false };
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        // Names of attributes stand outside of quotes.
        let names: String = tag.split('"').step_by(2).collect();
        let runs = names.split_whitespace().any(|word| word.starts_with("on") || word.contains("href"));
        ELEMENTS.contains(&name) && !runs && tag.matches('"').count() % 2 == 0
    };
    svg.starts_with("<svg ") && svg.split('<').skip(1).all(is_known)
}
