//! Line charts as SVG, both axes logarithmic: what grows tenfold moves one step, and a flat line is a cost that
//! does not grow.

use std::fmt::Write as _;

use crate::report::short;

/// A chart.
#[derive(Debug)]
pub struct Chart {
    /// Above it.
    pub title: String,
    /// Below it.
    pub x: &'static str,
    /// Beside it.
    pub y: &'static str,
    /// One line each: a name, and its points.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

const WIDTH: f64 = 680.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 110.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 48.0;

/// Told apart also by those who see no red or green, on light and on dark.
const COLOURS: [&str; 6] = ["#0a84d6", "#d9822b", "#2a9d6f", "#b455a0", "#8a8f98", "#c9a400"];

/// Follows the reader's choice of light or dark.
const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#333}.t{font-size:14px;font-weight:600}\
    .g{stroke:#8884;stroke-width:1}.l{fill:none;stroke-width:2}\
    @media(prefers-color-scheme:dark){text{fill:#ddd}}";

impl Chart {
    /// The SVG's text; none without two points on some line.
    #[must_use]
    pub fn svg(&self) -> Option<String> {
        let points = || self.lines.iter().flat_map(|(_, points)| points.iter().copied());
        let x = Axis::around(points().map(|(x, _)| x), LEFT, WIDTH - RIGHT, false)?;
        let y = Axis::around(points().map(|(_, y)| y), HEIGHT - BOTTOM, TOP, true)?;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
             <title>{}</title><style>{STYLE}</style>\n<text class=\"t\" x=\"{LEFT}\" y=\"20\">{0}</text>\n",
            self.title
        );
        self.draw_grid(&x, &y, &mut out);
        let mut labels = Vec::new();
        for ((name, points), colour) in self.lines.iter().zip(COLOURS) {
            let at: Vec<_> = points.iter().map(|&(px, py)| (x.place(px), y.place(py))).collect();
            let path: Vec<_> = at.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ =
                writeln!(out, "<polyline class=\"l\" stroke=\"{colour}\" points=\"{}\"/>", path.join(" "));
            for ((px, py), (_, value)) in at.iter().zip(points) {
                let _ = writeln!(
                    out,
                    "<circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"3\" fill=\"{colour}\"><title>{name}: {}</title></circle>",
                    short(*value)
                );
            }
            if let Some(&(_, end)) = at.last() {
                labels.push((end, name, colour));
            }
        }
        draw_labels(labels, &mut out);
        out.push_str("</svg>\n");
        Some(out)
    }

    fn draw_grid(&self, x: &Axis, y: &Axis, out: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in x.ticks() {
            let at = x.place(tick);
            let _ = writeln!(
                out,
                "<path class=\"g\" d=\"M{at:.1} {TOP}V{bottom}\"/>\
                 <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 18.0,
                count(tick)
            );
        }
        for tick in y.ticks() {
            let at = y.place(tick);
            let _ = writeln!(
                out,
                "<path class=\"g\" d=\"M{LEFT} {at:.1}H{right}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                at + 4.0,
                count(tick)
            );
        }
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text x=\"{LEFT}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            f64::midpoint(LEFT, right),
            HEIGHT - 8.0,
            self.x,
            TOP - 6.0,
            self.y
        );
    }
}

/// Names at the lines' ends, moved apart where they would cover each other.
fn draw_labels(mut labels: Vec<(f64, &String, &str)>, out: &mut String) {
    labels.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut free = TOP;
    for (end, name, colour) in labels {
        let at = end.max(free);
        free = at + 15.0;
        let (x, y) = (WIDTH - RIGHT + 8.0, at + 4.0);
        let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" style=\"fill:{colour}\">{name}</text>");
    }
}

/// A logarithmic axis between two places on the page.
struct Axis {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Axis {
    /// Room for all values; `whole` widens it to powers of ten.
    fn around(values: impl Iterator<Item = f64> + Clone, start: f64, end: f64, whole: bool) -> Option<Self> {
        let logs = values.filter(|value| *value > 0.0).map(f64::log10);
        let (from, to) = (logs.clone().reduce(f64::min)?, logs.reduce(f64::max)?);
        let (from, to) = if whole { (from.floor(), to.ceil()) } else { (from, to) };
        (to > from).then_some(Self { from, to, start, end })
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value.log10() - self.from) / (self.to - self.from);
        self.start + share * (self.end - self.start)
    }

    /// Powers of ten.
    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.from.ceil() as i32..=self.to.floor() as i32).map(|power| 10f64.powi(power))
    }
}

/// A power of ten, as people write it.
fn count(tick: f64) -> String {
    match tick {
        tick if tick >= 1e6 => format!("{} M", tick / 1e6),
        tick if tick >= 1e3 => format!("{},000", tick / 1e3),
        tick => format!("{tick}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_are_drawn_where_their_values_are() {
        let lines = vec![("one".to_owned(), vec![(1.0, 0.1), (100.0, 10.0)])];
        let chart = Chart { title: "t".to_owned(), x: "x", y: "y", lines };
        let svg = chart.svg().unwrap();
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        assert!(svg.contains(&format!("points=\"{LEFT:.1},{bottom:.1} {right:.1},{TOP:.1}\"")), "{svg}");
    }

    #[test]
    fn one_point_makes_no_chart() {
        let lines = vec![("one".to_owned(), vec![(1.0, 0.1)])];
        assert_eq!(Chart { title: "t".to_owned(), x: "x", y: "y", lines }.svg(), None);
    }
}
