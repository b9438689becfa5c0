//! People, as clients of OCS ask for them.

use serde_json::Value;
use serde_json::json;

use crate::files::QuotaState;
use crate::identity::Account;
use crate::identity::AccountState;

/// Returns the quota object: bytes, −3 for no limit, and how full it is in percent.
fn quota(quota: QuotaState) -> Value {
    let used = quota.used_bytes;
    match quota.quota_bytes {
        None => json!({"free": -3, "used": used, "total": -3, "relative": 0, "quota": -3}),
        Some(total) => {
            // Hundredths of a percent, so that no rounding shows.
            let hundredths = u128::from(used) * 10_000 / u128::from(total.max(1));
            let relative = u32::try_from(hundredths).unwrap_or(u32::MAX);
            json!({
                "free": total.saturating_sub(used),
                "used": used,
                "total": total,
                "relative": f64::from(relative) / 100.0,
                "quota": total,
            })
        }
    }
}

/// Describes an account with what its home holds and the groups that it is in.
pub(crate) fn describe(account: &Account, state: QuotaState, groups: &[String]) -> Value {
    json!({
        "enabled": account.state == AccountState::Active,
        "id": account.name,
        "lastLogin": 0,
        "backend": "Nuage",
        "subadmin": [],
        "quota": quota(state),
        "manager": "",
        "email": account.email,
        "additional_mail": [],
        "displayname": account.display_name,
        "display-name": account.display_name,
        "phone": "",
        "address": "",
        "website": "",
        "twitter": "",
        "fediverse": "",
        "organisation": "",
        "role": "",
        "headline": "",
        "biography": "",
        "profile_enabled": "0",
        "pronouns": "",
        "groups": groups,
        "language": "",
        "locale": "",
        "notify_email": Value::Null,
        "backendCapabilities": {"setDisplayName": false, "setPassword": false},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_says_how_full_it_is() {
        let half = quota(QuotaState {
            used_bytes: 1,
            quota_bytes: Some(3),
        });
        assert_eq!(half["relative"], json!(33.33));
        assert_eq!(half["free"], json!(2));
        let over = quota(QuotaState {
            used_bytes: 5,
            quota_bytes: Some(0),
        });
        assert_eq!(over["free"], json!(0));
        let open = quota(QuotaState {
            used_bytes: 5,
            quota_bytes: None,
        });
        assert_eq!(open["quota"], json!(-3));
    }
}
