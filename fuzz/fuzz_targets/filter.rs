//! Any text as a filter: an answer or an error that can be shown, never a panic; what is printed is read again as the same
//! filter, and means the same in its normal form.

#![no_main]

use flowfilter::{Filter, MAX_TEXT};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Filter::parse(text) {
        Ok(filter) => {
            let printed = filter.to_string();
            if printed.len() <= MAX_TEXT {
                assert_eq!(Filter::parse(&printed).expect("what is printed is a filter"), filter);
            }
            for warning in filter.warnings() {
                let _ = warning.render(false);
            }
            if text.len() < 500 {
                let _ = filter.normal();
            }
        }
        Err(error) => {
            let shown = error.render(false);
            assert!(!shown.is_empty() && !error.to_string().contains('\n'));
        }
    }
});
