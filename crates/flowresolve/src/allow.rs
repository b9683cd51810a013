//! x
use flowcore as _;
