//! What somebody may want to know of a file: who can see it, and what happened to it. In words, made by the core's values.

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;
use crate::api::ApiResult;
use crate::api::call::Call;
use crate::api::call::shown;
use crate::api::json;
use crate::api::shapes::millis;
use crate::files::activity::Activity;
use crate::files::activity::ActivityFrom;
use crate::files::activity::ActivityRequest;
use crate::files::activity::Kinds;
use crate::files::activity::Whose;
use crate::http::happening;
use crate::http::language::Language;
use crate::sharing::ShareId;

/// Activities of one page.
const ACTIVITIES_PER_PAGE: usize = 50;

/// Who can see something.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WhoCanSee {
    /// In one sentence.
    sentence: String,
    /// Whether these are all; else there may be others, of whom the caller may not know.
    is_whole: bool,
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Happening {
    /// Its number.
    id: i64,
    /// Who did what, in one sentence.
    sentence: String,
    /// With what they came, as far as the caller may know; may be empty.
    whence: String,
    /// When it ended, in milliseconds since 1970.
    when: i64,
    /// Where the caller sees what it was done to.
    path: Option<String>,
    /// The number of what it was done to; it may be gone.
    node: Option<i64>,
}

/// What happened, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Happenings {
    /// It.
    items: Vec<Happening>,
    /// What the next page is asked for with; null: there is none.
    next: Option<String>,
}

fn shape(activity: &Activity, language: Language) -> Happening {
    let first = activity.on.first();
    Happening {
        id: activity.id,
        sentence: happening::sentence(language, activity),
        whence: happening::whence(language, activity),
        when: millis(activity.at),
        path: first.and_then(|subject| subject.path.as_ref()).map(shown),
        node: first.map(|subject| subject.node.0),
    }
}

impl Api {
    /// `GET /who`: who can see a file or folder.
    pub(super) async fn who(&self, call: &Call<'_>) -> ApiResult {
        let node = self.files.find(call.caller, &call.path()?).await?;
        let who = self.sharing.who_can_see(call.caller, node.id, ShareId(0));
        let who = who.await?;
        let answer = WhoCanSee {
            sentence: who.sentence(call.language),
            is_whole: who.is_whole,
        };
        json(StatusCode::OK, &answer)
    }

    /// `GET /activity`: what happened to what the caller can see, or to one file or folder.
    pub(super) async fn list_activity(&self, call: &Call<'_>) -> ApiResult {
        let node = match call.field("path") {
            Some(_) => Some(self.files.find(call.caller, &call.path()?).await?.id),
            None => None,
        };
        let before = match call.field("after") {
            Some(_) => call.number("after")?,
            None => i64::MAX,
        };
        let request = ActivityRequest {
            node,
            whose: Whose::Everybody,
            kinds: Kinds::All,
            from: ActivityFrom::Before(before),
            limit: ACTIVITIES_PER_PAGE,
        };
        let page = self.files.activity(call.caller, &request).await?;
        let next = page.last.filter(|_| page.has_more);
        let items = page.activities.iter();
        let answer = Happenings {
            items: items
                .map(|activity| shape(activity, call.language))
                .collect(),
            next: next.map(|next| next.to_string()),
        };
        json(StatusCode::OK, &answer)
    }
}
