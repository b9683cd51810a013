//! Histories of finished connections: few differ, so each text is kept once and lent by count.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;

/// More are not remembered: damaged traffic can write any history.
const MOST: usize = 1024;

/// The texts seen so far.
#[derive(Debug, Default)]
pub(super) struct Histories {
    known: HashSet<Arc<str>, RandomState>,
}

impl Histories {
    /// The one text equal to `history`; made only if it is new.
    pub(super) fn get(&mut self, history: &str) -> Arc<str> {
        if let Some(known) = self.known.get(history) {
            return Arc::clone(known);
        }
        let new: Arc<str> = Arc::from(history);
        if self.known.len() < MOST {
            self.known.insert(Arc::clone(&new));
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_histories_are_one_text() {
        let mut histories = Histories::default();
        let (first, second) = (histories.get("ShADadFf"), histories.get("ShADadFf"));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(&*histories.get("Dd"), "Dd");
    }

    #[test]
    fn memory_stays_bounded_and_the_texts_right() {
        let mut histories = Histories::default();
        for number in 0..10 * MOST {
            assert_eq!(*histories.get(&number.to_string()), number.to_string());
        }
        assert_eq!(histories.known.len(), MOST);
    }
}
