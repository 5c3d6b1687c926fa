//! What the whole engine is held to: rules one by one, and promises over random histories.

mod histories;
mod naive;
mod reference;
