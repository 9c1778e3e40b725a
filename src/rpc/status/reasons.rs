//! Reason to code, in one table: what the README shows, what clients switch on.
//! A reason never changes its code; a new one is added here first.

use tonic::Code;

/// Every reason that a verb can refuse with, and its code.
pub const REASONS: &[(&str, Code)] = &[
    ("FIELD_INVALID", Code::InvalidArgument),
    ("PAGE_TOKEN_INVALID", Code::InvalidArgument),
    ("URL_NOT_ALLOWED", Code::InvalidArgument),
    ("ITEM_TYPE_MISMATCH", Code::InvalidArgument),
    ("EVENT_MALFORMED", Code::InvalidArgument),
    ("EVENT_THIN", Code::InvalidArgument),
    ("MESSAGE_MALFORMED", Code::InvalidArgument),
    ("MESSAGE_TOO_LARGE", Code::OutOfRange),
    ("PLAN_NOT_FOUND", Code::NotFound),
    ("ADDON_NOT_FOUND", Code::NotFound),
    ("GAME_NOT_FOUND", Code::NotFound),
    ("REGION_NOT_FOUND", Code::NotFound),
    ("ORDER_NOT_FOUND", Code::NotFound),
    ("SERVER_NOT_FOUND", Code::NotFound),
    ("NODE_NOT_FOUND", Code::NotFound),
    ("PROFILE_NOT_FOUND", Code::NotFound),
    ("AFFILIATE_NOT_FOUND", Code::NotFound),
    ("EVENT_NOT_FOUND", Code::NotFound),
    ("SWEEP_NOT_FOUND", Code::NotFound),
    ("DRIFT_NOT_FOUND", Code::NotFound),
    ("REQUEST_ID_REUSED", Code::AlreadyExists),
    ("RESOURCE_EXISTS", Code::AlreadyExists),
    ("CODE_TAKEN", Code::AlreadyExists),
    ("PANEL_USER_TAKEN", Code::AlreadyExists),
    ("PLAN_INACTIVE", Code::FailedPrecondition),
    ("TERM_NOT_OFFERED", Code::FailedPrecondition),
    ("NO_CAPACITY", Code::FailedPrecondition),
    ("NOT_PROVISIONABLE", Code::FailedPrecondition),
    ("EGG_NOT_FOUND", Code::FailedPrecondition),
    ("STRIPE_PRICE_INVALID", Code::FailedPrecondition),
    ("ORDER_NOT_PAID", Code::FailedPrecondition),
    ("ORDER_ENDED", Code::FailedPrecondition),
    ("ORDER_ACTIVE", Code::FailedPrecondition),
    ("NOT_CANCELING", Code::FailedPrecondition),
    ("PLAN_INCOMPATIBLE", Code::FailedPrecondition),
    ("DISK_SHRINK", Code::FailedPrecondition),
    ("CHANGE_PENDING", Code::FailedPrecondition),
    ("SERVER_NOT_READY", Code::FailedPrecondition),
    ("PRICE_IN_USE", Code::FailedPrecondition),
    ("ADDON_WITHOUT_EFFECT", Code::FailedPrecondition),
    ("GUARD_HELD", Code::FailedPrecondition),
    ("PANEL_USER_UNRESOLVED", Code::FailedPrecondition),
    ("PANEL_USER_FORBIDDEN", Code::FailedPrecondition),
    ("SEQUENCE_EXPIRED", Code::FailedPrecondition),
    ("ETAG_MISMATCH", Code::Aborted),
    ("SERVER_BUSY", Code::Aborted),
    ("UNAUTHENTICATED_TOKEN", Code::Unauthenticated),
    ("ROLE_FORBIDDEN", Code::PermissionDenied),
    ("USER_HEADER_REQUIRED", Code::PermissionDenied),
    ("RATE_LIMITED", Code::ResourceExhausted),
    ("STORE_UNAVAILABLE", Code::Unavailable),
    ("STRIPE_UNAVAILABLE", Code::Unavailable),
    ("PANEL_UNAVAILABLE", Code::Unavailable),
    ("WARMING_UP", Code::Unavailable),
    ("SHUTTING_DOWN", Code::Unavailable),
    ("DEADLINE_EXCEEDED", Code::DeadlineExceeded),
    ("UNIMPLEMENTED", Code::Unimplemented),
    ("INTERNAL", Code::Internal),
];

/// The code of a reason; `None` for one that the table does not know.
pub fn code_of(reason: &str) -> Option<Code> {
    REASONS
        .iter()
        .find(|(known, _)| *known == reason)
        .map(|(_, code)| *code)
}
