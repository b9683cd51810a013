//! The filter language of the flow family: one text selects packets, flows and sockets.
//!
//! [`Filter::parse`] understands a text at once: syntax, names and types; a [`FilterError`] says what is wrong, where,
//! and how to write it. [`Filter::bind`] makes a [`Predicate`] for one kind of [`Record`], which looks at 64 records a
//! step; a `Predicate<FlowEvent>` is what a pipeline takes as its filter. The grammar and what each test means of a
//! packet are in `docs/filter.md`.
//!
//! ```
//! use std::sync::Arc;
//! use flowcore::{FlowEvent, FlowKey, Frames, Protocol, Resolver, resolve::Numeric};
//! use flowfilter::Filter;
//!
//! let names: Arc<dyn Resolver> = Arc::new(Numeric);
//! let filter = Filter::parse("tcp and dport 443 and not src 10.0.0.0/8")?;
//! let passes = filter.bind::<FlowEvent>(&names)?;
//! let key = FlowKey {
//!     src: "192.0.2.1".parse()?,
//!     dst: "192.0.2.2".parse()?,
//!     dst_port: 443,
//!     protocol: Protocol::TCP,
//!     ..FlowKey::NONE
//! };
//! assert!(passes.matches(&FlowEvent { key, ..FlowEvent::default() }, &Frames::EMPTY));
//! let error = Filter::parse("tcp and dprot 443").unwrap_err();
//! assert_eq!(error.to_string(), "filter:1:9: `dprot` is no word of the filter language; did you mean `dport`?");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`field`] | what can be asked: names, types, units |
//! | [`ast`] | the tree, as it was written |
//! | [`record`] | kinds of record, and how their fields are read |
//! | `lex`, `parse`, `literal` | from text to tree |
//! | `foreign`, `translate` | what other tools call it, and how their filters are written here |
//! | `suggest` | what somebody may have meant |
//! | `print` | from tree to text |
//! | `plan` | binding |
//! | `facts` | what is looked up once per flow |
//! | `whole` | whether flows are selected, or some of their packets |
//! | `widen`, [`normal`] | weaker filters, equal filters |
//! | [`kernel`] | weaker filters as programs |
//! | [`sql`] | the same filter as a condition over stored flows |

pub mod ast;
mod error;
mod facts;
pub mod field;
mod filter;
mod foreign;
pub mod kernel;
mod lex;
mod literal;
pub mod normal;
mod parse;
mod plan;
mod print;
pub mod record;
mod set;
pub mod sql;
mod suggest;
mod translate;
mod whole;
mod widen;

pub use error::{FilterError, Span, Warning};
pub use field::{Field, FieldSet};
pub use filter::{Compat, Filter, FindHost, OPEN_RANGE, Options, ReadList};
pub use parse::{MAX_DEPTH, MAX_ITEMS, MAX_TEXT, vocabulary, vocabulary_of};
pub use plan::{Predicate, STEP};
pub use record::{Flow, Record, Socket, Visitor};
