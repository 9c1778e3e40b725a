//! The API as its descriptor set tells it: every method, every string that a request
//! can carry, and calls made of plain bytes, so that messages can be sent which no
//! generated client would make.

use std::{collections::HashMap, time::Duration};

use prost::Message;
use prost_types::{
    DescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use spawnpoint::rpc::proto::DESCRIPTORS;
use tonic::{
    Request, Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

/// No call of these tests takes longer, unless it hangs.
const ANSWER: Duration = Duration::from_secs(20);

/// A method of the API.
#[derive(Clone, Debug)]
pub struct Method {
    /// `OrderService/GetOrder`, as in the table of rules.
    pub label: String,
    /// As in the request line.
    pub path: String,
    /// The full name of its request message.
    pub input: String,
}

/// One string that a request can carry.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Dotted path: `plan.prices.amount.currency`; `{key}` and `{value}` of maps.
    pub path: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Step {
    number: u32,
    /// Bytes that make the enclosing message whole, before what the next step adds.
    around: Vec<u8>,
}

/// The descriptor set, ready to be asked.
pub struct Api {
    messages: HashMap<String, DescriptorProto>,
    pub methods: Vec<Method>,
}

impl Api {
    pub fn read() -> Self {
        let files = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
        let (mut messages, mut methods) = (HashMap::new(), Vec::new());
        for file in files.file {
            let package = file.package().to_owned();
            for message in &file.message_type {
                collect(&format!(".{package}"), message, &mut messages);
            }
            for service in &file.service {
                for method in &service.method {
                    let label = format!("{}/{}", service.name(), method.name());
                    methods.push(Method {
                        path: format!("/{package}.{label}"),
                        label,
                        input: method.input_type().to_owned(),
                    });
                }
            }
        }
        Self { messages, methods }
    }

    pub fn method(&self, label: &str) -> &Method {
        let found = self.methods.iter().find(|method| method.label == label);
        found.unwrap_or_else(|| panic!("no method {label}"))
    }

    /// The number of a request's own field, where it has one of this name.
    pub fn field(&self, method: &Method, name: &str) -> Option<u32> {
        let fields = &self.messages[&method.input].field;
        let field = fields.iter().find(|field| field.name() == name)?;
        Some(field.number().cast_unsigned())
    }

    /// Every string of a method's request, nested ones too. `element` gives the bytes
    /// of an otherwise sound element of a repeated message or map entry, by its name.
    pub fn strings(&self, method: &Method, element: &dyn Fn(&str) -> Vec<u8>) -> Vec<Slot> {
        let mut slots = Vec::new();
        self.walk(&method.input, "", &[], element, &mut slots);
        slots
    }

    fn walk(
        &self,
        message: &str,
        prefix: &str,
        steps: &[Step],
        element: &dyn Fn(&str) -> Vec<u8>,
        slots: &mut Vec<Slot>,
    ) {
        let descriptor = &self.messages[message];
        let entry = descriptor
            .options
            .as_ref()
            .is_some_and(|options| options.map_entry());
        for field in &descriptor.field {
            let name = if entry {
                format!("{{{}}}", field.name())
            } else {
                field.name().to_owned()
            };
            let path = format!("{prefix}{name}");
            let mut steps = steps.to_vec();
            let number = field.number().cast_unsigned();
            match field.r#type() {
                Type::String => {
                    steps.push(Step {
                        number,
                        around: Vec::new(),
                    });
                    slots.push(Slot { path, steps });
                }
                Type::Message => {
                    let repeated = field.label() == Label::Repeated;
                    let inner = field.type_name();
                    let around = if repeated { element(inner) } else { Vec::new() };
                    steps.push(Step { number, around });
                    self.walk(inner, &format!("{path}."), &steps, element, slots);
                }
                _ => {}
            }
        }
    }
}

impl Slot {
    /// The bytes that, behind a whole message, put `value` into this string: the last
    /// one of a plain field counts, messages merge, lists grow.
    pub fn with(&self, value: &[u8]) -> Vec<u8> {
        let mut content = value.to_vec();
        for step in self.steps.iter().rev() {
            let mut whole = step.around.clone();
            whole.extend(content);
            content = delimited(step.number, &whole);
        }
        content
    }
}

fn collect(scope: &str, message: &DescriptorProto, all: &mut HashMap<String, DescriptorProto>) {
    let name = format!("{scope}.{}", message.name());
    for inner in &message.nested_type {
        collect(&name, inner, all);
    }
    all.insert(name, message.clone());
}

/// A field of bytes: string, bytes or message.
pub fn delimited(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(content.len() + 8);
    prost::encoding::encode_key(
        number,
        prost::encoding::WireType::LengthDelimited,
        &mut bytes,
    );
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// Calls a method by its path. Of a stream, the first message.
pub async fn call(channel: &Channel, path: &str, request: Request<Vec<u8>>) -> Answer {
    let path = path.parse().unwrap();
    let answered = async {
        let mut client = tonic::client::Grpc::new(channel.clone());
        let ready = client.ready().await;
        ready.map_err(|error| Status::unavailable(format!("no connection: {error}")))?;
        let answer = client.server_streaming(request, path, Raw).await?;
        let first = answer.into_inner().message().await?;
        first.ok_or_else(|| Status::data_loss("an answer without a message"))
    };
    let answered = tokio::time::timeout(ANSWER, answered).await;
    answered.unwrap_or_else(|_| panic!("no answer within {ANSWER:?}"))
}

/// A message, or a refusal.
pub type Answer = Result<Vec<u8>, Status>;

/// Messages as they are on the wire.
#[derive(Clone, Copy, Debug)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        prost::bytes::BufMut::put_slice(into, &item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; prost::bytes::Buf::remaining(from)];
        prost::bytes::Buf::copy_to_slice(from, &mut item);
        Ok(Some(item))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}
