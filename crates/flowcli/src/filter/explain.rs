//! What a filter asks for, and who can answer.

use flowcore::{FlowEvent, FlowRecord};
use flowfilter::ast::Expr;
use flowfilter::kernel::{cbpf, inet_diag};
use flowfilter::{Field, FieldSet, Filter, Flow, Record, Socket};

use super::NOT_CAPTURED;

/// Who can be asked: its name, what it has, and what of that only with help.
fn sources() -> [(&'static str, FieldSet); 4] {
    [
        ("packets", FlowEvent::fields().without(NOT_CAPTURED)),
        ("connections", Flow::fields().without(NOT_CAPTURED)),
        ("sockets", Socket::fields()),
        // Of programs that use the library.
        ("live flows", FlowRecord::fields()),
    ]
}

/// What a filter asks for, and of what it can be asked.
pub fn explain(filter: &Filter) -> String {
    let mut text = format!("read as      {filter}\nnormal form  {}\n\n", filter.normal());
    let fields = filter.fields();
    for field in fields.iter() {
        text += &format!("{:<12} {}\n", field.name(), field.def().about);
    }
    if !fields.is_empty() {
        text.push('\n');
    }
    let networks = FieldSet::of([Field::SrcAsn, Field::DstAsn]);
    for (what, known) in sources() {
        let missing: Vec<&str> = fields.without(known).iter().map(Field::full_name).collect();
        text += &match (missing.is_empty(), filter.widen(known)) {
            (true, _) => {
                let asn = if fields.common(networks).is_empty() { "" } else { ", with --asn FILE" };
                let resolver = if what == "live flows" && !fields.common(NOT_CAPTURED).is_empty() {
                    ", in programs that say who knows processes"
                } else {
                    ""
                };
                format!("{what:<12} yes{asn}{resolver}\n")
            }
            (false, wider) => {
                format!("{what:<12} no: they have no {}; what remains would pass: {wider}\n", missing.join(", "))
            }
        };
    }
    text += "\nin the kernel, before the exact filter:\n";
    for (what, asked) in
        [("packet sockets", cbpf::asked(filter.expr())), ("socket dumps", inet_diag::asked(filter.expr(), None))]
    {
        text += &match asked {
            Expr::All => format!("{what:<14} nothing; all of it runs here\n"),
            some => format!("{what:<14} {some}\n"),
        };
    }
    text
}
