//! What this server tells clients that it can: they act by it.
//!
//! # Always true
//!
//! * Nothing is announced that is not served. A key that is missing keeps a client from asking; one
//!   that is there and false hides a menu.
//! * Keys of other protocols (`spaces`, `files.tus_support`) are never sent: clients of the
//!   ownCloud family would switch to them.

use serde_json::Value;
use serde_json::json;

use crate::nextcloud::NextcloudSettings;
use crate::nextcloud::push;
use crate::sharing::SharingSettings;

/// Returns `{version, capabilities}` for somebody who is signed in, or for anybody.
pub(super) fn describe(
    (settings, sharing): (&NextcloudSettings, &SharingSettings),
    base_url: &str,
    is_signed_in: bool,
) -> Value {
    let capabilities = if is_signed_in {
        everything((settings, sharing), base_url)
    } else {
        json!({"bruteforce": bruteforce(), "theming": theming(settings, base_url)})
    };
    let [major, minor, micro] = settings.version;
    json!({
        "version": {
            "major": major,
            "minor": minor,
            "micro": micro,
            "string": settings.version_text(),
            "edition": "",
            "extendedSupport": false,
        },
        "capabilities": capabilities,
    })
}

fn everything(
    (settings, sharing): (&NextcloudSettings, &SharingSettings),
    base_url: &str,
) -> Value {
    let mut all = json!({
        "bruteforce": bruteforce(),
        "checksums": {
            "supportedTypes": ["SHA256", "SHA1", "MD5", "ADLER32"],
            "preferredUploadType": "SHA256",
        },
        "core": {
            "pollinterval": 60,
            "webdav-root": "remote.php/webdav",
            "status": super::status_of(settings),
        },
        "dav": {"chunking": "1.0"},
        "files": files(settings),
        "files_sharing": files_sharing(sharing),
        "notify_push": push::capability(base_url),
        "theming": theming(settings, base_url),
    });
    if let (true, Some(fields)) = (settings.keeps_activity, all.as_object_mut()) {
        let activity = json!({"apiv2": ["filters", "filters-api", "previews", "rich-strings"]});
        fields.insert("activity".to_owned(), activity);
    }
    all
}

/// Nobody who holds a valid credential is slowed down.
fn bruteforce() -> Value {
    json!({"delay": 0, "allow-listed": false})
}

fn files(settings: &NextcloudSettings) -> Value {
    json!({
        "bigfilechunking": true,
        "chunked_upload": {"max_size": settings.upload_part_bytes},
        "undelete": true,
        "delete_from_trash": true,
        "versioning": true,
        "version_labeling": true,
        "version_deletion": true,
        "locking": "1.0",
        "api-feature-lock-type": true,
        "blacklisted_files": [],
        // What no path can hold; every other name is kept as it is.
        "forbidden_filenames": [".", ".."],
        "forbidden_filename_basenames": [],
        "forbidden_filename_characters": ["/"],
        "forbidden_filename_extensions": [],
        "windows_compatible_filenames": false,
    })
}

fn files_sharing(sharing: &SharingSettings) -> Value {
    let days = sharing.link_days_default.or(sharing.link_days_max);
    json!({
        "api_enabled": true,
        "resharing": true,
        "group_sharing": true,
        "default_permissions": 31,
        "user": {"send_mail": false, "expire_date": {"enabled": true}},
        "group": {"enabled": true, "expire_date": {"enabled": true}},
        "sharee": {"query_lookup_default": false, "always_show_unique": true},
        "sharebymail": {"enabled": false},
        "federation": {"outgoing": false, "incoming": false},
        "public": {
            "enabled": sharing.links,
            "upload": true,
            "upload_files_drop": true,
            "supports_upload_only": true,
            "multiple": true,
            "multiple_links": true,
            "send_mail": false,
            "custom_tokens": sharing.custom_addresses,
            "password": {
                "enforced": sharing.link_passwords_required,
                "askForOptionalPassword": false,
            },
            "expire_date": {
                "enabled": days.is_some(),
                "days": days,
                "enforced": sharing.link_days_max.is_some(),
            },
            "expire_date_internal": {"enabled": false},
            "expire_date_remote": {"enabled": false},
        },
    })
}

fn theming(settings: &NextcloudSettings, base_url: &str) -> Value {
    let theme = &settings.theme;
    let logo = format!("{base_url}/apps/theming/image/logo");
    json!({
        "name": theme.name,
        "productName": theme.name,
        "slogan": theme.slogan,
        "url": base_url,
        "color": theme.color,
        "color-text": "#ffffff",
        "color-element": theme.color,
        "color-element-bright": theme.color,
        "color-element-dark": theme.color,
        "logo": logo,
        "logoheader": logo,
        "background": theme.color,
        "background-text": "#ffffff",
        "background-plain": true,
        "background-default": true,
        "favicon": logo,
    })
}
