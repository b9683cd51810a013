//! Local time, and the choice among the forms of time.

use std::io::Write;

use flowcore::Timestamp;
use flowcore::report::{Delta, Epoch, Relative, TimeFormat, Utc};
use jiff::tz::TimeZone;

use crate::args::TimeStyle;

/// RFC 3339 in the time zone of this machine, always with its offset: `2026-11-21T02:59:43.121324+01:00`.
struct Local {
    zone: TimeZone,
}

impl TimeFormat for Local {
    fn write(&mut self, out: &mut Vec<u8>, column: usize, time: Timestamp) {
        match jiff::Timestamp::from_nanosecond(time.as_nanos().into()) {
            Ok(instant) => {
                let local = instant.to_zoned(self.zone.clone());
                // Writing into memory cannot fail. The fraction is cut, not rounded, like everywhere.
                let _ = write!(out, "{}", local.strftime("%Y-%m-%dT%H:%M:%S"));
                let _ = write!(out, ".{:06}{}", local.subsec_nanosecond() / 1_000, local.strftime("%:z"));
            }
            Err(_) => Utc.write(out, column, time),
        }
    }
}

/// Why local times are those of UTC, if they are.
pub fn lacks_zone(style: TimeStyle) -> Option<&'static str> {
    let lacks = style == TimeStyle::Local && TimeZone::try_system().is_err();
    lacks.then_some("the time zone is not known that TZ, or /etc/localtime without it, names: times are UTC")
}

/// The form of time that `style` names; relative times count from `origin`.
pub fn format(style: TimeStyle, origin: Option<Timestamp>) -> Box<dyn TimeFormat> {
    match style {
        TimeStyle::Utc | TimeStyle::None => Box::new(Utc),
        TimeStyle::Local => Box::new(Local { zone: TimeZone::system() }),
        TimeStyle::Epoch => Box::new(Epoch),
        TimeStyle::Relative => Box::new(Relative { origin }),
        TimeStyle::Delta => Box::new(Delta::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_time_has_its_offset() {
        let mut local = Local { zone: TimeZone::get("Europe/Berlin").unwrap() };
        let mut out = Vec::new();
        local.write(&mut out, 0, Timestamp::from_parts(1_795_226_383, 121_324_999));
        assert_eq!(String::from_utf8(out).unwrap(), "2026-11-21T02:59:43.121324+01:00");
    }
}
