//! What others still have to follow of a profile: Stripe and the panel its changes, the panel its
//! deletion. And when a profile was deleted.

use crate::ddl::step;

step!(
    [
        "ALTER TABLE profiles ADD COLUMN stripe_follow_us bigint",
        "ALTER TABLE profiles ADD COLUMN stripe_problem text NOT NULL DEFAULT ''
            CHECK (stripe_problem IN ('', 'REFUSED', 'MISSING'))",
        "ALTER TABLE profiles ADD COLUMN panel_follow_us bigint",
        "ALTER TABLE profiles ADD COLUMN panel_problem text NOT NULL DEFAULT ''
            CHECK (panel_problem IN
                ('', 'REFUSED', 'MISSING', 'FOREIGN', 'ADMINISTRATOR', 'HAS_SERVERS'))",
        "ALTER TABLE profiles ADD COLUMN panel_leaving_id bigint",
        "ALTER TABLE profiles ADD COLUMN deleted_us bigint",
        "CREATE INDEX profiles_stripe_follow ON profiles (user_id)
            WHERE stripe_follow_us IS NOT NULL",
        "CREATE INDEX profiles_panel_follow ON profiles (user_id)
            WHERE panel_follow_us IS NOT NULL OR panel_leaving_id IS NOT NULL",
    ],
    [
        "DROP INDEX profiles_panel_follow",
        "DROP INDEX profiles_stripe_follow",
        "ALTER TABLE profiles DROP COLUMN deleted_us",
        "ALTER TABLE profiles DROP COLUMN panel_leaving_id",
        "ALTER TABLE profiles DROP COLUMN panel_problem",
        "ALTER TABLE profiles DROP COLUMN panel_follow_us",
        "ALTER TABLE profiles DROP COLUMN stripe_problem",
        "ALTER TABLE profiles DROP COLUMN stripe_follow_us",
    ]
);
