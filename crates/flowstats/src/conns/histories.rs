//! Histories of finished connections: few differ, so each text is kept once and lent by count.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

/// More are not remembered: damaged traffic can write any history.
const MOST: usize = 1024;

/// The texts seen so far.
#[derive(Debug, Default)]
pub(super) struct Histories {
    /// By their letters, so that nothing known is asked again whether it is text.
    known: HashMap<Box<[u8]>, Arc<str>, RandomState>,
}

impl Histories {
    /// The one text of `letters`, which are ASCII; made only if it is new.
    pub(super) fn get(&mut self, letters: &[u8]) -> Arc<str> {
        if let Some(known) = self.known.get(letters) {
            return Arc::clone(known);
        }
        let new: Arc<str> = String::from_utf8_lossy(letters).into();
        if self.known.len() < MOST {
            self.known.insert(letters.into(), Arc::clone(&new));
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
        let (first, second) = (histories.get(b"ShADadFf"), histories.get(b"ShADadFf"));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(&*histories.get(b"Dd"), "Dd");
    }

    #[test]
    fn memory_stays_bounded_and_the_texts_right() {
        let mut histories = Histories::default();
        for number in 0..10 * MOST {
            assert_eq!(*histories.get(number.to_string().as_bytes()), number.to_string());
        }
        assert_eq!(histories.known.len(), MOST);
    }
}
