//! Values counted in bins.

/// Bins of a distribution at most; as many equal ones.
pub const MOST_BINS: usize = 64;

/// Values from `from` on that are below `to`; in the last bin also those at it.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Bin {
    /// Its lower edge.
    pub from: f64,
    /// Its upper edge.
    pub to: f64,
    /// Values in it.
    pub count: u64,
}

/// Counts values in `number` bins of equal width from the least to the greatest of them, as numpy's `histogram` does:
/// each bin has its lower edge and only the last its upper one too; equal values lie in the middle of a range of 1, and
/// without values the range is 0 to 1. What is not finite, or at least `f64::MAX / 2`, is left out. There are 1
/// to [`MOST_BINS`] bins; any other `number` is taken for the nearest.
pub fn equal_bins(values: &[f64], number: usize) -> Vec<Bin> {
    let number = number.clamp(1, MOST_BINS);
    // Of others the distance may be no number.
    let finite = || values.iter().copied().filter(|value| value.abs() < f64::MAX / 2.0);
    let least = finite().fold(f64::INFINITY, f64::min);
    let greatest = finite().fold(f64::NEG_INFINITY, f64::max);
    let (from, to) = match () {
        () if least > greatest => (0.0, 1.0),
        () if least == greatest => (least - 0.5, greatest + 0.5),
        () => (least, greatest),
    };
    let step = (to - from) / number as f64;
    let mut edges: Vec<f64> = (0..number).map(|place| place as f64 * step + from).collect();
    edges.push(to);
    count(&edges, finite())
}

/// Counts values in bins with round edges, three for every power of ten: 1, 2, 5, 10, 20, … as far as the values
/// reach, from 10⁻⁹ to 5 · 10¹²; what lies beyond is in the outermost bin. Values that are not positive are in the
/// first bin, which then begins at 0. What is not finite is left out.
pub fn log_bins(values: &[f64]) -> Vec<Bin> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let positive = || finite().filter(|&value| value > 0.0);
    let least = positive().fold(f64::INFINITY, f64::min);
    let greatest = positive().fold(0.0, f64::max);
    // Values are times in milliseconds: from a picosecond to 150 years.
    let round: Vec<f64> = (-9..13).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power))).collect();
    let mut edges = Vec::new();
    if finite().any(|value| value <= 0.0) || least > greatest {
        edges.push(0.0);
    }
    if least <= greatest {
        let last = round.len() - 1;
        let end = round.partition_point(|&edge| edge <= greatest).clamp(1, last);
        let begin = round.partition_point(|&edge| edge <= least).clamp(1, end) - 1;
        edges.extend(&round[begin..=end]);
    }
    if edges.len() < 2 {
        edges = vec![0.0, 1.0];
    }
    edges.truncate(MOST_BINS + 1);
    count(&edges, finite())
}

/// How many values lie between two edges each; those outside are in the nearest bin.
fn count(edges: &[f64], values: impl Iterator<Item = f64>) -> Vec<Bin> {
    let mut bins: Vec<Bin> = edges.windows(2).map(|pair| Bin { from: pair[0], to: pair[1], count: 0 }).collect();
    for value in values {
        let place = bins.partition_point(|bin| bin.from <= value).saturating_sub(1);
        if let Some(bin) = bins.get_mut(place) {
            bin.count += 1;
        }
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(bins: &[Bin]) -> Vec<u64> {
        bins.iter().map(|bin| bin.count).collect()
    }

    #[test]
    fn values_beyond_all_round_edges_are_in_the_outermost_bin() {
        let ends = |values: &[f64]| {
            let bins = log_bins(values);
            (bins[0].from, bins.last().unwrap().to, counts(&bins).iter().sum::<u64>())
        };
        assert_eq!(ends(&[1e308]), (2e12, 5e12, 1));
        assert_eq!(ends(&[1e-308]), (1e-9, 2e-9, 1));
        assert_eq!(ends(&[1.0, 1e30]), (1.0, 5e12, 2));
        let bins = equal_bins(&[-f64::MAX, 3.0, 5.0, f64::MAX], 2);
        assert_eq!((bins[0].from, bins[1].to, counts(&bins)), (3.0, 5.0, vec![1, 1]));
    }

    #[test]
    fn fact_6_the_last_bin_has_both_its_edges() {
        let values: Vec<f64> = (1..=10).map(f64::from).collect();
        let bins = equal_bins(&values, 10);
        assert_eq!(counts(&bins), [1; 10]);
        assert!(bins.iter().all(|bin| (bin.to - bin.from - 0.9).abs() < 1e-12));
        assert_eq!((bins[0].from, bins[9].to), (1.0, 10.0));
    }

    #[test]
    fn equal_values_lie_in_the_middle_of_a_range_of_one() {
        let bins = equal_bins(&[7.0, 7.0], 10);
        assert_eq!((bins[0].from, bins[9].to), (6.5, 7.5));
        // numpy.histogram([7, 7]) puts them into the bin that begins at 7.
        assert_eq!(counts(&bins), [0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    }

    #[test]
    fn without_values_the_range_is_0_to_1() {
        let bins = equal_bins(&[], 10);
        assert_eq!((bins[0].from, bins[9].to, counts(&bins)), (0.0, 1.0, vec![0; 10]));
    }

    #[test]
    fn round_edges_hold_every_value() {
        let bins = log_bins(&[0.03, 0.2, 4.9, 5.0, 17.0]);
        let edges: Vec<f64> = bins.iter().map(|bin| bin.from).collect();
        let expected = [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
        assert!(edges.iter().zip(expected).all(|(edge, expected)| (edge - expected).abs() < 1e-12), "{edges:?}");
        assert_eq!(counts(&bins), [1, 0, 0, 1, 0, 0, 1, 1, 1]);
        assert_eq!(counts(&log_bins(&[])).iter().sum::<u64>(), 0);
        assert_eq!(counts(&log_bins(&[0.0, 3.0])), [1, 1]);
        assert_eq!(counts(&log_bins(&[1e300])).iter().sum::<u64>(), 1);
    }

    #[test]
    fn what_is_no_number_is_in_no_bin() {
        assert_eq!(counts(&equal_bins(&[f64::NAN, 1.0, 2.0], 2)), [1, 1]);
    }
}
