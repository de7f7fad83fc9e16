//! Settings: shown, set, reset, and who changed what.

use std::collections::BTreeMap;

use server_api::cache::CacheSet;
use server_api::config::{
    Setting, SettingChanged, SettingDifference, SettingHistory, SettingList, SettingsChanged,
};

use super::{Begun, Cloud, CloudError, Order, cache, finish};
use crate::setting::{ALL, Definition, VM_CACHE_MODE, find};
use crate::store::{self, Connection, Write, now_ms};

impl Cloud {
    /// All settings.
    ///
    /// # Errors
    /// As everywhere in this room: with why it is refused.
    pub async fn settings(&self) -> Result<SettingList, CloudError> {
        let mut db = self.store.read().await?;
        let mut settings = Vec::new();
        for definition in ALL {
            settings.push(show(&mut db, definition).await?);
        }
        Ok(SettingList { settings })
    }

    /// One setting.
    pub async fn setting(&self, key: &str) -> Result<Setting, CloudError> {
        show(&mut *self.store.read().await?, find(key)?).await
    }

    /// What was changed about a setting.
    pub async fn setting_history(&self, key: &str) -> Result<SettingHistory, CloudError> {
        let changes = store::setting::changes(&mut *self.store.read().await?, find(key)?.key).await?;
        let encode = |change: store::setting::Change| SettingChanged {
            at_ms: change.at_ms,
            who: change.who,
            from: change.from_value,
            to: change.to_value,
        };
        Ok(SettingHistory { changes: changes.into_iter().map(encode).collect() })
    }

    /// Sets a setting; `None` for its default.
    pub async fn set(
        &self,
        order: &Order,
        key: &str,
        value: Option<&str>,
        accepts_loss: bool,
    ) -> Result<Setting, CloudError> {
        let definition = find(key)?;
        let value = value.map_or(Ok(definition.default), |value| judge(definition, value))?;
        consent(definition, value, accepts_loss)?;
        let mut db = match self.begin(order).await? {
            Begun::Answered(reply) => return Ok(reply),
            Begun::Fresh(db) => db,
        };
        change(&mut db, order, definition, value, accepts_loss).await?;
        let setting = show(&mut db, definition).await?;
        finish(db, order, &setting).await?;
        Ok(setting)
    }

    /// Sets several settings, all or none.
    pub async fn set_several(
        &self,
        order: &Order,
        values: &BTreeMap<String, String>,
        accepts_loss: bool,
    ) -> Result<SettingsChanged, CloudError> {
        let judged = values.iter().map(|(key, value)| {
            let definition = find(key)?;
            Ok((definition, judge(definition, value)?))
        });
        let judged: Vec<_> = judged.collect::<Result<_, CloudError>>()?;
        // Two keys may mean one setting.
        for (at, (definition, _)) in judged.iter().enumerate() {
            if judged[..at].iter().any(|(other, _)| other.key == definition.key) {
                let message =
                    format!("`{}` is there twice, once under a key that it had before", definition.key);
                return Err(CloudError::invalid(message, "remove one"));
            }
        }
        judged.iter().try_for_each(|(definition, value)| consent(definition, value, accepts_loss))?;
        let mut db = match self.begin(order).await? {
            Begun::Answered(reply) => return Ok(reply),
            Begun::Fresh(db) => db,
        };
        let mut changes = Vec::new();
        for (definition, value) in judged {
            changes.extend(change(&mut db, order, definition, value, accepts_loss).await?);
        }
        let changed = SettingsChanged { changes };
        finish(db, order, &changed).await?;
        Ok(changed)
    }
}

/// The value as it is spelt now, if the setting takes it.
fn judge<'a>(definition: &Definition, value: &'a str) -> Result<&'a str, CloudError> {
    definition.understand(value).map_err(|allowed| {
        let message = format!("`{}` does not take `{value}`", definition.key);
        CloudError::invalid(message, format!("give {allowed}"))
    })
}

/// Refuses a value that may lose disks from whoever does not accept that.
fn consent(definition: &Definition, value: &str, accepts_loss: bool) -> Result<(), CloudError> {
    match value.parse() {
        Ok(mode) if definition.key == VM_CACHE_MODE.definition.key => {
            cache::consent(CacheSet { mode, accepts_loss })
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Sets a setting, and remembers by whom, if that makes a difference; then, which.
async fn change(
    db: &mut Write,
    order: &Order,
    definition: &Definition,
    to: &str,
    accepts_loss: bool,
) -> Result<Option<SettingDifference>, CloudError> {
    let key = definition.key;
    let from = definition.effective(store::setting::value(db, key).await?.as_deref());
    if from == to {
        // What was set before anybody was asked may be accepted now.
        store::setting::accept_loss(db, key, accepts_loss).await?;
        return Ok(None);
    }
    let (at_ms, who) = (now_ms(), order.who.clone());
    let noted = store::setting::Change { at_ms, who, from_value: from.clone(), to_value: to.to_owned() };
    let stored = Some(to).filter(|value| *value != definition.default);
    store::setting::set(db, key, stored, &noted).await?;
    store::setting::accept_loss(db, key, accepts_loss).await?;
    Ok(Some(SettingDifference { key: key.to_owned(), from, to: to.to_owned() }))
}

async fn show(db: &mut Connection, definition: &Definition) -> Result<Setting, CloudError> {
    let value = definition.effective(store::setting::value(db, definition.key).await?.as_deref());
    Ok(Setting {
        key: definition.key.to_owned(),
        category: definition.category.to_owned(),
        value_type: definition.values.value_type(),
        allowed: definition.values.to_string(),
        choices: definition.values.choices(),
        is_default: value == definition.default,
        value,
        default: definition.default.to_owned(),
        description: definition.description.to_owned(),
        takes_effect: definition.takes_effect.to_owned(),
    })
}
