//! Charts over days, as SVG. plotters computes the axes and draws.

use plotters::coord::Shift;
use plotters::coord::ranged1d::SegmentValue;
use plotters::prelude::*;
use std::error::Error;

/// A colour on a light and on a dark page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shade {
    pub(super) light: u32,
    pub(super) dark: u32,
}

/// Of texts and axes, then of lines behind the chart.
pub(super) const INK: Shade = Shade {
    light: 0x5B6472,
    dark: 0xA3ADBB,
};
pub(super) const GRID: Shade = Shade {
    light: 0xE3E6EA,
    dark: 0x30363F,
};

/// The colours of Okabe and Ito, which colour-blind people can tell apart, made lighter or darker for contrast. The last one is
/// grey, for what remains.
pub(super) const SHADES: [Shade; 8] = [
    Shade {
        light: 0x0B6FB3,
        dark: 0x4BA3E3,
    },
    Shade {
        light: 0xD98200,
        dark: 0xF0A830,
    },
    Shade {
        light: 0x008F6B,
        dark: 0x2DBE98,
    },
    Shade {
        light: 0xB9538F,
        dark: 0xDB86B8,
    },
    Shade {
        light: 0xC44900,
        dark: 0xEE7A3C,
    },
    Shade {
        light: 0x3FA4CE,
        dark: 0x7CCBEF,
    },
    Shade {
        light: 0x9A8B00,
        dark: 0xD9CB3D,
    },
    Shade {
        light: 0x7E8793,
        dark: 0x8A94A1,
    },
];

/// Values of days. `None`: there is none.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) shade: Shade,
    pub(super) values: Vec<Option<f64>>,
}

/// How a chart is labelled.
pub(super) struct Labels<'a> {
    pub(super) days: &'a [String],
    /// Writes a value of an axis that goes up to the second argument.
    pub(super) value: &'a dyn Fn(f64, f64) -> String,
}

// Coordinates are whole numbers. A page shows the chart at about a third of this size.
const SIZE: (u32, u32) = (1200, 600);
/// The viewBox of all charts.
pub(super) const VIEW: &str = "0 0 1200 600";
const LETTERS: u32 = 46;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Bars of which each is the sum of the series. Negative values go down from zero.
pub(super) fn stacked(series: &[Series], labels: &Labels) -> Option<String> {
    let days = labels.days.len();
    let (mut low, mut high) = (0.0_f64, 0.0_f64);
    let mut bars = Vec::new();
    for day in 0..days {
        let (mut below, mut above) = (0.0, 0.0);
        for each in series {
            let value = each.values.get(day).copied().flatten().unwrap_or(0.0);
            let edge = if value < 0.0 { &mut below } else { &mut above };
            if value != 0.0 {
                bars.push((day as i32, *edge, *edge + value, each.shade));
                *edge += value;
            }
        }
        (low, high) = (low.min(below), high.max(above));
    }
    // The gaps would be wider than the bars of a year.
    let gap = if days > 60 {
        0
    } else {
        (SIZE.0 as usize / days.max(1) / 8) as u32
    };
    drawn(labels, low, high, bars.is_empty(), |chart| {
        chart.draw_series(bars.iter().map(|&(day, from, to, shade)| {
            // An axis of one day does not know where the next one begins.
            let end = if day as usize + 1 == days {
                SegmentValue::Last
            } else {
                SegmentValue::Exact(day + 1)
            };
            let ends = [(SegmentValue::Exact(day), from), (end, to)];
            let mut bar = Rectangle::new(ends, color(shade.light).filled());
            bar.set_margin(0, 0, gap, gap);
            bar
        }))?;
        Ok(())
    })
}

/// A line for each series. Days without a value interrupt it.
pub(super) fn lines(series: &[Series], labels: &Labels) -> Option<String> {
    let known = || series.iter().flat_map(|each| each.values.iter().flatten());
    let high = known().fold(0.0_f64, |high, value| high.max(*value));
    drawn(labels, 0.0, high, known().next().is_none(), |chart| {
        for each in series {
            let style = color(each.shade.light).stroke_width(5);
            let points = || each.values.iter().take(labels.days.len()).enumerate();
            let place = |day: usize| SegmentValue::CenterOf(day as i32);
            for stretch in points()
                .collect::<Vec<_>>()
                .chunk_by(|one, next| one.1.is_some() == next.1.is_some())
            {
                let stretch = stretch
                    .iter()
                    .filter_map(|(day, value)| Some((place(*day), (**value)?)));
                chart.draw_series(LineSeries::new(stretch, style))?;
            }
            if labels.days.len() <= 60 {
                chart.draw_series(points().filter_map(|(day, value)| {
                    Some(Circle::new(
                        (place(day), (*value)?),
                        8,
                        color(each.shade.light).filled(),
                    ))
                }))?;
            }
        }
        Ok(())
    })
}

type Days = plotters::coord::ranged1d::SegmentedCoord<plotters::coord::types::RangedCoordi32>;
type Chart<'a, 'b> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<Days, plotters::coord::types::RangedCoordf64>>;
type Drawn = Result<(), Box<dyn Error>>;

/// The inside of an SVG, or nothing where there is nothing to draw.
fn drawn(
    labels: &Labels,
    low: f64,
    high: f64,
    is_empty: bool,
    draw: impl FnOnce(&mut Chart) -> Drawn,
) -> Option<String> {
    if is_empty || labels.days.is_empty() {
        return None;
    }
    // An axis needs a length.
    let high = if high - low > 1e-9 { high } else { low + 1.0 };
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        on_axes(&area, labels, low, high, draw).ok()?;
        area.present().ok()?;
    }
    // Without the opening tag, which the page writes, and the closing one.
    let inside = svg.split_once('>')?.1;
    Some(inside.trim_end().strip_suffix("</svg>")?.to_owned())
}

fn on_axes(
    area: &Area,
    labels: &Labels,
    low: f64,
    high: f64,
    draw: impl FnOnce(&mut Chart) -> Drawn,
) -> Drawn {
    let last = labels.days.len() as i32 - 1;
    let room = (high - low) * 0.05;
    let low = if low < 0.0 { low - room } else { low };
    let mut chart = ChartBuilder::on(area)
        .margin_top(24)
        .margin_right(72)
        .x_label_area_size(78)
        .y_label_area_size(170)
        .build_cartesian_2d((0..last).into_segmented(), low..high + room)?;
    let most = high.max(-low);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(color(GRID.light).stroke_width(2))
        .axis_style(color(GRID.light).stroke_width(3))
        .label_style(("sans-serif", LETTERS, &color(INK.light)))
        // Keeps the first label of one axis from that of the other.
        .set_tick_mark_size(LabelAreaPosition::Bottom, 18)
        .x_labels(5)
        .y_labels(5)
        .x_label_formatter(&|day| match day {
            SegmentValue::CenterOf(day) => {
                let day = usize::try_from(*day).ok().and_then(|day| labels.days.get(day));
                day.cloned().unwrap_or_default()
            }
            _ => String::new(),
        })
        .y_label_formatter(&|value| (labels.value)(*value, most))
        .draw()?;
    draw(&mut chart)
}

fn color(rgb: u32) -> RGBColor {
    let [_, red, green, blue] = rgb.to_be_bytes();
    RGBColor(red, green, blue)
}
