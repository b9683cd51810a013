//! Numbers as Fleutan writes them.

use std::fmt::Write;

const SUFFIXES: [&str; 9] = ["", "K", "M", "G", "T", "P", "E", "Z", "Y"];

/// Appends a value with two decimals and, from 1000 on, a suffix for thousands: `316.00`, `1.08K`. What is just below a
/// suffix' next keeps its own and gets a separator: `1,000.00K`.
pub fn push_scaled(out: &mut String, value: f64) {
    let mut value = value;
    let mut suffixes = SUFFIXES.iter();
    let mut suffix = suffixes.next().unwrap_or(&"");
    while value >= 1000.0
        && let Some(next) = suffixes.next()
    {
        value /= 1000.0;
        suffix = next;
    }
    let text = format!("{value:.2}");
    let digits = text.find('.').unwrap_or(text.len());
    for (place, letter) in text.chars().enumerate() {
        if place > 0 && place < digits && (digits - place) % 3 == 0 {
            out.push(',');
        }
        out.push(letter);
    }
    out.push_str(suffix);
}

/// A number as Python 2 prints it: twelve significant digits, without zeros at the end but with one behind the point
/// (`28.0`, `38.6062`). Labels of Fleutan's bins are made of such.
pub fn python_number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value:.1}");
    }
    // Twelve digits also where rounding gives one more in front (9.9…9).
    let scientific = format!("{value:.11e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mut text = String::new();
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..12).contains(&exponent) {
        let rounded: f64 = scientific.parse().unwrap_or(value);
        let decimals = usize::try_from(11 - exponent).unwrap_or(0);
        text = trimmed(&format!("{rounded:.decimals$}"));
        if !text.contains('.') {
            text.push_str(".0");
        }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        // Writing into a string cannot fail.
        let _infallible = write!(text, "{}e{sign}{:02}", trimmed(mantissa), exponent.unsigned_abs());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(value: f64) -> String {
        let mut out = String::new();
        push_scaled(&mut out, value);
        out
    }

    #[test]
    fn values_have_two_decimals_and_a_suffix_as_the_chart_library_prints_them() {
        // Printed by ascii_graph 1.5.2 under Python 3.11.
        let printed = [
            (0.004, "0.00"),
            (999.999, "1,000.00"),
            (1000.0, "1.00K"),
            (1001.0, "1.00K"),
            (999_999.0, "1,000.00K"),
            (1_234_567.891, "1.23M"),
            (1e15, "1.00P"),
            (1e27, "1,000.00Y"),
        ];
        for (value, text) in printed {
            assert_eq!(scaled(value), text);
        }
    }

    #[test]
    fn numbers_of_labels_read_as_python_2_prints_them() {
        // `str()` of Python 2.7 is `%.12g`, with a point.
        let printed = [
            (28.843, "28.843"),
            (38.606_199_999_999_994, "38.6062"),
            (28.0, "28.0"),
            (0.1 + 0.2, "0.3"),
            (1e11, "100000000000.0"),
            (1e12, "1e+12"),
            (123_456_789.123_456, "123456789.123"),
            (0.000_1, "0.0001"),
            (0.000_012_5, "1.25e-05"),
            (9.999_999_999_999_9, "10.0"),
            (0.0, "0.0"),
            (-0.5, "-0.5"),
        ];
        for (value, text) in printed {
            assert_eq!(python_number(value), text);
        }
    }
}
