//! Settings: shown, set, reset, and who changed what.

use server_api::config::{Setting, SettingChanged, SettingHistory, SettingList};
use server_api::event::Kind;

use super::{Begun, Cloud, CloudError, Order, finish};
use crate::setting::{ALL, Definition};
use crate::store::{self, Connection, now_ms};

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
        let changes = store::setting::changes(&mut *self.store.read().await?, &find(key)?.key()).await?;
        let encode = |change: store::setting::Change| SettingChanged {
            at_ms: change.at_ms,
            who: change.who,
            from: change.from_value,
            to: change.to_value,
        };
        Ok(SettingHistory { changes: changes.into_iter().map(encode).collect() })
    }

    /// Sets a setting; `None` for its default.
    pub async fn set(&self, order: &Order, key: &str, value: Option<&str>) -> Result<Setting, CloudError> {
        let definition = find(key)?;
        if let Some(value) = value {
            definition.check(value).map_err(|allowed| {
                let message = format!("`{}` does not take `{value}`", definition.key());
                CloudError::invalid(message, format!("give {allowed}"))
            })?;
        }
        let mut db = match self.begin(order).await? {
            Begun::Answered(reply) => return Ok(reply),
            Begun::Fresh(db) => db,
        };
        let key = definition.key();
        let from_value = definition.effective(store::setting::value(&mut db, &key).await?);
        let to_value = value.unwrap_or(definition.default).to_owned();
        if from_value != to_value {
            let change =
                store::setting::Change { at_ms: now_ms(), who: order.who.clone(), from_value, to_value };
            let stored = value.filter(|value| *value != definition.default);
            store::setting::set(&mut db, &key, stored, &change).await?;
        }
        let setting = show(&mut db, definition).await?;
        finish(db, order, &setting).await?;
        Ok(setting)
    }
}

fn find(key: &str) -> Result<&'static Definition, CloudError> {
    let found = ALL.iter().find(|definition| definition.key() == key);
    found.copied().ok_or_else(|| CloudError::NotFound { kind: Kind::Setting, name: key.to_owned() })
}

async fn show(db: &mut Connection, definition: &Definition) -> Result<Setting, CloudError> {
    let value = definition.effective(store::setting::value(db, &definition.key()).await?);
    Ok(Setting {
        key: definition.key(),
        category: definition.category.to_owned(),
        name: definition.name.to_owned(),
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
