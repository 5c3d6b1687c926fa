//! What the whole engine is held to: rules one by one, and promises over random histories.

mod audit;
mod bounds;
mod chance_rules;
mod evidence_rules;
mod explained;
mod held;
mod histories;
mod list_rules;
mod naive;
mod news;
mod promises;
mod reference;
mod refusals;
mod world;
