//! Lists that are asked for in more than one call.

use super::{HttpStripe, SESSIONS, wire};
use crate::stripe::{Error, Line};

impl HttpStripe {
    /// All lines of a session: expanded, it shows only the first ten.
    pub(super) async fn lines_of(&self, id: &str) -> Result<Option<Vec<Line>>, Error> {
        let mut url = self.object_url(SESSIONS, id)?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.push("line_items");
        }
        url.query_pairs_mut().append_pair("limit", "100");
        let path = "/v1/checkout/sessions/{id}/line_items";
        let lines: wire::Lines = self.get(path, url).await?;
        Ok(lines.whole())
    }
}
