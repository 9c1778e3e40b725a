//! The control calls on faults under `/_sandbox/faults`, the same for every stand-in.

use serde_json::{Value, json};

use super::{Fault, FaultId, Faults};

/// Answers a call on what lies under `faults`; none if there is no such call.
pub(crate) fn control(
    faults: &mut Faults,
    method: &str,
    rest: &[&str],
    body: &[u8],
) -> Option<Result<Value, String>> {
    let id = |text: &str| text.parse().map(FaultId).ok();
    Some(match (method, rest) {
        ("GET", []) => Ok(json!({ "faults": faults.reports() })),
        ("POST", []) => serde_json::from_slice::<Fault>(body)
            .map(|fault| json!({ "id": faults.inject(fault) }))
            .map_err(|error| error.to_string()),
        ("DELETE", []) => {
            faults.clear();
            Ok(json!({}))
        }
        ("GET", [id_text]) => Ok(faults.report(id(id_text)?)?),
        ("DELETE", [id_text]) => {
            faults.remove(id(id_text)?);
            Ok(json!({}))
        }
        ("POST", [id_text, "release"]) => {
            faults.release(id(id_text)?);
            Ok(faults.report(id(id_text)?)?)
        }
        _ => return None,
    })
}
