// SPDX-License-Identifier: LGPL-2.0-or-later
//! What one call of the program has to run.

use super::plugin_source::PluginSource;
use crate::model::{Effort, RunConfig, Scenario};

/// The form of a call; it decides the defaults and what happens with the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One run of each configuration.
    Plain,
    /// A few configurations and scenarios, with upstream's plugins and ours.
    Short,
    /// All configurations, with upstream's plugins and ours.
    Matrix,
    /// Several runs of each configuration, and a comparison of upstream's plugins with ours.
    Compare,
}

impl Form {
    /// How often scenarios repeat, and how long they wait.
    pub(crate) fn effort(self) -> Effort {
        match self {
            Form::Short => Effort::Short,
            Form::Plain | Form::Matrix | Form::Compare => Effort::Full,
        }
    }

    /// True if a failed scenario is run once more. These forms are gates, and a busy machine can
    /// starve a guest for seconds.
    pub(crate) fn repeats_failures(self) -> bool {
        matches!(self, Form::Short | Form::Matrix)
    }
}

/// Everything that a call has to run.
pub(crate) struct Plan {
    pub(crate) form: Form,
    /// The guests, in order.
    pub(crate) guests: Vec<PlannedGuest>,
    /// Where our plugins are.
    pub(crate) plugins: PluginSource,
    /// How many guests run at the same time.
    pub(crate) jobs: u8,
}

/// A guest to boot.
pub(crate) struct PlannedGuest {
    pub(crate) config: RunConfig,
    pub(crate) scenarios: Vec<Scenario>,
}
