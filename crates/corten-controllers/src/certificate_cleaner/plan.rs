//! When a request is to be deleted.

use std::time::Duration;

use corten_api::certificates::v1::CertificateSigningRequest;
use jiff::Timestamp;
use x509_parser::{parse_x509_certificate, pem::parse_x509_pem};

use crate::certificate_requests::is_issued;

/// After a decision. Upstream's figure for approval, denial and failure.
const DECIDED: Duration = Duration::from_secs(3_600);
/// Without one. Upstream's figure.
const PENDING: Duration = Duration::from_secs(24 * 3_600);

/// The time at which the request goes; `None` as long as somebody still has to act on it.
pub(super) fn due(request: &CertificateSigningRequest) -> Option<Timestamp> {
    let conditions = request.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    if conditions.is_empty() {
        let created = request.metadata.creation_timestamp.as_ref()?;
        return created.0.saturating_add(PENDING).ok();
    }
    let decided = conditions.iter().filter(|condition| match condition.type_.as_str() {
        "Approved" => is_issued(request),
        "Denied" | "Failed" => true,
        _ => false,
    });
    let decided =
        decided.filter_map(|condition| condition.last_update_time.as_ref()?.0.saturating_add(DECIDED).ok()).min();
    // One that is too old to be of use goes at once.
    [decided, expiry(request)].into_iter().flatten().min()
}

fn expiry(request: &CertificateSigningRequest) -> Option<Timestamp> {
    let certificate = request.status.as_ref()?.certificate.as_ref()?;
    let (_, pem) = parse_x509_pem(&certificate.0).ok()?;
    let (_, certificate) = parse_x509_certificate(&pem.contents).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(condition: Option<&str>, certificate: Option<&str>, want: Option<&str>) {
        let conditions: Vec<_> = condition
            .map(|ty| json!({"type": ty, "status": "True", "lastUpdateTime": "2026-01-01T02:00:00Z"}))
            .into_iter()
            .collect();
        let request = serde_json::from_value(json!({
            "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"request": "", "signerName": "s"},
            "status": {"conditions": conditions, "certificate": certificate},
        }));
        let want: Option<Timestamp> = want.map(|text| text.parse().unwrap());
        assert_eq!(due(&request.unwrap()), want);
    }

    #[test]
    fn requests_go_an_hour_after_the_decision_or_after_a_day() {
        check(None, None, Some("2026-01-02T00:00:00Z"));
        check(Some("Denied"), None, Some("2026-01-01T03:00:00Z"));
        check(Some("Failed"), None, Some("2026-01-01T03:00:00Z"));
        check(Some("Approved"), None, None);
        check(Some("Approved"), Some("eA=="), Some("2026-01-01T03:00:00Z"));
    }
}
