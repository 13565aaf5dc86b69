//! Direct feature attribution of examples: through which tokens attention made a feature fire.

use std::collections::BTreeMap;
use std::sync::Arc;

use latentdb_engine::Result;
use latentdb_runtime::Place;
use latentdb_runtime::dashboard::{Attributions, Target};

use super::Run;
use super::rows::Dashboard;
use crate::corpus::Prompts;
use crate::failure::from_runtime;
use crate::library::NamedSource;

impl Run {
    /// Fills in the attributions of all examples, if the source reads attention heads. The model is run again, on the
    /// examples' prompts and as far as the source's layer.
    pub(super) async fn attribute(
        &self,
        source: &NamedSource,
        prompts: &Prompts,
        dashboards: &mut [Dashboard],
    ) -> Result<()> {
        if source.source.config().point.place != Place::Z {
            return Ok(());
        }
        // By prompt: which example of which dashboard.
        let mut wanted: BTreeMap<u32, Vec<(usize, usize)>> = BTreeMap::new();
        for (number, dashboard) in dashboards.iter_mut().enumerate() {
            dashboard.attributions = vec![Vec::new(); dashboard.activity.examples.len()];
            for (place, example) in dashboard.activity.examples.iter().enumerate() {
                wanted.entry(example.prompt).or_default().push((number, place));
            }
        }
        let at_once = (self.options.pace.tokens_at_once / self.cut.context_length).max(1);
        let wanted: Vec<_> = wanted.into_iter().collect();
        for some in wanted.chunks(at_once) {
            let target = |(number, place): &(usize, usize)| -> Option<Target> {
                let dashboard = dashboards.get(*number)?;
                Some((dashboard.index, dashboard.activity.examples.get(*place)?.max_position))
            };
            let targets: Vec<Vec<Target>> =
                some.iter().map(|(_, examples)| examples.iter().filter_map(target).collect()).collect();
            let tokens = some.iter().filter_map(|(prompt, _)| prompts.get(*prompt as usize));
            let tokens: Vec<Vec<u32>> = tokens.map(|prompt| prompt.tokens.clone()).collect();
            let pass = Attributions::new(Arc::clone(&source.source), targets).map_err(from_runtime)?;
            let found = self.worker.run(tokens, pass).await.map_err(from_runtime)?;
            for ((_, examples), values) in some.iter().zip(found) {
                for ((number, place), values) in examples.iter().zip(values) {
                    let slot = dashboards.get_mut(*number).and_then(|own| own.attributions.get_mut(*place));
                    if let Some(slot) = slot {
                        *slot = values;
                    }
                }
            }
        }
        Ok(())
    }
}
