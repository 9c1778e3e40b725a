//! Who buys and who calls: profiles, panel accounts, affiliates, API tokens, request keys.

use crate::ddl::step;

step!(
    [
        "CREATE TABLE profiles (
            id {uuid} PRIMARY KEY,
            user_id {uuid} NOT NULL UNIQUE,
            email text NOT NULL,
            email_verified {bool} NOT NULL,
            first_name text NOT NULL,
            last_name text NOT NULL,
            stripe_customer_id text UNIQUE,
            stripe_customer_request {json},
            stripe_customer_key text NOT NULL,
            created_at {time} NOT NULL,
            updated_at {time} NOT NULL
        )",
        "CREATE TABLE external_accounts (
            user_id {uuid} PRIMARY KEY REFERENCES profiles (user_id),
            pterodactyl_user_id bigint NOT NULL UNIQUE,
            panel_username text NOT NULL,
            origin text NOT NULL CHECK (origin IN ('created', 'linked', 'adopted')),
            last_synced_at {time} NOT NULL
        )",
        "CREATE TABLE affiliates (
            user_id {uuid} PRIMARY KEY REFERENCES profiles (user_id),
            code text NOT NULL UNIQUE,
            clicks integer NOT NULL CHECK (clicks >= 0),
            signups integer NOT NULL CHECK (signups >= 0),
            credits_cents bigint NOT NULL
        )",
        "CREATE TABLE api_tokens (
            id {uuid} PRIMARY KEY,
            name text NOT NULL UNIQUE,
            sha256 text NOT NULL UNIQUE CHECK (length(sha256) = 64),
            role text NOT NULL
                CHECK (role IN ('operator', 'storefront', 'gateway', 'viewer')),
            created_us bigint NOT NULL,
            expires_us bigint,
            revoked_us bigint,
            last_used_us bigint
        )",
        "CREATE TABLE request_keys (
            caller text NOT NULL,
            method text NOT NULL,
            request_id {uuid} NOT NULL,
            body_sha256 text NOT NULL CHECK (length(body_sha256) = 64),
            resource_id text NOT NULL,
            expires_us bigint NOT NULL,
            PRIMARY KEY (caller, method, request_id)
        )",
        "CREATE INDEX request_keys_expiry ON request_keys (expires_us)",
    ],
    [
        "DROP TABLE request_keys",
        "DROP TABLE api_tokens",
        "DROP TABLE affiliates",
        "DROP TABLE external_accounts",
        "DROP TABLE profiles",
    ]
);
