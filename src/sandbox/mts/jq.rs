//! jq, as `mapping` and `outputFormat` are written in it: the `jaq` crates run it, on a thread of its own and not for ever.

use std::time::Duration;

use jaq_core::{
    Compiler, Ctx, Vars, data,
    load::{Arena, File, Loader},
    unwrap_valr,
};
use jaq_json::{Val, read};
use serde_json::Value;
use tokio::{sync::oneshot, time::timeout};

/// The longest program.
const LONGEST: usize = 16 * 1024;
/// How long a program may run. One that never ends keeps its thread; this is a sandbox.
const PATIENCE: Duration = Duration::from_secs(2);

type Filter = jaq_core::Filter<data::JustLut<Val>>;

/// Whether a text is a jq program.
pub(super) fn is_program(text: &str) -> bool {
    compile(text).is_some()
}

/// The first thing that a program says about an input; null when it says nothing, fails or takes too long.
pub(super) async fn first(program: &str, input: &Value) -> Value {
    let (program, input) = (program.to_owned(), input.to_string());
    let (tell, told) = oneshot::channel();
    // Not one of the runtime's threads: a runtime does not end before they do.
    let thread = std::thread::Builder::new().name("jq".to_owned());
    let started = thread.spawn(move || {
        let _ = tell.send(say(&program, &input).unwrap_or_default());
    });
    if started.is_err() {
        return Value::Null;
    }
    let said = timeout(PATIENCE, told).await;
    said.ok().and_then(Result::ok).unwrap_or_default()
}

fn say(program: &str, input: &str) -> Option<Value> {
    let filter = compile(program)?;
    let input = read::parse_single(input.as_bytes()).ok()?;
    let ctx = Ctx::<data::JustLut<Val>>::new(&filter.lut, Vars::new([]));
    let value = filter.id.run((ctx, input)).map(unwrap_valr).next()?.ok()?;
    // What is no JSON in print, such as not-a-number, is null.
    serde_json::from_str(&value.to_string()).ok()
}

fn compile(text: &str) -> Option<Filter> {
    if text.len() > LONGEST {
        return None;
    }
    let definitions = jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs());
    let functions = jaq_core::funs()
        .chain(jaq_std::funs())
        .chain(jaq_json::funs());
    let arena = Arena::default();
    let program = File {
        code: text,
        path: (),
    };
    let modules = Loader::new(definitions).load(&arena, program).ok()?;
    Compiler::default()
        .with_funs(functions)
        .compile(modules)
        .ok()
}
