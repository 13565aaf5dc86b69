//! Using a plan again after its tables have moved on: the scans get the new snapshot's tables.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::datasource::{DefaultTableSource, provider_as_source};
use datafusion::logical_expr::{LogicalPlan, TableScan};

use super::catalog::{CATALOG, PUBLIC};
use super::pinned::PinnedTable;
use crate::Result;
use crate::schema::COMMUNITY_TABLES;
use crate::storage::transaction::Transaction;

/// `plan` over `transaction`'s tables; `None` if it has to be planned anew: a table is gone, has other
/// columns, or is one that is made up as it is looked up.
pub(crate) fn rebase(plan: &LogicalPlan, transaction: &Arc<Transaction>) -> Result<Option<LogicalPlan>> {
    let mut stale = false;
    let rebased = plan.clone().transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = node else { return Ok(Transformed::no(node)) };
        match scanned(&scan, transaction) {
            Scanned::Current => Ok(Transformed::no(LogicalPlan::TableScan(scan))),
            Scanned::Moved(source) => Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source, ..scan }))),
            Scanned::Stale => {
                stale = true;
                Ok(Transformed::new(LogicalPlan::TableScan(scan), false, TreeNodeRecursion::Stop))
            }
        }
    })?;
    Ok((!stale).then_some(rebased.data))
}

enum Scanned {
    Current,
    Moved(Arc<dyn datafusion::logical_expr::TableSource>),
    Stale,
}

fn scanned(scan: &TableScan, transaction: &Arc<Transaction>) -> Scanned {
    let Some(source) = scan.source.downcast_ref::<DefaultTableSource>() else { return Scanned::Stale };
    if source.table_provider.is::<PinnedTable>() {
        return Scanned::Current;
    }
    let name = scan.table_name.clone().resolve(CATALOG, PUBLIC);
    if &*name.catalog != CATALOG || &*name.schema != PUBLIC {
        return Scanned::Stale;
    }
    match transaction.table(&name.table) {
        Some(table) if Arc::ptr_eq(&table, &source.table_provider) => Scanned::Current,
        Some(table) if table.schema() == source.table_provider.schema() => Scanned::Moved(provider_as_source(table)),
        // Community tables have no snapshots: every scan reads what is there.
        None if COMMUNITY_TABLES.iter().any(|table| table.name == &*name.table) => Scanned::Current,
        _ => Scanned::Stale,
    }
}
