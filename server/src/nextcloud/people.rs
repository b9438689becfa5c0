//! OCS about people: the caller, and for administrators everybody and their groups.

use serde_json::Value;
use serde_json::json;

use crate::http::query::Query;
use crate::identity::Account;
use crate::identity::AccountState;
use crate::identity::Caller;
use crate::identity::Quota;
use crate::nextcloud::Nextcloud;
use crate::nextcloud::ocs::Data;
use crate::nextcloud::ocs::OcsError;

/// What means "no limit" where bytes are expected.
const UNLIMITED: i64 = -3;
/// The most people or groups in one answer.
const LISTED_MAX: usize = 500;

impl Nextcloud {
    /// Describes an account: the caller's own, or anybody's to an administrator.
    pub(super) async fn show_user(&self, caller: &Caller, name: &str) -> Result<Data, OcsError> {
        let account = self.visible_account(caller, name).await?;
        Ok(self.describe_user(&account).await?.into())
    }

    /// Finds an account that the caller may look at; to others it is not there.
    async fn visible_account(&self, caller: &Caller, name: &str) -> Result<Account, OcsError> {
        let account = self.identity.find_account(name).await;
        if caller.is_admin {
            return Ok(account?);
        }
        let own = account.map_err(|error| match error {
            unavailable @ crate::identity::error::AdminError::Unavailable(_) => {
                OcsError::Admin(unavailable)
            }
            _ => OcsError::UnknownRoute,
        })?;
        if own.id == caller.user {
            Ok(own)
        } else {
            Err(OcsError::UnknownRoute)
        }
    }

    async fn describe_user(&self, account: &Account) -> Result<Value, OcsError> {
        let groups = self.identity.list_teams_of(account.id).await?;
        Ok(json!({
            "id": account.name,
            "display-name": account.display_name,
            "displayname": account.display_name,
            "email": account.email,
            "enabled": account.state == AccountState::Active,
            "quota": self.describe_quota(account),
            "groups": groups,
            "subadmin": [],
            "language": "",
            "locale": "",
            "phone": "",
            "address": "",
            "website": "",
            "twitter": "",
            "organisation": "",
            "role": "",
            "backend": "Database",
            "lastLogin": 0,
            "backendCapabilities": {"setDisplayName": false, "setPassword": false},
        }))
    }

    fn describe_quota(&self, account: &Account) -> Value {
        let used = account.home_use.used_bytes;
        let quota = match account.home_use.quota {
            Quota::Default => self.settings.quota_default_bytes,
            Quota::Unlimited => None,
            Quota::Bytes(bytes) => Some(bytes),
        };
        let Some(quota) = quota else {
            return json!({"free": UNLIMITED, "used": used, "total": UNLIMITED, "relative": 0,
                "quota": UNLIMITED});
        };
        json!({
            "free": quota.saturating_sub(used),
            "used": used,
            "total": quota,
            "relative": percent(used, quota),
            "quota": quota,
        })
    }

    /// Lists names of accounts, to administrators.
    pub(super) async fn list_users(
        &self,
        caller: &Caller,
        query: &Query,
        with_details: bool,
    ) -> Result<Data, OcsError> {
        must_administer(caller)?;
        let (search, offset, limit) = page_of(query);
        let found = self.identity.search_accounts(search, offset, limit).await?;
        if !with_details {
            let names: Vec<&str> = found.iter().map(|account| account.name.as_str()).collect();
            return Ok(json!({"users": names}).into());
        }
        let mut users = serde_json::Map::new();
        for account in &found {
            let user = self.describe_user(account).await?;
            users.insert(account.name.clone(), user);
        }
        Ok(json!({"users": users}).into())
    }

    /// Lists names of groups, to administrators.
    pub(super) async fn list_groups(
        &self,
        caller: &Caller,
        query: &Query,
    ) -> Result<Data, OcsError> {
        must_administer(caller)?;
        let (search, offset, limit) = page_of(query);
        let search = search.to_lowercase();
        let teams = self.identity.list_teams().await?;
        let names: Vec<String> = teams
            .into_iter()
            .map(|team| team.name)
            .filter(|name| name.to_lowercase().contains(&search))
            .skip(offset)
            .take(limit)
            .collect();
        Ok(json!({"groups": names}).into())
    }

    /// Lists who belongs to a group, to administrators.
    pub(super) async fn list_members(
        &self,
        caller: &Caller,
        group: &str,
    ) -> Result<Data, OcsError> {
        must_administer(caller)?;
        let team = self.identity.find_team(group).await?;
        let members = self.identity.list_members(team.id).await?;
        let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        Ok(json!({"users": names}).into())
    }

    /// Lists the groups of an account.
    pub(super) async fn list_groups_of(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Data, OcsError> {
        let account = self.visible_account(caller, name).await?;
        let groups = self.identity.list_teams_of(account.id).await?;
        Ok(json!({"groups": groups}).into())
    }
}

fn must_administer(caller: &Caller) -> Result<(), OcsError> {
    if caller.is_admin {
        return Ok(());
    }
    Err(OcsError::Forbidden)
}

fn page_of(query: &Query) -> (&str, usize, usize) {
    let number = |name| query.get(name).and_then(|text| text.parse::<usize>().ok());
    let limit = number("limit").filter(|limit| *limit > 0);
    (
        query.get("search").unwrap_or_default(),
        number("offset").unwrap_or(0),
        limit.unwrap_or(LISTED_MAX).min(LISTED_MAX),
    )
}

/// Returns a share in percent with two decimals.
fn percent(part: u64, whole: u64) -> f64 {
    let hundredths = u128::from(part) * 10_000 / u128::from(whole.max(1));
    f64::from(u32::try_from(hundredths).unwrap_or(u32::MAX)) / 100.0
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn a_share_is_shown_in_hundredths_of_a_percent() {
        let shown = [(0, 0), (1, 3), (2, 2), (5, 0)].map(|(a, b)| percent(a, b).to_string());
        assert_eq!(shown, ["0", "33.33", "100", "500"]);
        assert!(percent(u64::MAX, 1).is_finite());
    }
}
