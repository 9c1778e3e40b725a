//! The eggs of the shop's games, with variables and rules as such eggs have them.

use super::EggRow;

const JAR: &str = r"required|regex:/^([\w\d._-]+)(\.jar)$/";
const PORT: &str = "required|integer|between:1024,65535";

#[rustfmt::skip]
pub(super) static EGGS: &[EggRow] = &[
    EggRow {
        id: 39, nest: 16, name: "Paper",
        image: "ghcr.io/pterodactyl/yolks:java_17",
        startup: "java -Xms128M -Xmx{{SERVER_MEMORY}}M -jar {{SERVER_JARFILE}}",
        done: ")! For help, type ", stop: "stop",
        variables: &[
            ("Minecraft Version", "MINECRAFT_VERSION", "latest", "nullable|string|max:20"),
            ("Server Jar File", "SERVER_JARFILE", "server.jar", JAR),
            ("Download Path", "DL_PATH", "", "nullable|string"),
            ("Build Number", "BUILD_NUMBER", "latest", "required|string|max:20"),
        ],
    },
    EggRow {
        id: 50, nest: 19, name: "Rust",
        image: "ghcr.io/pterodactyl/games:rust",
        startup: "./RustDedicated -batchmode +server.port {{SERVER_PORT}} +server.queryport {{QUERY_PORT}} \
                  +rcon.port {{RCON_PORT}} +rcon.password \"{{RCON_PASS}}\" +server.hostname \"{{HOSTNAME}}\" \
                  +server.level \"{{LEVEL}}\" +server.description \"{{DESCRIPTION}}\" +server.url \"{{SERVER_URL}}\" \
                  +server.headerimage \"{{SERVER_IMG}}\" +server.maxplayers {{MAX_PLAYERS}} \
                  +server.worldsize {{WORLD_SIZE}} +server.saveinterval {{SAVEINTERVAL}} {{ADDITIONAL_ARGS}}",
        done: "Server startup complete", stop: "quit",
        variables: &[
            ("Server Name", "HOSTNAME", "A Rust Server", "required|string|max:60"),
            ("Modding Framework", "FRAMEWORK", "vanilla", "required|string|in:vanilla,oxide,carbon"),
            ("Level", "LEVEL", "Procedural Map", "required|string|max:20"),
            ("Description", "DESCRIPTION", "A Rust server", "required|string"),
            ("URL", "SERVER_URL", "", "nullable|url"),
            ("World Size", "WORLD_SIZE", "3000", "required|integer|between:1000,6000"),
            ("World Seed", "WORLD_SEED", "", "nullable|string"),
            ("Max Players", "MAX_PLAYERS", "40", "required|integer|min:1"),
            ("Server Image", "SERVER_IMG", "", "nullable|url"),
            ("Query Port", "QUERY_PORT", "27017", PORT),
            ("RCON Port", "RCON_PORT", "28016", PORT),
            ("RCON Password", "RCON_PASS", "CHANGEME", r"required|regex:/^[\w.-]*$/|max:64"),
            ("Save Interval", "SAVEINTERVAL", "60", "required|integer|min:1"),
            ("Additional Arguments", "ADDITIONAL_ARGS", "", "nullable|string"),
        ],
    },
    EggRow {
        id: 15, nest: 20, name: "Palworld",
        image: "ghcr.io/pterodactyl/games:palworld",
        startup: "/home/container/PalServer.sh -port={{SERVER_PORT}} -players={{MAX_PLAYERS}} -servername=\"{{SERVER_NAME}}\"",
        done: "Running Palworld", stop: "^C",
        variables: &[
            ("Server Name", "SERVER_NAME", "A Palworld Server", "required|string|max:60"),
            ("Max Players", "MAX_PLAYERS", "32", "required|integer|between:1,32"),
            ("Server Password", "SERVER_PASSWORD", "", "nullable|string|max:30"),
            ("Admin Password", "ADMIN_PASSWORD", "CHANGEME", "required|string|max:30"),
            ("RCON Enabled", "RCON_ENABLE", "True", "required|string|in:True,False"),
            ("RCON Port", "RCON_PORT", "25575", PORT),
            ("App ID", "SRCDS_APPID", "2394010", "required|string|in:2394010"),
        ],
    },
    EggRow {
        id: 34, nest: 20, name: "Among Us Impostor",
        image: "ghcr.io/parkervcp/yolks:dotnet_6",
        startup: "./Impostor.Server",
        done: "Matchmaker is listening", stop: "^C",
        variables: &[
            ("Version", "VERSION", "latest", "required|string|max:20"),
            ("Public Address", "PUBLIC_IP", "", "nullable|string|max:255"),
        ],
    },
    EggRow {
        id: 16, nest: 20, name: "Terraria",
        image: "ghcr.io/parkervcp/yolks:debian",
        startup: "./TerrariaServer.bin.x86_64 -config serverconfig.txt",
        done: "Listening on port", stop: "exit",
        variables: &[
            ("Terraria Version", "TERRARIA_VERSION", "latest", "required|string|max:10"),
            ("World Name", "WORLD_NAME", "world", "required|string|max:20"),
            ("World Size", "WORLD_SIZE", "2", "required|integer|between:1,3"),
            ("Max Players", "MAX_PLAYERS", "8", "required|integer|between:1,255"),
            ("Password", "PASSWORD", "", "nullable|string|max:128"),
            ("Message of the Day", "SERVER_MOTD", "Welcome!", "nullable|string|max:128"),
        ],
    },
    EggRow {
        id: 14, nest: 20, name: "Ark: Survival Evolved",
        image: "quay.io/parkervcp/pterodactyl-images:debian_source",
        startup: "ShooterGameServer {{SERVER_MAP}}?listen?SessionName=\"{{SESSION_NAME}}\"?ServerPassword={{ARK_PASSWORD}}\
                  ?ServerAdminPassword={{ARK_ADMIN_PASSWORD}}?Port={{SERVER_PORT}}?RCONPort={{RCON_PORT}}?QueryPort={{QUERY_PORT}}",
        done: "Commandline", stop: "^C",
        variables: &[
            ("App ID", "SRCDS_APPID", "376030", "required|string|in:376030"),
            ("Server Map", "SERVER_MAP", "TheIsland", "required|string|max:100"),
            ("Session Name", "SESSION_NAME", "A Pterodactyl Server", "required|string|max:128"),
            ("Server Password", "ARK_PASSWORD", "", "nullable|alpha_dash|between:1,100"),
            ("Admin Password", "ARK_ADMIN_PASSWORD", "PleaseChangeMe", "required|alpha_dash|between:1,100"),
            ("Query Port", "QUERY_PORT", "27015", PORT),
            ("RCON Port", "RCON_PORT", "27020", PORT),
            ("BattleEye", "BATTLE_EYE", "1", "required|boolean"),
            ("Auto Update", "AUTO_UPDATE", "0", "required|boolean"),
            ("Additional Arguments", "ARGS", "", "nullable|string"),
        ],
    },
    EggRow {
        id: 21, nest: 20, name: "Factorio",
        image: "ghcr.io/parkervcp/yolks:debian",
        startup: "./bin/x64/factorio --port {{SERVER_PORT}} --start-server saves/{{SAVE_NAME}}.zip",
        done: "Hosting game at IP", stop: "^C",
        variables: &[
            ("Factorio Version", "FACTORIO_VERSION", "latest", "required|string|between:3,12"),
            ("Max Slots", "MAX_SLOTS", "20", "required|numeric|between:1,100"),
            ("Save Name", "SAVE_NAME", "gamesave", "required|alpha_dash|between:1,100"),
            ("Server Name", "SERVER_NAME", "A Factorio Server", "required|string|max:100"),
            ("Server Description", "SERVER_DESC", "", "nullable|string|max:200"),
            ("Server Token", "SERVER_TOKEN", "", "nullable|alpha_num|max:100"),
            ("Server Username", "SERVER_USERNAME", "", "nullable|string|max:40"),
            ("Auto Save Interval", "SAVE_INTERVAL", "10", "required|numeric|between:1,999"),
            ("Auto Save Slots", "SAVE_SLOTS", "5", "required|numeric|between:1,99"),
            ("AFK Kick", "AFK_KICK", "0", "required|numeric|between:0,999"),
        ],
    },
    EggRow {
        id: 29, nest: 20, name: "Mindustry",
        image: "ghcr.io/pterodactyl/yolks:java_17",
        startup: "java -jar {{SERVER_JARFILE}} host",
        done: "Server loaded", stop: "exit",
        variables: &[
            ("Server Jar File", "SERVER_JARFILE", "server.jar", JAR),
            ("Version", "VERSION", "latest", "required|string|max:20"),
            ("Download URL", "DOWNLOAD_URL", "", "nullable|url"),
        ],
    },
    EggRow {
        id: 26, nest: 20, name: "RimWorld Together",
        image: "ghcr.io/parkervcp/yolks:dotnet_7",
        startup: "./GameServer",
        done: "Server launched", stop: "exit",
        variables: &[
            ("Version", "VERSION", "latest", "required|string|max:20"),
            ("Server Name", "SERVER_NAME", "A RimWorld Server", "required|string|max:60"),
            ("Max Players", "MAX_PLAYERS", "8", "required|integer|between:1,100"),
        ],
    },
    EggRow {
        id: 32, nest: 20, name: "Vintage Story",
        image: "ghcr.io/parkervcp/yolks:dotnet_8",
        startup: "./VintagestoryServer --dataPath ./data --port {{SERVER_PORT}} --maxclients {{MAX_CLIENTS}}",
        done: "now running on Port", stop: "/stop",
        variables: &[
            ("Version", "VERSION", "latest", "required|string|max:20"),
            ("Release Type", "RELEASE_TYPE", "stable", "required|string|in:stable,unstable"),
            ("Server Name", "SERVER_NAME", "A Vintage Story Server", "required|string|max:60"),
            ("Max Clients", "MAX_CLIENTS", "16", "required|integer|between:1,128"),
        ],
    },
    EggRow {
        id: 33, nest: 20, name: "Teeworlds",
        image: "ghcr.io/parkervcp/yolks:debian",
        startup: "./teeworlds_srv -f teeworlds.cfg",
        done: "server name is", stop: "shutdown",
        variables: &[
            ("Version", "VERSION", "latest", "required|string|max:20"),
            ("Server Name", "SERVER_NAME", "A Teeworlds Server", "required|string|max:60"),
            ("Max Clients", "MAX_CLIENTS", "16", "required|integer|between:1,64"),
            ("RCON Password", "RCON_PASSWORD", "CHANGEME", "required|string|max:64"),
        ],
    },
];
