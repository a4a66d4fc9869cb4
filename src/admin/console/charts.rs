//! Pictures where looking is quicker than reading: SVG made here, sized by attributes, as no style may stand in a page.

use crate::web::Html;

/// Calls of one slice of time: allowed, refused.
pub(super) type Slice = (u64, u64);

const WIDTH: u64 = 720;
const HEIGHT: u64 = 120;

/// Bars of `slices`, the oldest first, from `from` to `to`, with what they say in words.
pub(super) fn bars(html: Html, slices: &[Slice], from: &str, to: &str) -> Html {
    let most = slices.iter().map(|(ok, no)| ok + no).max().unwrap_or(0).max(1);
    let (ok, no) = slices.iter().fold((0, 0), |(ok, no), slice| (ok + slice.0, no + slice.1));
    let step = WIDTH / (slices.len().max(1) as u64);
    let mut html = html.raw("<figure><svg class=\"chart\" viewBox=\"0 0 720 140\" role=\"img\" aria-label=\"").number(ok);
    html = html.raw(" allowed and ").number(no).raw(" refused, from ").text(from).raw(" to ").text(to).raw("\">");
    for (at, (ok, no)) in slices.iter().enumerate() {
        let x = at as u64 * step;
        // A few are seen beside many.
        let height = |count: u64| if count == 0 { 0 } else { (count * HEIGHT / most).max(2) };
        let (good, bad) = (height(*ok), height(*no));
        html = rect(html, "ok", x, HEIGHT.saturating_sub(good), step, good);
        html = rect(html, "no", x, HEIGHT.saturating_sub(good + bad), step, bad);
    }
    html = html.raw("<line class=\"axis\" x1=\"0\" x2=\"720\" y1=\"120\" y2=\"120\"/><text x=\"0\" y=\"136\">").text(from);
    html = html.raw("</text><text x=\"720\" y=\"136\" text-anchor=\"end\">").text(to).raw("</text></svg>");
    html = html.raw("<figcaption><span class=\"key\">allowed ").number(ok).raw("</span> <span class=\"key no\">refused ");
    html.number(no).raw("</span>, at most ").number(most).raw(" in one bar</figcaption></figure>")
}

fn rect(html: Html, class: &'static str, x: u64, y: u64, step: u64, height: u64) -> Html {
    if height == 0 {
        return html;
    }
    let html = html.raw("<rect class=\"").raw(class).raw("\" x=\"").number(x).raw("\" y=\"").number(y).raw("\" width=\"");
    html.number(step.saturating_sub(1).max(1)).raw("\" height=\"").number(height).raw("\"/>")
}

/// A part of a whole as a bar beside its number.
pub(super) fn share(html: Html, part: u64, whole: u64) -> Html {
    let width = (part * 100).checked_div(whole).unwrap_or(0).min(100);
    let html = html.raw("<svg class=\"spark\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
    let html = html.raw("<rect class=\"ok\" x=\"0\" y=\"0\" height=\"10\" width=\"").number(width).raw("\"/></svg> ");
    html.number(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_stays_in_its_frame_and_says_its_numbers() {
        let slices: Vec<Slice> = (0..60).map(|at| (at * 7, u64::from(at == 3))).collect();
        let html = bars(Html::new(), &slices, "a<b", "c");
        let text = html.as_str();
        assert!(text.contains("12390 allowed and 1 refused, from a&lt;b to c"), "{text}");
        for height in text.split(" height=\"").skip(1).filter_map(|rest| rest.split('"').next()?.parse::<u64>().ok()) {
            assert!((1..=HEIGHT).contains(&height), "{height}");
        }
        assert!(!text.contains("style="));
        assert!(share(Html::new(), 5, 0).as_str().contains("width=\"0\""));
        assert!(share(Html::new(), 50, 200).as_str().contains("width=\"25\""));
    }
}
