//! Settings that take effect while the server runs: `/api/v1/config`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Setting {
    /// Its whole name, as in `vm.shutdownPatience`.
    pub key: String,
    /// What it is shown under. A key need not begin with it.
    pub category: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub value_type: SettingType,
    /// The values that it takes, or their bounds, in words.
    pub allowed: String,
    /// The words that it takes, if it is a choice.
    pub choices: Vec<String>,
    /// The value that holds.
    pub value: String,
    /// The value that holds unless somebody sets another.
    pub default: String,
    /// True if nobody set another.
    pub is_default: bool,
    /// What it is for.
    pub description: String,
    /// When a change takes effect.
    pub takes_effect: String,
}

/// What the values of a setting are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingType {
    /// A number with a unit: `90s`, `5m`, `12h`, `7d`.
    Duration,
    /// A whole number.
    Integer,
    /// One of some words.
    Choice,
}

/// All settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingList {
    /// By key.
    pub settings: Vec<Setting>,
}

/// A new value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingChange {
    /// The value.
    pub value: String,
    /// Whether whoever sets it accepts what it costs: `unsafe` of `vm.cacheMode` is refused otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepts_loss: bool,
}

/// New values for some settings: all of them are set, or none. Settings that are left out stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsChange {
    /// Values by key.
    pub values: BTreeMap<String, String>,
    /// Whether whoever sets them accepts what they cost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepts_loss: bool,
}

/// What setting some settings changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingsChanged {
    /// Those that have another value than before, by key.
    pub changes: Vec<SettingDifference>,
}

/// A setting that has another value than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingDifference {
    /// Its key.
    pub key: String,
    /// The value that held before.
    pub from: String,
    /// The value that holds now.
    pub to: String,
}

/// What was changed about a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingHistory {
    /// Newest first.
    pub changes: Vec<SettingChanged>,
}

/// A change of a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingChanged {
    /// When.
    pub at_ms: i64,
    /// Who.
    pub who: String,
    /// The value that held before.
    pub from: String,
    /// The value that held afterwards.
    pub to: String,
}
