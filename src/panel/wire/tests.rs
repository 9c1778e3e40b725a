use proptest::prelude::*;

use super::*;
use crate::panel::{
    Allocation, Build, Details, Egg, Features, Limits, NewServer, NewUser, Node, Server, User,
};

const SERVER: &str = r#"{"object":"server","new":{"a":[1]},"attributes":{
    "id":"7","external_id":"o-1","uuid":"u","identifier":"i","name":"n","description":"",
    "status":null,"suspended":false,
    "limits":{"memory":1024,"swap":-1,"disk":"2048","io":500,"cpu":100.0,"threads":null},
    "feature_limits":{"databases":null,"allocations":2,"backups":0},
    "user":3,"node":1,"allocation":11,"nest":1,"egg":4,
    "container":{"environment":{"TOKEN":"geheim","N":5,"NIL":null,"B":true,
        "STARTUP":"java","P_SERVER_UUID":"u","P_SERVER_ALLOCATION_LIMIT":null}},
    "relationships":{"allocations":{"object":"list","data":[
        {"object":"allocation","attributes":{"id":11,"ip":"1.2.3.4","alias":null,"port":25565,"assigned":true}},
        {"object":"allocation","attributes":{"id":12,"ip":"1.2.3.4","alias":"x","port":"25566","assigned":1}}]}}}}"#;

const EGG: &str = r#"{"object":"egg","attributes":{"id":4,"nest":1,"name":"Vanilla",
    "docker_image":"img:z","docker_images":{"Z":"img:z","B":"img:b","A":"img:a"},"startup":"run",
    "relationships":{"variables":{"object":"list","data":[{"object":"egg_variable","attributes":{
        "env_variable":"VERSION","default_value":null,"user_editable":1,"rules":"required|string"}}]}}}}"#;

fn read_server(json: &str) -> Result<Server, Flaw> {
    item(json.as_bytes())
}

fn read_egg(json: &str) -> Result<Egg, Flaw> {
    item(json.as_bytes())
}

#[test]
fn a_server_is_read_whatever_form_its_numbers_have() {
    let server = read_server(SERVER).unwrap();
    assert_eq!((server.id, server.allocation, server.egg), (7, 11, 4));
    assert_eq!(server.external_id.as_deref(), Some("o-1"));
    assert_eq!(server.status, None);
    let (memory, swap, disk, io, cpu) = (1024, -1, 2048, 500, 100);
    assert_eq!(
        server.limits,
        Limits {
            memory,
            swap,
            disk,
            io,
            cpu
        }
    );
    let (databases, allocations, backups) = (-1, 2, 0);
    assert_eq!(
        server.features,
        Features {
            databases,
            allocations,
            backups
        }
    );
    let ports: Vec<_> = server
        .allocations
        .unwrap()
        .iter()
        .map(|a| (a.id, a.port))
        .collect();
    assert_eq!(ports, [(11, 25565), (12, 25566)]);
}

#[test]
fn a_description_is_text_or_nothing() {
    let was = r#""description":"","#;
    for (written, read) in [
        (r#""description":"of \"a\" world","#, r#"of "a" world"#),
        (r#""description":"5","#, "5"),
        (was, ""),
        ("", ""),
        (r#""description":null,"#, ""),
        (r#""description":5,"#, ""),
        (r#""description":["a"],"#, ""),
        (r#""description":{"a":{"b":"c"}},"#, ""),
    ] {
        assert!(SERVER.contains(was));
        let server = read_server(&SERVER.replace(was, written)).unwrap();
        assert_eq!(server.description, read, "{written}");
    }
}

#[test]
fn ports_hidden_from_our_key_are_not_an_empty_list() {
    let start = SERVER.find(r#""relationships""#).unwrap();
    let hidden =
        r#""relationships":{"allocations":{"object":"null_resource","attributes":null}}}}"#;
    let server = read_server(&format!("{}{hidden}", &SERVER[..start])).unwrap();
    assert!(server.allocations.is_none());
}

#[test]
fn the_environment_is_text_without_the_panels_own() {
    let read: Environment = item(SERVER.as_bytes()).unwrap();
    let pairs: Vec<_> = read
        .variables
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    assert_eq!(
        pairs,
        [("B", "true"), ("N", "5"), ("NIL", ""), ("TOKEN", "geheim")]
    );
    let empty = r#"{"object":"server","attributes":{"id":1,"container":{"environment":[]}}}"#;
    let read: Environment = item(empty.as_bytes()).unwrap();
    assert!(read.variables.is_empty() && read.server == 1);
}

#[test]
fn an_eggs_first_image_is_the_default_and_the_rest_keep_their_order() {
    let egg = read_egg(EGG).unwrap();
    assert_eq!(egg.docker_images, ["img:z", "img:b", "img:a"]);
    assert_eq!(
        (
            egg.variables[0].default_value.as_str(),
            egg.variables[0].user_editable
        ),
        ("", true)
    );
    let list = EGG.replace(
        r#"{"Z":"img:z","B":"img:b","A":"img:a"}"#,
        r#"["img:z","img:q"]"#,
    );
    assert_eq!(read_egg(&list).unwrap().docker_images, ["img:z", "img:q"]);
    let none = EGG.replace(r#"{"Z":"img:z","B":"img:b","A":"img:a"}"#, "[]");
    assert_eq!(read_egg(&none).unwrap().docker_images, ["img:z"]);
}

#[test]
fn an_egg_that_no_server_could_be_made_of_says_why() {
    let hidden = EGG.replace(
        r#""object":"list","data":["#,
        r#""object":"null_resource","x":["#,
    );
    for (json, why) in [
        (
            EGG.replace(r#""startup":"run""#, r#""startup":null"#),
            "egg 4: no start command",
        ),
        (
            EGG.replace(r#""startup":"run""#, r#""startup":"""#),
            "egg 4: no start command",
        ),
        (
            EGG.replace("img:z", "")
                .replace("img:b", "")
                .replace("img:a", ""),
            "egg 4: no image",
        ),
        (hidden, "egg 4: variables are hidden from our key"),
    ] {
        assert_eq!(read_egg(&json).unwrap_err(), Flaw::Content(why.to_owned()));
    }
}

#[test]
fn what_is_wrong_is_told_without_the_value() {
    let wrong = SERVER.replace(r#""id":"7""#, r#""id":"geheim""#);
    let Flaw::Content(what) = read_server(&wrong).unwrap_err() else {
        panic!("an envelope")
    };
    assert!(
        what.contains("unexpected value at line") && !what.contains("geheim"),
        "{what}"
    );
    let missing = SERVER.replace(r#""uuid":"u","#, "");
    let Flaw::Content(what) = read_server(&missing).unwrap_err() else {
        panic!("an envelope")
    };
    assert!(what.contains("missing field `uuid`"), "{what}");
    let user = r#"{"object":"user","attributes":{}}"#;
    assert_eq!(
        read_server(user).unwrap_err(),
        Flaw::Content("not a server".to_owned())
    );
    for other in [
        "",
        "<html></html>",
        "null",
        "[]",
        r#"{"message":"hi"}"#,
        r#"{"object":5}"#,
    ] {
        assert_eq!(
            read_server(other).unwrap_err(),
            Flaw::NotThePanel,
            "{other}"
        );
    }
    let port = SERVER.replace("25565", "70000");
    assert!(matches!(read_server(&port), Err(Flaw::Content(_))));
}

fn users(pagination: &str) -> String {
    format!(
        r#"{{"object":"list","data":[{{"object":"user","attributes":{{"id":3,"external_id":null,
        "username":"u","email":"e@x.test","first_name":null,"last_name":null,"root_admin":false}}}}],
        "meta":{{"pagination":{{"total":1,"links":[],{pagination}}}}}}}"#
    )
}

#[test]
fn a_page_tells_how_many_there_are_and_must_be_the_one_asked_for() {
    let list = users(r#""current_page":2,"total_pages":3"#);
    let read: Page<User> = page(list.as_bytes(), 2).unwrap();
    assert_eq!((read.pages, read.data.len()), (3, 1));
    assert_eq!(
        (
            read.data[0].first_name.as_deref(),
            read.data[0].language.as_str()
        ),
        (None, "")
    );
    assert!(matches!(
        page::<User>(list.as_bytes(), 1),
        Err(Flaw::Content(_))
    ));
    let none = users(r#""current_page":1,"total_pages":0"#);
    assert_eq!(page::<User>(none.as_bytes(), 1).unwrap().pages, 1);
    let huge = users(r#""current_page":1,"total_pages":99999999999"#);
    assert!(matches!(
        page::<User>(huge.as_bytes(), 1),
        Err(Flaw::Content(_))
    ));
    let unpaged = r#"{"object":"list","data":[]}"#;
    assert!(matches!(
        page::<User>(unpaged.as_bytes(), 1),
        Err(Flaw::Content(_))
    ));
}

fn new_server(additional: Vec<i64>) -> NewServer {
    NewServer {
        external_id: "o-1".into(),
        name: "n".into(),
        user: 3,
        egg: 4,
        docker_image: "img".into(),
        startup: "run".into(),
        environment: [("A".to_owned(), "1".to_owned())].into(),
        limits: Limits {
            memory: 1,
            swap: 0,
            disk: 2,
            io: 500,
            cpu: 100,
        },
        features: Features {
            databases: 1,
            allocations: 2,
            backups: 3,
        },
        allocation: 11,
        additional,
        oom_disabled: true,
    }
}

fn json(written: serde_json::Result<Vec<u8>>) -> serde_json::Value {
    serde_json::from_slice(&written.unwrap()).unwrap()
}

#[test]
fn a_server_is_asked_for_by_ports() {
    let expected = serde_json::json!({
        "external_id": "o-1", "name": "n", "user": 3, "egg": 4, "docker_image": "img",
        "startup": "run", "environment": {"A": "1"},
        "limits": {"memory": 1, "swap": 0, "disk": 2, "io": 500, "cpu": 100},
        "feature_limits": {"databases": 1, "allocations": 2, "backups": 3},
        "allocation": {"default": 11, "additional": [12, 13]},
        "oom_disabled": true, "start_on_completion": true,
    });
    assert_eq!(json(server_body(&new_server(vec![12, 13]))), expected);
    let alone = json(server_body(&new_server(vec![])));
    assert_eq!(alone["allocation"], serde_json::json!({"default": 11}));
}

#[test]
fn limits_and_details_are_sent_as_a_whole() {
    let NewServer {
        limits, features, ..
    } = new_server(vec![]);
    let build = Build {
        allocation: 11,
        limits,
        features,
    };
    let expected = serde_json::json!({
        "allocation": 11,
        "limits": {"memory": 1, "swap": 0, "disk": 2, "io": 500, "cpu": 100},
        "feature_limits": {"databases": 1, "allocations": 2, "backups": 3},
    });
    assert_eq!(json(build_body(&build)), expected);
    for description in ["", "of a world"] {
        let details = Details {
            name: "n".into(),
            user: 3,
            external_id: "o-1".into(),
            description: description.into(),
        };
        let expected = serde_json::json!({"name": "n", "user": 3, "external_id": "o-1",
            "description": description});
        assert_eq!(json(details_body(&details)), expected);
    }
}

#[test]
fn a_user_is_made_without_a_password() {
    let user = NewUser {
        external_id: "u-1".into(),
        username: "sp1".into(),
        email: "a+b@x.test".into(),
        first_name: "A".into(),
        last_name: "B".into(),
    };
    let expected = serde_json::json!({"external_id": "u-1", "username": "sp1",
        "email": "a+b@x.test", "first_name": "A", "last_name": "B"});
    assert_eq!(json(user_body(&user)), expected);
}

#[test]
fn a_user_is_rewritten_as_read_and_lacking_names_are_filled() {
    let mut user = User {
        id: 3,
        external_id: None,
        username: "old".into(),
        email: "e@x.test".into(),
        first_name: None,
        last_name: Some(" ".into()),
        language: "de".into(),
        root_admin: false,
    };
    let expected = serde_json::json!({"email": "e@x.test", "username": "old", "first_name": "old",
        "last_name": "old", "language": "de", "external_id": "u-1"});
    assert_eq!(json(user_rewrite_body(&user, "u-1")), expected);
    user.language.clear();
    assert!(
        json(user_rewrite_body(&user, "u-1"))
            .get("language")
            .is_none()
    );
}

/// Reads it as everything that an answer is ever read as.
fn read_as_all(content: &[u8]) {
    let _ = item::<Server>(content);
    let _ = item::<Environment>(content);
    let _ = item::<Egg>(content);
    let _ = item::<User>(content);
    let _ = page::<Node>(content, 1);
    let _ = page::<Allocation>(content, 1);
    let _ = page::<Server>(content, 1);
}

proptest! {
    #[test]
    fn no_bytes_make_reading_panic(content in any::<Vec<u8>>()) {
        read_as_all(&content);
    }

    #[test]
    fn no_damage_makes_reading_panic(
        at in any::<prop::sample::Index>(), with in ".{0,4}", drop in 0_usize..40, egg: bool,
    ) {
        let sound = if egg { EGG } else { SERVER };
        let start = at.index(sound.len());
        let end = (start + drop).min(sound.len());
        let damaged = [&sound.as_bytes()[..start], with.as_bytes(), &sound.as_bytes()[end..]];
        read_as_all(&damaged.concat());
    }

    #[test]
    fn no_number_is_read_as_another(number in any::<i64>()) {
        for written in [number.to_string(), format!("\"{number}\"")] {
            let json = SERVER.replace(r#""id":"7""#, &format!(r#""id":{written}"#));
            prop_assert_eq!(read_server(&json).unwrap().id, number);
        }
    }
}

/// P-17: a NUL in a text, as any customer can put into the name of a server, would be
/// refused by PostgreSQL together with all that is stored along with it.
#[test]
fn no_text_holds_a_nul() {
    let named = |name: &str| SERVER.replace(r#""name":"n""#, &format!(r#""name":"{name}""#));
    for (written, read) in [
        (r"a\u0000b", "a\u{fffd}b"),
        (r"\u0000\u0000", "\u{fffd}\u{fffd}"),
        (r"\\\u0000", "\\\u{fffd}"),
        // A backslash, and then five letters and digits.
        (r"\\u0000", r"\u0000"),
    ] {
        let server = item::<Server>(named(written).as_bytes()).unwrap();
        assert_eq!(server.name, read, "{written}");
    }
}
