//! The eggs of the recorded panel. Only those of the first nest have their variables.

use super::EggRow;

const JAVA: &str = "ghcr.io/pterodactyl/yolks:java_21";
const SOURCE: &str = "ghcr.io/pterodactyl/games:source";
const JAR: &str = r"required|regex:/^([\w\d._-]+)(\.jar)$/";
const JAVA_START: &str = "java -Xms128M -XX:MaxRAMPercentage=95.0 -jar {{SERVER_JARFILE}}";
const SRCDS: &str = "./srcds_run -console -port {{SERVER_PORT}}";

const fn other(id: i64, nest: i64, name: &'static str, image: &'static str) -> EggRow {
    EggRow {
        id,
        nest,
        name,
        image,
        startup: SRCDS,
        done: "ready",
        stop: "quit",
        variables: &[],
    }
}

const fn minecraft(
    id: i64,
    name: &'static str,
    variables: &'static [super::VariableRow],
) -> EggRow {
    EggRow {
        id,
        nest: 1,
        name,
        image: JAVA,
        startup: JAVA_START,
        done: ")! For help, type ",
        stop: "stop",
        variables,
    }
}

#[rustfmt::skip]
pub(super) static EGGS: &[EggRow] = &[
    minecraft(1, "Bungeecord", &[
        ("Bungeecord Version", "BUNGEE_VERSION", "latest", "required|alpha_num|between:1,6"),
        ("Bungeecord Jar File", "SERVER_JARFILE", "bungeecord.jar", JAR),
    ]),
    minecraft(2, "Forge Minecraft", &[
        ("Server Jar File", "SERVER_JARFILE", "server.jar", JAR),
        ("Minecraft Version", "MC_VERSION", "latest", "required|string|max:9"),
        ("Build Type", "BUILD_TYPE", "recommended", "required|string|in:recommended,latest"),
        ("Forge Version", "FORGE_VERSION", "", r"nullable|regex:/^[0-9\.\-]+$/"),
    ]),
    minecraft(3, "Sponge (SpongeVanilla)", &[
        ("Sponge Version", "SPONGE_VERSION", "1.12.2-7.3.0", r"required|regex:/^([a-zA-Z0-9.\-_]+)$/"),
        ("Server Jar File", "SERVER_JARFILE", "server.jar", JAR),
    ]),
    minecraft(4, "Vanilla Minecraft", &[
        ("Server Jar File", "SERVER_JARFILE", "server.jar", JAR),
        ("Server Version", "VANILLA_VERSION", "latest", "required|string|between:3,15"),
    ]),
    minecraft(5, "Paper", &[
        ("Minecraft Version", "MINECRAFT_VERSION", "latest", "nullable|string|max:20"),
        ("Server Jar File", "SERVER_JARFILE", "server.jar", JAR),
        ("Download Path", "DL_PATH", "", "nullable|string"),
        ("Build Number", "BUILD_NUMBER", "latest", "required|string|max:20"),
    ]),
    other(6, 2, "Ark: Survival Evolved", "quay.io/parkervcp/pterodactyl-images:debian_source"),
    other(7, 2, "Custom Source Engine Game", SOURCE),
    other(8, 2, "Counter-Strike: Global Offensive", SOURCE),
    other(9, 2, "Insurgency", SOURCE),
    other(10, 2, "Garrys Mod", SOURCE),
    other(11, 2, "Team Fortress 2", SOURCE),
    other(12, 3, "Teamspeak3 Server", "ghcr.io/pterodactyl/yolks:debian"),
    other(13, 3, "Mumble Server", "ghcr.io/parkervcp/yolks:voice_mumble"),
    other(14, 4, "Rust", "ghcr.io/pterodactyl/games:rust"),
];
