//! A provider over some files of a table, for plans that rewrite them.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::Result as PlanResult;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;

use super::scan::ScanTarget;

/// Scans the files of its target and nothing else.
#[derive(Debug)]
pub(crate) struct SubsetProvider {
    target: ScanTarget,
}

impl SubsetProvider {
    pub(crate) fn new(target: ScanTarget) -> Self {
        Self { target }
    }
}

#[async_trait]
impl TableProvider for SubsetProvider {
    fn schema(&self) -> SchemaRef {
        self.target.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        self.target.plan(state, projection.map(Vec::as_slice), filters, limit)
    }
}
