//! The measurements as a table, as JSON and as a picture.

use serde::Serialize;
use std::fmt::Write;

/// Measurements of one thing.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    /// What is measured.
    pub(crate) name: String,
    /// The unit, such as `ms`.
    pub(crate) unit: &'static str,
    /// The middle value.
    pub(crate) median: f64,
    /// The 10th percentile.
    pub(crate) p10: f64,
    /// The 90th percentile.
    pub(crate) p90: f64,
    /// How many values there are.
    pub(crate) count: usize,
}

impl Sample {
    /// Summarizes measurements.
    pub(crate) fn of(name: &str, unit: &'static str, mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at =
            |tenths: usize| values.get((values.len().saturating_sub(1)) * tenths / 10).copied().unwrap_or(f64::NAN);
        Self { name: name.to_owned(), unit, median: at(5), p10: at(1), p90: at(9), count: values.len() }
    }
}

/// A figure, and the one that it is compared with.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// The name of the figure.
    pub(crate) figure: &'static str,
    /// The function's figure.
    pub(crate) ours: Sample,
    /// The figure that it is compared with.
    pub(crate) beside: Sample,
    /// The ratio of the medians.
    pub(crate) ratio: f64,
    /// The target for the ratio, if there is one.
    pub(crate) to_reach: Option<f64>,
}

impl Row {
    /// Compares two.
    pub(crate) fn new(figure: &'static str, ours: Sample, beside: Sample, to_reach: Option<f64>) -> Self {
        let ratio = ours.median / beside.median;
        Self { figure, ours, beside, ratio, to_reach }
    }
}

/// The rows as a Markdown table.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = String::from("| figure | measured | compared with | ratio | target |\n|---|---|---|---|---|\n");
    for Row { figure, ours, beside, ratio, to_reach } in rows {
        let verdict = to_reach.map_or(String::from("–"), |to_reach| {
            format!("≤ {to_reach:.2}{}", if *ratio <= to_reach { "" } else { " **not reached**" })
        });
        let _ = writeln!(table, "| {figure} | {} | {} | {ratio:.2} | {verdict} |", cell(ours), cell(beside));
    }
    table
}

fn cell(Sample { name, unit, median, p10, p90, count }: &Sample) -> String {
    if *count == 1 {
        format!("{name}: {median:.4} {unit}")
    } else {
        format!("{name}: {median:.3} {unit} ({p10:.3} to {p90:.3}, n = {count})")
    }
}

/// The ratios as a bar chart in SVG, with a bar for each row and a mark at its target.
pub(crate) fn picture(rows: &[Row]) -> String {
    const WIDTH: f64 = 760.0;
    const LABEL: f64 = 330.0;
    const BAR: f64 = 26.0;
    let scale =
        (WIDTH - LABEL - 60.0) / rows.iter().map(|row| row.ratio.max(row.to_reach.unwrap_or(0.0))).fold(1.0, f64::max);
    let height = BAR * (rows.len() as f64) + 20.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n"
    );
    for (n, row) in rows.iter().enumerate() {
        let y = BAR * n as f64 + 10.0;
        let _ =
            writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", LABEL - 8.0, y + 15.0, row.figure);
        let _ = writeln!(
            svg,
            "<rect x=\"{LABEL}\" y=\"{}\" width=\"{:.1}\" height=\"16\" fill=\"#4878a8\"/>",
            y + 3.0,
            row.ratio * scale
        );
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\">{:.2}</text>",
            LABEL + row.ratio * scale + 6.0,
            y + 15.0,
            row.ratio
        );
        if let Some(to_reach) = row.to_reach {
            let x = LABEL + to_reach * scale;
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{y}\" y2=\"{}\" stroke=\"#c04040\" stroke-width=\"2\"/>",
                y + 22.0
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}
