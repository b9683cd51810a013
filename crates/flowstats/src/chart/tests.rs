//! Facts about Fleutan's charts. Expected lines come from its chart library (ascii_graph 1.5.2, Python 3.11) run on the
//! same numbers, or from Fleutan's own documentation.

use super::*;

fn bars(values: &[(&str, f64)]) -> Vec<Bar> {
    values.iter().map(|&(label, value)| Bar { value, label: label.to_owned() }).collect()
}

fn lines(chart: &Chart<'_>, paint: bool) -> Vec<String> {
    let mut out = String::new();
    chart.render(paint, &mut out);
    out.lines().map(str::to_owned).collect()
}

fn lengths(lines: &[String], symbol: char) -> Vec<usize> {
    lines[2..].iter().map(|line| line.chars().filter(|&letter| letter == symbol).count()).collect()
}

const RULE: &str =
    "####################################################################################################";

#[test]
fn fact_1_the_documented_distribution_of_24_round_trips() {
    // The documentation shows the distribution, not the values; these have its extremes and lie in its bins.
    let values = [
        28.843, 29.1, 30.25, 31.9, 33.0, 35.5, 38.2, 38.7, 39.9, 40.1, 41.6, 43.3, 45.0, 47.7, 48.3, 48.4, 49.2, 50.9,
        52.3, 54.8, 56.1, 57.9, 120.6, 126.475,
    ];
    let bins = equal_bins(&values, 10);
    assert_eq!(bins.iter().map(|bin| bin.count).collect::<Vec<_>>(), [7, 8, 7, 0, 0, 0, 0, 0, 0, 2]);
    assert!((bins[0].to - bins[0].from - 9.7632).abs() < 1e-9);
    let label = |bin: &Bin| format!("[{}-{}]", python_number(bin.from), python_number(bin.to));
    let bars = bins.iter().map(|bin| Bar { value: bin.count as f64, label: label(bin) }).collect();
    let lines = lines(&Chart::new("", bars), false);
    assert_eq!(lengths(&lines, '█'), [49, 57, 49, 0, 0, 0, 0, 0, 0, 14]);
    let blocks = |blocks: usize| "█".repeat(blocks);
    let blanks = |blanks: usize| " ".repeat(blanks);
    assert_eq!(lines[..2], ["", RULE]);
    assert_eq!(lines[2], format!("{}{}7.00          [28.843-38.6062]   ", blocks(49), blanks(18)));
    assert_eq!(lines[3], format!("{}{}8.00          [38.6062-48.3694]  ", blocks(57), blanks(10)));
    assert_eq!(lines[10], format!("{}0.00          [106.9486-116.7118]", blanks(67)));
    assert_eq!(lines[11], format!("{}{}2.00          [116.7118-126.475] ", blocks(14), blanks(53)));
}

#[test]
fn fact_2_the_documented_cpus_of_a_browser() {
    let values = [15.0, 9.0, 24.0, 18.0, 3.0, 0.0, 45.0, 36.0];
    let bars = values.iter().zip('0'..).map(|(&value, label)| Bar { value, label: label.to_string() }).collect();
    let chart = Chart { symbol: '*', ..Chart::new("", bars) };
    // From Fleutan's README.
    let documented = "
####################################################################################################
************************                                                            15.00          0
**************                                                                       9.00          1
***************************************                                             24.00          2
*****************************                                                       18.00          3
****                                                                                 3.00          4
                                                                                     0.00          5
**************************************************************************          45.00          6
***********************************************************                         36.00          7
";
    let mut out = String::new();
    chart.render(false, &mut out);
    assert_eq!(out, documented);
}

#[test]
fn fact_3_values_above_a_thousand_have_a_suffix() {
    let chart = Chart::new("load (bytes) per qu", bars(&[("0", 316.0), ("1", 1080.0)]));
    let lines = lines(&chart, false);
    assert_eq!(lines[0], "load (bytes) per qu");
    assert_eq!(lengths(&lines, '█'), [21, 73]);
    assert!(lines[2].ends_with(" 316.00          0"), "{}", lines[2]);
    assert!(lines[3].ends_with("  1.08K          1"), "{}", lines[3]);
}

#[test]
fn bug_12_a_thousand_and_eighty_is_not_one_thousand() {
    let mut out = String::new();
    push_scaled(&mut out, 1080.0);
    assert_eq!(out, "1.08K");
}

#[test]
fn fact_4_bars_are_coloured_by_thresholds_each_part_rounded_down() {
    let values = bars(&[("1", 5.0), ("2", 15.0), ("3", 50.0), ("4", 120.0)]);
    let chart = Chart { thresholds: Some(Thresholds::DEFAULT), ..Chart::new("t", values) };
    assert_eq!(lengths(&lines(&chart, false), '█'), [3, 9, 30, 72]);
    let green = "\x1b[0;32m";
    let yellow = "\x1b[0;33m";
    let red = "\x1b[0;31m";
    let off = "\x1b[0m";
    let part = |colour: &str, blocks: usize| format!("{colour}{}{off}", "█".repeat(blocks));
    let line = |parts: &[String], blanks: usize, value: &str, colour: &str, label: &str| {
        format!("{}{}{colour}{value}{off}          {label}", parts.concat(), " ".repeat(blanks))
    };
    let painted = lines(&chart, true);
    let (low, middle) = (part(green, 6), part(yellow, 6));
    assert_eq!(painted[2], line(&[part(green, 3)], 82, "5.00", green, "1"));
    assert_eq!(painted[3], line(&[low.clone(), part(yellow, 3)], 75, "15.00", yellow, "2"));
    assert_eq!(painted[4], line(&[low.clone(), middle.clone(), part(red, 18)], 54, "50.00", red, "3"));
    assert_eq!(painted[5], line(&[low, middle, part(red, 48), part(red, 12)], 11, "120.00", red, "4"));
}

#[test]
fn a_value_at_a_limit_is_below_it_and_the_width_is_that_of_the_widest_limit_passed() {
    let values = bars(&[("a", 10.0), ("b", 20.0), ("c", 100.0), ("d", 1005.0)]);
    let chart = Chart { thresholds: Some(Thresholds::DEFAULT), ..Chart::new("edge", values) };
    let painted = lines(&chart, true);
    // Printed by the library: `1.00K` stands where `100.00` would.
    assert!(painted[2].ends_with("\x1b[0;32m10.00\x1b[0m          a"), "{}", painted[2]);
    assert!(painted[3].ends_with("\x1b[0;33m20.00\x1b[0m          b"), "{}", painted[3]);
    assert!(painted[5].ends_with("              \x1b[0;31m1.00K\x1b[0m          d"), "{}", painted[5]);
    assert_eq!(lengths(&painted, '█'), [0, 0, 5, 70]);
}

#[test]
fn lines_grow_with_long_labels_and_titles_but_bars_keep_their_area() {
    let chart = Chart::new("", bars(&[("a", 1.0), (&"b".repeat(60), 2.0)]));
    let narrow = lines(&chart, false);
    assert_eq!(lengths(&narrow, '█'), [25, 50]);
    assert_eq!(narrow[1].len(), 134);
    assert!(narrow[2..].iter().all(|line| line.chars().count() == 134));
    let title = "x".repeat(120);
    let titled = lines(&Chart::new(&title, bars(&[("a", 1.0)])), false);
    assert_eq!((titled[1].len(), titled[2].chars().count()), (120, 120));
    assert_eq!(lengths(&titled, '█'), [75]);
}

#[test]
fn nothing_is_drawn_of_nothing() {
    let zeros = lines(&Chart::new("", bars(&[("a", 0.0), ("b", 0.0)])), false);
    assert_eq!(lengths(&zeros, '█'), [0, 0]);
    assert_eq!(lines(&Chart::new("", Vec::new()), false), ["", RULE]);
    let odd = lines(&Chart::new("", bars(&[("a", f64::NAN), ("b", f64::INFINITY), ("c", 1.0)])), false);
    assert!(lengths(&odd, '█').iter().all(|&length| length <= 80));
}

#[test]
fn thresholds_rise_and_need_not_be_whole() {
    assert!(Thresholds::new([0.5, 1.0, 2.5]).is_some());
    for wrong in [[1.0, 1.0, 2.0], [3.0, 2.0, 1.0], [1.0, f64::NAN, 2.0], [1.0, 2.0, f64::INFINITY]] {
        assert!(Thresholds::new(wrong).is_none());
    }
}
