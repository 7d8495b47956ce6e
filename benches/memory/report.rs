//! The measurements as tables, as JSON and as a picture.

use crate::{DELAY_MS, LEAST_SPACING_MS, MEMORIES, OTHER_DELAYS_MS, Repetitions, group};
use serde::Serialize;
use std::fmt::Write;

pub(crate) const FUNCTION: &str = "function";
pub(crate) const PLAIN: &str = "plain function";
pub(crate) const FLOOR: &str = "empty handler";
const PROGRAMS: [&str; 3] = [FUNCTION, PLAIN, FLOOR];

/// Lambda's price for a million requests, in US dollars.
const PRICE_OF_REQUESTS: f64 = 0.20;
/// Lambda's prices for a GB-second, in US dollars.
const PRICES_OF_TIME: [(&str, f64); 2] = [("arm64", 0.000_013_333_4), ("x86_64", 0.000_016_666_7)];

/// All measurements of a program at one memory size, with one time of a database call. Times are in milliseconds.
pub(crate) struct Measured {
    pub(crate) memory: u32,
    program: &'static str,
    database_ms: u64,
    /// The times from the start of the program to its first request for an event.
    pub(crate) starts: Vec<f64>,
    /// The processor time of each start.
    pub(crate) start_processor: Vec<f64>,
    /// The throttled periods of each start.
    pub(crate) start_throttled: Vec<f64>,
    /// The times of the first deletes.
    pub(crate) firsts: Vec<f64>,
    /// The processor time of each first delete.
    pub(crate) first_processor: Vec<f64>,
    /// The throttled periods of each first delete.
    pub(crate) first_throttled: Vec<f64>,
    pub(crate) spaced: Run,
    pub(crate) back_to_back: Run,
    pub(crate) refused: Run,
}

/// Requests of the same kind.
#[derive(Default)]
pub(crate) struct Run {
    /// The times from the event to the answer.
    pub(crate) times: Vec<f64>,
    /// The times from the event until the process asked for the next one.
    pub(crate) whole: Vec<f64>,
    /// The processor time of all requests together.
    pub(crate) processor: f64,
    /// The number of requests during which the process was throttled.
    pub(crate) throttled: usize,
}

impl Measured {
    pub(crate) fn new(memory: u32, program: &'static str, database_ms: u64) -> Self {
        Self {
            memory,
            program,
            database_ms,
            starts: Vec::new(),
            start_processor: Vec::new(),
            start_throttled: Vec::new(),
            firsts: Vec::new(),
            first_processor: Vec::new(),
            first_throttled: Vec::new(),
            spaced: Run::default(),
            back_to_back: Run::default(),
            refused: Run::default(),
        }
    }

    /// The median time of a start and its first delete together.
    fn start_and_first(&self) -> f64 {
        at(&self.starts.iter().zip(&self.firsts).map(|(start, first)| start + first).collect::<Vec<_>>(), 0.5)
    }
}

impl Run {
    /// The mean processor time of a request.
    fn processor(&self) -> f64 {
        self.processor / self.times.len() as f64
    }

    fn percent_throttled(&self) -> f64 {
        100.0 * self.throttled as f64 / self.times.len() as f64
    }

    /// The mean time that Lambda charges for. Each time is rounded up to a whole millisecond.
    fn charged(&self) -> f64 {
        self.whole.iter().map(|time| time.ceil()).sum::<f64>() / self.whole.len() as f64
    }

    /// The cost of a million of these requests, in US dollars.
    fn cost(&self, memory: u32, price: f64) -> f64 {
        self.charged() * 1e3 * f64::from(memory) / 1024.0 * price + PRICE_OF_REQUESTS
    }

    fn figures(&self) -> RunFigures {
        RunFigures {
            count: self.times.len(),
            p50_ms: at(&self.times, 0.5),
            p99_ms: at(&self.times, 0.99),
            p999_ms: at(&self.times, 0.999),
            charged_ms: self.charged(),
            processor_ms: self.processor(),
            throttled: self.throttled,
        }
    }
}

/// The figures for the JSON file.
#[derive(Serialize)]
pub(crate) struct Figures {
    memory_mb: u32,
    program: &'static str,
    database_ms: u64,
    environments: usize,
    start_ms: f64,
    start_processor_ms: f64,
    start_throttled_periods: f64,
    first_delete_ms: f64,
    first_delete_processor_ms: f64,
    first_delete_throttled_periods: f64,
    start_and_first_delete_ms: f64,
    spaced: RunFigures,
    back_to_back: RunFigures,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<RunFigures>,
}

#[derive(Serialize)]
struct RunFigures {
    count: usize,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    charged_ms: f64,
    processor_ms: f64,
    throttled: usize,
}

/// Summarizes the measurements for the JSON file.
pub(crate) fn figures(measured: &[Measured]) -> Vec<Figures> {
    let figures = |of: &Measured| Figures {
        memory_mb: of.memory,
        program: of.program,
        database_ms: of.database_ms,
        environments: of.starts.len(),
        start_ms: at(&of.starts, 0.5),
        start_processor_ms: at(&of.start_processor, 0.5),
        start_throttled_periods: at(&of.start_throttled, 0.5),
        first_delete_ms: at(&of.firsts, 0.5),
        first_delete_processor_ms: at(&of.first_processor, 0.5),
        first_delete_throttled_periods: at(&of.first_throttled, 0.5),
        start_and_first_delete_ms: of.start_and_first(),
        spaced: of.spaced.figures(),
        back_to_back: of.back_to_back.figures(),
        refused: (!of.refused.times.is_empty()).then(|| of.refused.figures()),
    };
    measured.iter().map(figures).collect()
}

/// A table of the programs: its heading, the cell of a program, and the figure for the ratio to the plain function.
struct Comparison {
    heading: String,
    figure: fn(&Measured) -> String,
    ratio_of: Option<fn(&Measured) -> f64>,
}

/// The measurements as Markdown.
pub(crate) fn tables(measured: &[Measured], repetitions: Repetitions) -> String {
    let Repetitions { environments, spaced, back_to_back, refused } = repetitions;
    let (spaced, back_to_back, refused) = (spaced * environments, back_to_back * environments, refused * environments);
    let comparisons = [
        Comparison {
            heading: format!("Start: ms until the first request for an event, median of {environments}"),
            figure: |of| format!("{:.1}", at(&of.starts, 0.5)),
            ratio_of: Some(|of| at(&of.starts, 0.5)),
        },
        Comparison {
            heading: format!("First delete: ms, median of {environments}"),
            figure: |of| format!("{:.1}", at(&of.firsts, 0.5)),
            ratio_of: Some(|of| at(&of.firsts, 0.5)),
        },
        Comparison {
            heading: format!("Start and first delete together: ms, median of {environments}"),
            figure: |of| format!("{:.1}", of.start_and_first()),
            ratio_of: Some(Measured::start_and_first),
        },
        Comparison {
            heading: format!("Warm delete, every 50 ms: ms, p50 / p99 / p99.9 of {spaced}; ratio of p50"),
            figure: |of| percentiles(&of.spaced.times),
            ratio_of: Some(|of| at(&of.spaced.times, 0.5)),
        },
        Comparison {
            heading: format!("Warm delete, back to back: ms, p50 / p99 / p99.9 of {back_to_back}; ratio of p50"),
            figure: |of| percentiles(&of.back_to_back.times),
            ratio_of: Some(|of| at(&of.back_to_back.times, 0.5)),
        },
        Comparison {
            heading: format!("Refusal without a database call, back to back: ms, median of {refused}"),
            figure: |of| format!("{:.2}", at(&of.refused.times, 0.5)),
            ratio_of: Some(|of| at(&of.refused.times, 0.5)),
        },
        Comparison {
            heading: format!(
                "Processor time: ms for the start / the first delete (medians of {environments}) / a warm delete every \
                 50 ms / a warm delete back to back (means); ratio of a warm delete every 50 ms"
            ),
            figure: |of| {
                let [start, first] = [&of.start_processor, &of.first_processor].map(|times| at(times, 0.5));
                format!("{start:.1} / {first:.1} / {:.2} / {:.2}", of.spaced.processor(), of.back_to_back.processor())
            },
            ratio_of: Some(|of| of.spaced.processor()),
        },
        Comparison {
            heading: format!(
                "Throttled periods in the start / in the first delete (medians of {environments}); share of throttled \
                 warm deletes, every 50 ms / back to back"
            ),
            figure: |of| {
                let [start, first] = [&of.start_throttled, &of.first_throttled].map(|periods| at(periods, 0.5));
                let [spaced, back_to_back] = [&of.spaced, &of.back_to_back].map(Run::percent_throttled);
                format!("{start} / {first}; {spaced:.1} % / {back_to_back:.1} %")
            },
            ratio_of: None,
        },
    ];
    let mut text = format!(
        "For each MB of memory, a program has {:.1} µs of processor time in a period of {} ms. The database answers \
         each call after {DELAY_MS} ms. The programs are measured in turn, {environments} times at each memory size. \
         \"Every 50 ms\" is a mean: a delete comes {:.0} to {:.0} ms after the last one. So deletes begin at all times \
         of a period.\n",
        f64::from(group::PERIOD_US / 1000) * 1e3 / f64::from(group::MEMORY_OF_A_PROCESSOR),
        group::PERIOD_US / 1000,
        LEAST_SPACING_MS.floor(),
        (LEAST_SPACING_MS + 19.0).ceil(),
    );
    for comparison in comparisons {
        text += &compare(measured, &comparison);
    }
    text += &delays(measured, "every 50 ms", |of| &of.spaced);
    text += &delays(measured, "back to back", |of| &of.back_to_back);
    text + &costs(measured)
}

fn compare(measured: &[Measured], Comparison { heading, figure, ratio_of }: &Comparison) -> String {
    let mut table = format!("\n{heading}:\n\n| memory | {} |", PROGRAMS.join(" | "));
    table += if ratio_of.is_some() {
        " ratio to the plain function |\n|---|---|---|---|---|\n"
    } else {
        "\n|---|---|---|---|\n"
    };
    for memory in MEMORIES {
        let of = |program| find(measured, memory, program, DELAY_MS);
        let _ = write!(table, "| {memory} MB |");
        for program in PROGRAMS {
            let _ = write!(table, " {} |", of(program).map(figure).unwrap_or_default());
        }
        if let Some(((function, plain), ratio_of)) = of(FUNCTION).zip(of(PLAIN)).zip(*ratio_of) {
            let _ = write!(table, " {:.2} |", ratio_of(function) / ratio_of(plain));
        }
        table.push('\n');
    }
    table
}

/// A table of the function's deletes, with different times of a database call.
fn delays(measured: &[Measured], what: &str, run: fn(&Measured) -> &Run) -> String {
    let [short, long] = OTHER_DELAYS_MS;
    let mut table = format!(
        "\nThe function's warm delete {what}, by the time of a database call: ms, p50 / p99, and the share of \
         throttled deletes:\n\n| memory | {short} ms | {DELAY_MS} ms | {long} ms |\n|---|---|---|---|\n"
    );
    for memory in MEMORIES {
        let _ = write!(table, "| {memory} MB |");
        for of in [short, DELAY_MS, long].map(|delay| find(measured, memory, FUNCTION, delay).map(run)) {
            let cell = of.map(|run| {
                format!("{:.1} / {:.1}, {:.1} %", at(&run.times, 0.5), at(&run.times, 0.99), run.percent_throttled())
            });
            let _ = write!(table, " {} |", cell.unwrap_or_default());
        }
        table.push('\n');
    }
    table
}

/// A table of the cost of a million deletes.
fn costs(measured: &[Measured]) -> String {
    let mut table = String::from(
        "\nLambda's price for a million warm deletes every 50 ms, in US dollars. It includes 0.20 for the requests. \
         The time of a delete ends when the program asks for the next event, and is rounded up to 1 ms. There is a price \
         for each architecture. Both prices use the times of this machine:\n\n| memory | program | mean time |",
    );
    for (architecture, _) in PRICES_OF_TIME {
        let _ = write!(table, " {architecture} |");
    }
    table.push_str("\n|---|---|---|---|---|\n");
    for memory in MEMORIES {
        for of in [FUNCTION, PLAIN].iter().filter_map(|program| find(measured, memory, program, DELAY_MS)) {
            let _ = write!(table, "| {memory} MB | {} | {:.1} ms |", of.program, of.spaced.charged());
            for (_, price) in PRICES_OF_TIME {
                let _ = write!(table, " {:.3} |", of.spaced.cost(memory, price));
            }
            table.push('\n');
        }
    }
    table
}

fn find<'m>(measured: &'m [Measured], memory: u32, program: &str, database_ms: u64) -> Option<&'m Measured> {
    measured.iter().find(|of| of.memory == memory && of.program == program && of.database_ms == database_ms)
}

fn percentiles(times: &[f64]) -> String {
    format!("{:.1} / {:.1} / {:.1}", at(times, 0.5), at(times, 0.99), at(times, 0.999))
}

/// The percentile at this share, between 0 and 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the share is between 0 and 1")]
fn at(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// A line of a chart: its name, its colour, other SVG attributes, and a value for each memory size.
struct Line {
    name: String,
    colour: &'static str,
    attributes: &'static str,
    values: Vec<f64>,
}

/// Two charts in SVG, by memory size: a start with its first delete, and warm deletes every 50 ms.
pub(crate) fn picture(measured: &[Measured]) -> String {
    const COLOURS: [&str; 3] = ["#4878a8", "#c04040", "#808080"];
    let line = |name, program, colour, attributes, value: &dyn Fn(&Measured) -> f64| {
        let found = MEMORIES.iter().filter_map(|memory| find(measured, *memory, program, DELAY_MS));
        Line { name, colour, attributes, values: found.map(value).collect() }
    };
    let (mut first, mut warm) = (Vec::new(), Vec::new());
    for (program, colour) in PROGRAMS.into_iter().zip(COLOURS) {
        first.push(line(program.to_owned(), program, colour, "", &Measured::start_and_first));
        for (name, share, attributes) in [("p50", 0.5, ""), ("p99", 0.99, " stroke-dasharray=\"6 4\"")] {
            let value = |of: &Measured| at(&of.spaced.times, share);
            warm.push(line(format!("{program}, {name}"), program, colour, attributes, &value));
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 640\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"760\" height=\"640\" fill=\"#ffffff\"/>\n{}<g \
         transform=\"translate(0 320)\">\n{}</g>\n</svg>\n",
        chart("Start and first delete: ms by memory (MB)", &first),
        chart("Warm delete every 50 ms: ms by memory (MB)", &warm),
    )
}

/// A chart with a logarithmic axis.
fn chart(title: &str, lines: &[Line]) -> String {
    const LEFT: f64 = 50.0;
    const RIGHT: f64 = 620.0;
    const TOP: f64 = 40.0;
    const BOTTOM: f64 = 285.0;
    const TICKS: [f64; 13] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
    let all = || lines.iter().flat_map(|line| &line.values).copied();
    let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    let least = TICKS.into_iter().rev().find(|tick| *tick <= least).unwrap_or(least);
    let most = TICKS.into_iter().find(|tick| *tick >= most).unwrap_or(most);
    let y = |value: f64| BOTTOM - (BOTTOM - TOP) * (value / least).ln() / (most / least).ln();
    let x = |n: usize| LEFT + 20.0 + (RIGHT - LEFT - 40.0) * n as f64 / (MEMORIES.len() - 1) as f64;

    let mut svg = format!("<text x=\"{LEFT}\" y=\"20\">{title}</text>\n");
    for tick in TICKS.into_iter().filter(|tick| (least..=most).contains(tick)) {
        let y = y(tick);
        let _ = writeln!(svg, "<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#d8d8d8\"/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>", LEFT - 6.0, y + 4.0);
    }
    for (n, memory) in MEMORIES.iter().enumerate() {
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{memory}</text>", x(n), BOTTOM + 20.0);
    }
    // Moves the names apart if lines end close to each other.
    let mut ends: Vec<_> = lines.iter().filter_map(|line| Some((y(*line.values.last()?), line))).collect();
    ends.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let mut free = TOP;
    for (end, Line { name, colour, attributes, values }) in ends {
        let points = values.iter().enumerate().map(|(n, value)| format!("{:.1},{:.1}", x(n), y(*value)));
        let points = points.collect::<Vec<_>>().join(" ");
        let _ = writeln!(
            svg,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{attributes}/>"
        );
        let at = end.max(free);
        free = at + 15.0;
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>", RIGHT + 4.0, at + 4.0);
    }
    svg
}
