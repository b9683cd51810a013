//! Some columns of a table rather than all.

use super::{Reporter, Row, Snapshot, Table};
use crate::error::{Error, ErrorKind, Result};
use crate::resolve::Resolver;

impl Table {
    /// The columns called `names`, in their order, and nothing of the others.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if there is no such column, or if [`check`](Self::check) finds something; names the table
    /// and the column.
    pub fn chosen<N: AsRef<str>>(&self, names: &[N]) -> Result<Self> {
        self.check()?;
        let place = |name: &N| {
            let name = name.as_ref();
            let message = || format!("table `{}` has no column `{name}`", self.name);
            self.column(name).ok_or_else(|| Error::new(ErrorKind::Usage, message()))
        };
        let places: Vec<usize> = names.iter().map(place).collect::<Result<_>>()?;
        let row = |row: &Row| Row {
            cells: places.iter().map(|&place| row.cells[place].clone()).collect(),
            quality: row.quality.clone(),
        };
        Ok(Self {
            name: self.name.clone(),
            columns: places.iter().map(|&place| self.columns[place].clone()).collect(),
            rows: self.rows.iter().map(row).collect(),
        })
    }
}

/// A reporter that gets some columns of some tables.
///
/// ```
/// use flowcore::report::{Chosen, CsvOptions, CsvReporter};
///
/// let reporter = CsvReporter::new(std::io::stdout(), CsvOptions::COMMA);
/// let _reporter = Chosen::new(reporter).columns("conns", ["src_ip", "dst_ip", "state"]);
/// ```
#[derive(Clone, Debug)]
pub struct Chosen<R> {
    reporter: R,
    columns: Vec<(String, Vec<String>)>,
}

impl<R> Chosen<R> {
    /// All columns of all tables, as long as nothing is chosen.
    pub fn new(reporter: R) -> Self {
        Self { reporter, columns: Vec::new() }
    }

    /// Of the table called `table` these columns, in this order.
    #[must_use]
    pub fn columns<N: Into<String>>(mut self, table: impl Into<String>, names: impl IntoIterator<Item = N>) -> Self {
        self.columns.push((table.into(), names.into_iter().map(Into::into).collect()));
        self
    }

    fn of(&self, table: &Table) -> Result<Table> {
        match self.columns.iter().find(|(of, _)| *of == table.name) {
            Some((_, columns)) => table.chosen(columns),
            None => Ok(table.clone()),
        }
    }
}

impl<R: Reporter> Reporter for Chosen<R> {
    /// # Errors
    /// If a table has no column that was chosen, and the reporter's own.
    fn report(&mut self, snapshot: &Snapshot, names: &dyn Resolver) -> Result<()> {
        let tables = snapshot.tables.iter().map(|table| self.of(table)).collect::<Result<_>>()?;
        let Snapshot { from, through, complete, .. } = *snapshot;
        let (ledger, fault) = (snapshot.ledger.clone(), snapshot.fault.clone());
        self.reporter.report(&Snapshot { from, through, complete, ledger, fault, tables }, names)
    }

    fn expect(&mut self, tables: &[Table]) -> Result<()> {
        let tables: Vec<Table> = tables.iter().map(|table| self.of(table)).collect::<Result<_>>()?;
        self.reporter.expect(&tables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Pipeline;
    use crate::report::tests::table;
    use crate::report::{CsvOptions, CsvReporter};
    use crate::resolve::Numeric;
    use crate::{Analyzer, Batch, Features, SourceInfo, Tables};

    type Csv<'a> = Chosen<CsvReporter<&'a mut Vec<u8>>>;

    #[test]
    fn the_columns_that_were_chosen_come_in_their_order() {
        let snapshot = Snapshot { tables: vec![table(&[("a", 1, 2), ("b", 3, 4)])], ..Snapshot::default() };
        let written = |choose: fn(Csv<'_>) -> Csv<'_>| {
            let mut out = Vec::new();
            let all = CsvReporter::new(&mut out, CsvOptions { trailer: false, ..CsvOptions::COMMA });
            choose(Chosen::new(all)).report(&snapshot, &Numeric)?;
            Ok::<_, Error>(String::from_utf8(out).unwrap())
        };
        assert_eq!(written(|all| all).unwrap(), "who,n,level,quality\na,1,2,exact\nb,3,4,exact\n");
        let some = written(|all| all.columns("t", ["level", "who"]).columns("another", ["nothing"]));
        assert_eq!(some.unwrap(), "level,who,quality\n2,a,exact\n4,b,exact\n");
        let error = written(|all| all.columns("t", ["who", "whom"])).unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Usage, "table `t` has no column `whom`".to_owned()));
    }

    #[test]
    fn a_column_that_there_is_not_is_told_before_the_first_packet() {
        let build = |column| {
            let mut builder = Pipeline::builder();
            builder.add(Counts);
            let csv = CsvReporter::new(Vec::new(), CsvOptions::COMMA);
            builder.report(None, Chosen::new(csv).columns("t", [column])).build(&SourceInfo::default())
        };
        assert!(build("level").is_ok());
        assert_eq!(build("whom").unwrap_err().to_string(), "table `t` has no column `whom`");
    }

    #[derive(Debug)]
    struct Counts;

    impl Analyzer for Counts {
        fn name(&self) -> &str {
            "counts"
        }
        fn needs(&self) -> Features {
            Features::empty()
        }
        fn observe(&mut self, _: &Batch<'_>) -> Result<()> {
            Ok(())
        }
        fn snapshot(&self, out: &mut Tables) {
            out.push(table(&[]));
        }
    }
}
