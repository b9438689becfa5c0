//! What clients are told that this server can: the keys that they read, and nothing else.
//!
//! A key is a promise. What is not served yet (shares, comments, calendars) is left out, so that
//! no client offers it; what only some clients could use badly (bulk uploads, other upload protocols)
//! is left out for good.

use serde_json::Value;
use serde_json::json;

use crate::nextcloud::NextcloudSettings;
use crate::nextcloud::push;

/// The colour of the product, where nothing else is set.
const COLOR: &str = "#1b5fa8";

/// Returns the version in the form of OCS.
fn version(settings: &NextcloudSettings) -> Value {
    let mut numbers = settings
        .version
        .split('.')
        .map(|number| number.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    json!({
        "major": next(),
        "minor": next(),
        "micro": next(),
        "string": settings.version,
        "edition": "",
        "extendedSupport": false,
    })
}

fn theming(base_url: &str) -> Value {
    json!({
        "name": "Nuage",
        "productName": "Nuage",
        "url": base_url,
        "slogan": "",
        "color": COLOR,
        "color-text": "#ffffff",
        "color-element": COLOR,
        "color-element-bright": COLOR,
        "color-element-dark": COLOR,
        "background": COLOR,
        "background-plain": true,
        "background-default": true,
    })
}

/// Returns what somebody hears who has not signed in.
pub(crate) fn anonymous(settings: &NextcloudSettings, base_url: &str) -> Value {
    json!({
        "version": version(settings),
        "capabilities": {
            "bruteforce": {"delay": 0, "allow-listed": false},
            "theming": theming(base_url),
        },
    })
}

/// Returns what somebody hears who has signed in.
pub(crate) fn full(settings: &NextcloudSettings, base_url: &str) -> Value {
    let capabilities = json!({
        "notify_push": push::capability(base_url),
        "core": {
            "pollinterval": 60,
            "webdav-root": "remote.php/webdav",
            "mod-rewrite-working": true,
            "status": {
                "installed": true,
                "maintenance": false,
                "needsDbUpgrade": false,
                "version": format!("{}.0", settings.version),
                "versionstring": settings.version,
                "edition": "",
                "productname": "Nuage",
                "product": "Nuage",
                "extendedSupport": false,
            },
        },
        "bruteforce": {"delay": 0, "allow-listed": false},
        "theming": theming(base_url),
        "dav": {
            "chunking": "1.0",
        },
        "checksums": {
            "supportedTypes": ["SHA256", "SHA1", "MD5", "ADLER32"],
            "preferredUploadType": "SHA256",
        },
        "files": {
            "bigfilechunking": true,
            "chunked_upload": {
                "max_size": settings.upload_part_bytes,
                "max_parallel_count": 5,
            },
            "undelete": true,
            "delete_from_trash": true,
            "versioning": true,
            "version_labeling": true,
            "version_deletion": true,
            "locking": "1.0",
            "api-feature-lock-type": true,
            "forbidden_filename_characters": ["\\"],
            "forbidden_filenames": [],
            "forbidden_filename_basenames": [],
            "forbidden_filename_extensions": [],
            "blacklisted_files": [],
            "windows_compatible_filenames": false,
        },
        "files_sharing": {
            "api_enabled": false,
            "public": {"enabled": false},
            "resharing": false,
            "group_sharing": false,
            "sharebymail": {"enabled": false},
            "federation": {"outgoing": false, "incoming": false},
        },
    });
    json!({"version": version(settings), "capabilities": capabilities})
}
