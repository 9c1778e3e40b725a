//! What a panel answers, through the whole client but the network. An input is a line
//! that names a call of ours, a status and headers, as in
//! `create_server 201 limit=240 remaining=17`, and the bodies of the answers: one per
//! page, separated by lines of `---`, the last one for all further requests. `retry=`
//! gives a `Retry-After`, and `cut` breaks the bodies off.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures_util::FutureExt;
use http_body::{Body, Frame};
use prost::bytes::Bytes;
use reqwest::{Request, Response};
use secrecy::SecretString;
use spawnpoint::panel::{
    Budget, Build, Class, Details, Error, Features, HttpPanel, Limits, NewServer, NewUser, Panel,
    RateSeen, Settings, Transport, Trouble, User,
};

const SEPARATOR: &[u8] = b"\n---\n";
/// Small, so that a fuzzer reaches it.
const BODY_MAX: usize = 64 << 10;
const OURS: &str = "o-1";
const CALLS: [(&str, Kind); 18] = [
    ("nodes", Kind::Read),
    ("allocations", Kind::Read),
    ("egg", Kind::Read),
    ("user_by_external_id", Kind::Read),
    ("user_by_email", Kind::Read),
    ("create_user", Kind::Make),
    ("set_user_external_id", Kind::Make),
    ("update_user", Kind::Make),
    ("delete_user", Kind::Delete),
    ("create_server", Kind::Make),
    ("server_by_external_id", Kind::Read),
    ("server", Kind::Read),
    ("servers", Kind::Read),
    ("server_environment", Kind::Read),
    ("set_build", Kind::Make),
    ("set_details", Kind::Make),
    ("reinstall_server", Kind::Act),
    ("delete_server", Kind::Delete),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Make,
    Act,
    Delete,
}

/// Whatever is answered, the outcome is one that its caller may rely on.
pub fn run(data: &[u8]) -> &'static str {
    let script = Script::read(data);
    let (outcome, asked) = script.play();
    let (again, _) = script.play();
    assert_eq!(format!("{outcome:?}"), format!("{again:?}"));
    script.check_requests(&asked);
    match &outcome {
        Ok(shown) => script.check_success(shown),
        Err(error) => script.check_failure(error),
    }
    match outcome {
        Ok(_) => "done",
        Err(Error::Rejected { .. }) => "rejected",
        Err(Error::NotFound) => "not found",
        Err(Error::RateLimited { .. }) => "rate limited",
        Err(Error::NotDone { .. }) => "not done",
        Err(Error::Unknown { .. }) => "unknown",
        Err(Error::Garbage { .. }) => "garbage",
    }
}

/// An input, taken apart.
#[derive(Debug)]
struct Script {
    call: &'static str,
    kind: Kind,
    status: u16,
    headers: Vec<(&'static str, String)>,
    cut: bool,
    bodies: Vec<Bytes>,
}

impl Script {
    fn read(data: &[u8]) -> Self {
        let (head, rest) = super::first_line(data);
        let head = String::from_utf8_lossy(head);
        let mut words = head.split_whitespace();
        let named = words.next().unwrap_or_default();
        // A damaged name still names a call.
        let found = CALLS.iter().find(|(name, _)| *name == named);
        let place = named.bytes().map(usize::from).sum::<usize>() % CALLS.len();
        let (call, kind) = *found.unwrap_or(&CALLS[place]);
        let status = words.next().and_then(|word| word.parse().ok());
        let status = status.filter(|status| (200..=999).contains(status));
        let (mut headers, mut cut) = (Vec::new(), false);
        for word in words {
            match word.split_once('=') {
                Some(("limit", value)) => headers.push(("X-RateLimit-Limit", value.to_owned())),
                Some(("remaining", value)) => {
                    headers.push(("X-RateLimit-Remaining", value.to_owned()));
                }
                Some(("retry", value)) => headers.push(("Retry-After", value.to_owned())),
                _ => cut |= word == "cut",
            }
        }
        headers.retain(|(_, value)| http::HeaderValue::from_str(value).is_ok());
        Self {
            call,
            kind,
            status: status.unwrap_or(200),
            headers,
            cut,
            bodies: pages(rest),
        }
    }

    fn play(&self) -> (Result<String, Error>, Arc<Asked>) {
        let asked = Arc::new(Asked::default());
        let transport = Answers {
            asked: Arc::clone(&asked),
            status: self.status,
            headers: self.headers.clone(),
            cut: self.cut,
            bodies: self.bodies.clone(),
        };
        let key = Arc::new(|| SecretString::from("ptla_key"));
        let settings = Settings {
            body_max: BODY_MAX,
            ..Settings::new("http://panel.test/sub".parse().unwrap(), key)
        };
        let budget: Arc<Asked> = Arc::clone(&asked);
        let panel = HttpPanel::over(Box::new(transport), settings, budget).unwrap();
        let outcome = perform(&panel, self.call).now_or_never();
        (outcome.expect("nothing is waited for"), asked)
    }

    fn check_requests(&self, asked: &Asked) {
        let requests = asked.requests.lock().unwrap();
        let walks = matches!(self.call, "nodes" | "user_by_email");
        let most = if walks { 1_000 } else { 1 };
        assert!((1..=most).contains(&requests.len()), "{}", requests.len());
        for (request, page) in requests.iter().zip(1..) {
            let header = |name: &str| request.headers().get(name).map(|value| value.as_bytes());
            assert_eq!(header("accept"), Some(&b"application/json"[..]));
            assert_eq!(header("authorization"), Some(&b"Bearer ptla_key"[..]));
            assert!(request.url().path().starts_with("/sub/api/application/"));
            if walks {
                let found = request.url().query_pairs().find(|(name, _)| name == "page");
                assert_eq!(found.unwrap().1, page.to_string());
            }
        }
        let (taken, seen) = (asked.taken.lock().unwrap(), asked.seen.lock().unwrap());
        assert_eq!((*taken, seen.len()), (requests.len(), requests.len()));
        let waits = seen.iter().filter_map(|seen| seen.retry_after);
        for wait in waits {
            assert!(wait >= Duration::from_secs(1) && wait <= Duration::from_secs(300));
        }
    }

    /// Done means that the panel said so.
    fn check_success(&self, shown: &str) {
        let told = match self.kind {
            // Absence is an answer too.
            Kind::Read => self.status == 200 || self.status == 404,
            Kind::Make => self.succeeds() && !self.cut,
            Kind::Act => self.status == 204,
            Kind::Delete => self.status == 204 || self.status == 404,
        };
        assert!(told, "{self:?} gave {shown}");
        // Debug writes a NUL as `\0`, and a backslash as two.
        assert!(!shown.replace(r"\\", "").contains(r"\0"), "{shown}");
    }

    fn check_failure(&self, error: &Error) {
        let status = self.status;
        let told = error.to_string();
        assert!(
            told.len() < 32 << 10 && !told.contains(char::is_control),
            "{told:?}"
        );
        let done = self.kind == Kind::Make && self.succeeds();
        match error {
            Error::Rejected { .. } => assert!(matches!(status, 400 | 422), "{status}"),
            Error::NotFound => assert_eq!(status, 404),
            Error::RateLimited { after } => {
                assert_eq!(status, 429);
                assert!((1..=300).contains(&after.as_secs()), "{after:?}");
            }
            Error::NotDone { trouble } => match trouble {
                Trouble::KeyRefused => assert!(matches!(status, 400 | 401 | 403), "{status}"),
                Trouble::Redirected => assert!((300..400).contains(&status), "{status}"),
                _ => {}
            },
            Error::Unknown { .. } => assert_ne!(self.kind, Kind::Read, "a read does nothing"),
            Error::Garbage { what } => {
                assert!(
                    done || (self.kind == Kind::Read && status == 200),
                    "{status}"
                );
                assert!(what.is_ascii() && what.len() < 200, "{what}");
            }
        }
        // Made, and we do not know what: never anything that lets a caller go on as before.
        assert_eq!(
            done,
            done && matches!(error, Error::Garbage { .. }),
            "{error:?}"
        );
        let settled = matches!(self.kind, Kind::Act | Kind::Delete) && status == 204;
        assert!(!settled, "{error:?}");
    }

    fn succeeds(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

fn pages(rest: &[u8]) -> Vec<Bytes> {
    let (mut pages, mut rest) = (Vec::new(), rest);
    while let Some(at) = find(rest, SEPARATOR) {
        pages.push(Bytes::copy_from_slice(&rest[..at]));
        rest = &rest[at + SEPARATOR.len()..];
    }
    pages.push(Bytes::copy_from_slice(rest));
    pages
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Makes the call, sees that what came is what was asked for, and shows it.
async fn perform(panel: &HttpPanel, call: &str) -> Result<String, Error> {
    Ok(match call {
        "nodes" => format!("{:?}", panel.nodes().await?),
        "allocations" => format!("{:?}", panel.allocations(3, 1).await?),
        "egg" => {
            let egg = panel.egg(1, 4).await?;
            assert!(egg.id == 4 && !egg.docker_images.is_empty() && !egg.startup.is_empty());
            format!("{egg:?}")
        }
        "user_by_external_id"
        | "user_by_email"
        | "create_user"
        | "set_user_external_id"
        | "update_user"
        | "delete_user" => of_users(panel, call).await?,
        "create_server" => {
            let begin_by = Instant::now() + Duration::from_secs(60);
            let made = panel.create_server(&new_server(), begin_by).await?;
            assert_eq!(made.external_id.as_deref(), Some(OURS));
            format!("{made:?}")
        }
        "server_by_external_id" => {
            let found = panel.server_by_external_id(OURS).await?;
            assert!(
                found
                    .iter()
                    .all(|server| server.external_id.as_deref() == Some(OURS))
            );
            format!("{found:?}")
        }
        "server" => {
            let found = panel.server(7).await?;
            assert!(found.iter().all(|server| server.id == 7));
            format!("{found:?}")
        }
        "servers" => format!("{:?}", panel.servers(1).await?),
        "server_environment" => {
            let found = panel.server_environment(7).await?;
            assert!(found.iter().all(|values| !values.contains_key("STARTUP")));
            format!("{found:?}")
        }
        "set_build" => {
            let written = panel.set_build(7, &build()).await?;
            assert_eq!(written.id, 7);
            format!("{written:?}")
        }
        "set_details" => {
            let written = panel.set_details(7, &details()).await?;
            assert!(written.id == 7 && written.external_id.as_deref() == Some(OURS));
            format!("{written:?}")
        }
        "reinstall_server" => format!("{:?}", panel.reinstall_server(7).await?),
        _ => format!("{:?}", panel.delete_server(7).await?),
    })
}

/// As [`perform`], for calls about users.
async fn of_users(panel: &HttpPanel, call: &str) -> Result<String, Error> {
    let person = user();
    Ok(match call {
        "user_by_external_id" => {
            let found = panel.user_by_external_id(OURS).await?;
            assert!(
                found
                    .iter()
                    .all(|user| user.external_id.as_deref() == Some(OURS))
            );
            format!("{found:?}")
        }
        "user_by_email" => {
            let found = panel.user_by_email(&person.email).await?;
            assert!(
                found
                    .iter()
                    .all(|user| user.email.to_lowercase() == person.email)
            );
            format!("{found:?}")
        }
        "create_user" => {
            let made = panel.create_user(&new_user()).await?;
            assert_eq!(made.external_id.as_deref(), Some(OURS));
            format!("{made:?}")
        }
        "set_user_external_id" => {
            let written = panel.set_user_external_id(&person, OURS).await?;
            assert_eq!(written.external_id.as_deref(), Some(OURS));
            assert_eq!(written.id, person.id);
            format!("{written:?}")
        }
        "update_user" => {
            let ours = User {
                external_id: Some(OURS.to_owned()),
                ..person
            };
            let written = panel.update_user(&ours).await?;
            assert_eq!(written.external_id.as_deref(), Some(OURS));
            assert_eq!(written.id, ours.id);
            format!("{written:?}")
        }
        _ => format!("{:?}", panel.delete_user(3).await?),
    })
}

/// Answers on the spot.
struct Answers {
    asked: Arc<Asked>,
    status: u16,
    headers: Vec<(&'static str, String)>,
    cut: bool,
    bodies: Vec<Bytes>,
}

#[async_trait]
impl Transport for Answers {
    async fn send(&self, request: Request) -> reqwest::Result<Response> {
        let mut requests = self.asked.requests.lock().unwrap();
        let body = self.bodies[requests.len().min(self.bodies.len() - 1)].clone();
        requests.push(request);
        let mut response = http::Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        let body = if self.cut {
            reqwest::Body::wrap(BrokenOff(Some(body)))
        } else {
            reqwest::Body::from(body)
        };
        Ok(response.body(body).unwrap().into())
    }
}

/// A body whose connection breaks behind its last byte.
struct BrokenOff(Option<Bytes>);

impl Body for BrokenOff {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let next = self.0.take().map(Frame::data);
        Poll::Ready(Some(
            next.ok_or_else(|| std::io::ErrorKind::ConnectionReset.into()),
        ))
    }
}

/// What the client asked of the panel and of the rate budget.
#[derive(Default)]
struct Asked {
    requests: Mutex<Vec<Request>>,
    taken: Mutex<usize>,
    seen: Mutex<Vec<RateSeen>>,
}

#[async_trait]
impl Budget for Asked {
    async fn take(&self, _: Class) -> Result<(), Duration> {
        *self.taken.lock().unwrap() += 1;
        Ok(())
    }

    async fn observe(&self, seen: RateSeen) {
        self.seen.lock().unwrap().push(seen);
    }
}

fn user() -> User {
    User {
        id: 3,
        external_id: None,
        username: "sp1".to_owned(),
        email: "person@x.test".to_owned(),
        first_name: Some("A".to_owned()),
        last_name: None,
        language: "en".to_owned(),
        root_admin: false,
    }
}

fn new_user() -> NewUser {
    NewUser {
        external_id: OURS.to_owned(),
        username: "sp1".to_owned(),
        email: "person@x.test".to_owned(),
        first_name: "A".to_owned(),
        last_name: "B".to_owned(),
    }
}

fn new_server() -> NewServer {
    NewServer {
        external_id: OURS.to_owned(),
        name: "n".to_owned(),
        user: 3,
        egg: 4,
        docker_image: "img".to_owned(),
        startup: "run".to_owned(),
        environment: [("TOKEN".to_owned(), "secret".to_owned())].into(),
        limits: Limits {
            memory: 1,
            swap: 0,
            disk: 2,
            io: 500,
            cpu: 100,
        },
        features: Features {
            databases: 0,
            allocations: 1,
            backups: 0,
        },
        allocation: 11,
        additional: vec![12],
        oom_disabled: false,
    }
}

fn build() -> Build {
    let server = new_server();
    Build {
        allocation: server.allocation,
        limits: server.limits,
        features: server.features,
    }
}

fn details() -> Details {
    Details {
        name: "n".to_owned(),
        user: 3,
        external_id: OURS.to_owned(),
        description: "d".to_owned(),
    }
}
