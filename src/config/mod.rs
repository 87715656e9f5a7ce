//! Section `"Authorization"` of Orthanc's configuration: text to typed values, every fault at once.

mod checked;

pub use checked::{
    AnonymousProfile, Config, LocalUser, Provider, RolesSource, RuleConfig, RuleTouches, Shares,
};
